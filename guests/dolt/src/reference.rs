//! From a `doltDBRef` to the DoltDB, which may be in another namespace if it allows that itself.

use crds::{DoltDB, DoltDBRef};
use sdk::{Failure, ReadError, Typed, World, reference};

use crate::Obstacle;

/// What is read of a DoltDB.
const FIELDS: &[&str] = &["/spec/server", "/spec/replicas", "/spec/replication", "/spec/allowedNamespaces", "/status/listenerTLS"];

/// The DoltDB that an object in `namespace` refers to; `Ok(Err(..))` says why there is none to work with.
///
/// # Errors
/// When the host cannot answer.
pub fn resolve(world: &dyn World, namespace: &str, wanted: &DoltDBRef) -> Result<Result<Typed<DoltDB>, Obstacle>, Failure> {
    let target = wanted.namespace_or(namespace);
    if wanted.name.is_empty() {
        return Ok(Err(Obstacle::new("InvalidSpec", format!("spec.doltDBRef.name: is required: name a DoltDB in namespace \"{target}\""))));
    }
    let object = reference(crds::API_VERSION, DoltDB::KIND, target, &wanted.name);
    if target == namespace {
        let found = world.get_as::<DoltDB>(&object, FIELDS)?;
        return Ok(found.ok_or_else(|| {
            let message = format!(
                "DoltDB not found: spec.doltDBRef.name: there is no DoltDB \"{}\" in namespace \"{namespace}\": create it",
                wanted.name
            );
            Obstacle::new("DoltDBNotFound", message)
        }));
    }
    // Whoever may create an object here rules a server over there, as its administrator: its owner has the word.
    let found = match world.get(&object, FIELDS) {
        Ok(found) => found.as_ref().map(Typed::<DoltDB>::try_from).transpose()?,
        Err(ReadError::Denied(why)) => {
            let message = format!("spec.doltDBRef.namespace: the operator reaches no DoltDB in namespace \"{target}\": {why}");
            return Ok(Err(Obstacle::new("NamespaceRefused", message)));
        }
        Err(error) => return Err(error.into()),
    };
    // Whether there is none or it does not allow it is not told apart: that would tell a stranger what there is.
    Ok(found.filter(|found| found.body.spec.allows(namespace)).ok_or_else(|| {
        let message = format!(
            "spec.doltDBRef.namespace: in namespace \"{target}\" there is no DoltDB \"{}\" that allows objects of namespace \"{namespace}\": \
             its owner has to add \"{namespace}\" to its spec.allowedNamespaces",
            wanted.name
        );
        Obstacle::new("NamespaceRefused", message)
    }))
}

/// Whether another object, in `namespace` with this reference, is about the same DoltDB and may be: one that it does not allow counts for
/// nothing, or anybody could keep what is on a server from being taken away.
pub fn is_about(target: &Typed<DoltDB>, namespace: &str, wanted: &DoltDBRef) -> bool {
    let own = &target.header;
    wanted.name == own.name
        && wanted.namespace_or(namespace) == own.namespace
        && (namespace == own.namespace || target.body.spec.allows(namespace))
}
