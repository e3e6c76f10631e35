//! Ignore patterns: which of those on the server are this object's to take away.
//!
//! An object owns the patterns that were in its spec, as its status says, and no others: a pattern that somebody has put there by hand stays,
//! and so does one that another Database of the same database wants.

use std::collections::BTreeSet;

use crds::{Database, DoltDB};
use sdk::{Failure, Typed, World};

use crate::{finalize::others, observe::Observed};

/// The patterns on the server that have left the spec.
pub(crate) fn leaving(
    world: &dyn World,
    target: &Typed<DoltDB>,
    database: &Typed<Database>,
    observed: &Observed,
) -> Result<BTreeSet<String>, Failure> {
    let wanted = &database.body.spec.dolt_ignore_patterns;
    let applied = &database.body.status.applied_ignore_patterns;
    let mut leaving: BTreeSet<String> =
        applied.iter().filter(|pattern| !wanted.contains(pattern) && observed.patterns.contains_key(*pattern)).cloned().collect();
    if !leaving.is_empty() {
        for other in others(world, target, database)? {
            leaving.retain(|pattern| !other.body.spec.dolt_ignore_patterns.contains(pattern));
        }
    }
    Ok(leaving)
}
