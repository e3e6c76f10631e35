//! Other Grants: what they give, too, is not this one's to take away.

use crds::{DoltDB, Grant, GrantSpec};
use dolt::{claims, is_about};
use sdk::{Failure, Typed, World};
use serde::Deserialize;

use crate::holding::{Holdings, wanted};

#[derive(Deserialize)]
struct Other {
    spec: GrantSpec,
}

/// These holdings without those that another Grant of the same DoltDB wants and that stays. Only where something is to be taken away the others
/// are read at all.
pub(crate) fn not_theirs(
    world: &dyn World,
    target: &Typed<DoltDB>,
    grant: &Typed<Grant>,
    mut holdings: Holdings,
) -> Result<Holdings, Failure> {
    if holdings.is_empty() {
        return Ok(holdings);
    }
    let fields =
        ["/spec/doltDBRef", "/spec/privileges", "/spec/database", "/spec/table", "/spec/username", "/spec/host", "/spec/grantOption"];
    for other in claims::<Other>(world, target, Grant::KIND, |grants| grants.fields(&fields))? {
        let spec = &other.body.spec;
        let concerned = is_about(target, &other.header.namespace, &spec.dolt_db_ref);
        if other.header.uid == grant.header.uid || other.header.deleting || !concerned {
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
