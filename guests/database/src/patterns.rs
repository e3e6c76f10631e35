//! Ignore patterns: which of those on the server are this object's to take away.
//!
//! An object owns the patterns that were in its spec, as its status says, and no others: a pattern that somebody has put there by hand stays.

use std::collections::BTreeSet;

use crds::Database;
use sdk::Typed;

use crate::observe::Observed;

/// The patterns on the server that have left the spec.
pub(crate) fn leaving(database: &Typed<Database>, observed: &Observed) -> BTreeSet<String> {
    let wanted = &database.body.spec.dolt_ignore_patterns;
    let applied = &database.body.status.applied_ignore_patterns;
    applied.iter().filter(|pattern| !wanted.contains(pattern) && observed.patterns.contains_key(*pattern)).cloned().collect()
}
