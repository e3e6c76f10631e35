//! From a `doltDBRef` to the DoltDB.

use crds::{DoltDB, DoltDBRef};
use sdk::{Failure, Typed, World, reference};

use crate::Obstacle;

/// The DoltDB that an object in `namespace` refers to; `Ok(Err(..))` says why there is none to work with.
///
/// # Errors
/// When the host cannot answer.
pub fn resolve(world: &dyn World, namespace: &str, wanted: &DoltDBRef) -> Result<Result<Typed<DoltDB>, Obstacle>, Failure> {
    let target = wanted.namespace_or(namespace);
    // Whoever may create an object here would otherwise rule a server over there, as its administrator.
    if target != namespace {
        let message = format!(
            "spec.doltDBRef.namespace: \"{target}\" is another namespace than \"{namespace}\", where this object is: move it there"
        );
        return Ok(Err(Obstacle::new("NamespaceRefused", message)));
    }
    if wanted.name.is_empty() {
        return Ok(Err(Obstacle::new("InvalidSpec", "spec.doltDBRef.name: is required: name a DoltDB in this namespace")));
    }
    let object = reference(crds::API_VERSION, DoltDB::KIND, namespace, &wanted.name);
    let found = world.get_as::<DoltDB>(&object, &["/spec/server", "/spec/replicas", "/spec/replication"])?;
    Ok(found.ok_or_else(|| {
        let message = format!(
            "DoltDB not found: spec.doltDBRef.name: there is no DoltDB \"{}\" in namespace \"{namespace}\": create it",
            wanted.name
        );
        Obstacle::new("DoltDBNotFound", message)
    }))
}
