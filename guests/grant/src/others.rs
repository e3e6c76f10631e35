//! Other Grants: what they give, too, is not this one's to take away.

use crds::{API_VERSION, Grant, GrantSpec};
use sdk::{Failure, Selector, Typed, World};
use serde::Deserialize;

use crate::holding::{Holdings, wanted};

#[derive(Deserialize)]
struct Other {
    spec: GrantSpec,
}

/// These holdings without those that another Grant of the same DoltDB wants and that stays. Only where something is to be taken away the others
/// are read at all.
pub(crate) fn not_theirs(world: &dyn World, grant: &Typed<Grant>, mut holdings: Holdings) -> Result<Holdings, Failure> {
    if holdings.is_empty() {
        return Ok(holdings);
    }
    let header = &grant.header;
    let fields =
        ["/spec/doltDBRef", "/spec/privileges", "/spec/database", "/spec/table", "/spec/username", "/spec/host", "/spec/grantOption"];
    let selector = Selector::new(API_VERSION, Grant::KIND, &header.namespace).fields(&fields);
    for other in world.select_as::<Other>(&selector)? {
        let spec = &other.body.spec;
        let elsewhere = spec.dolt_db_ref.name != grant.body.spec.dolt_db_ref.name
            || spec.dolt_db_ref.namespace_or(&header.namespace) != header.namespace;
        if other.header.uid == header.uid || other.header.deleting || elsewhere {
            continue;
        }
        let (key, privileges) = wanted(spec);
        if let Some(own) = holdings.get_mut(&key) {
            own.retain(|name| !privileges.contains(name));
        }
    }
    holdings.retain(|_, privileges| !privileges.is_empty());
    Ok(holdings)
}
