//! Which sets are deleted again: beyond the number, or beyond the age. The newest set that can be restored from stays in any case.

use std::collections::BTreeSet;

use crds::names;
use sdk::{Failure, Header, Timestamp, Typed};

use crate::{
    Round,
    observe::{VolumeSnapshot, is_of_primary},
};

/// Snapshots that are deleted in one round, at most; the rest follows in the next.
const AT_ONCE: usize = 50;

/// What is to be deleted.
#[derive(Default)]
pub(crate) struct Doomed<'a> {
    pub(crate) headers: Vec<&'a Header>,
    /// When the next set is too old.
    pub(crate) next: Option<Timestamp>,
}

impl Doomed<'_> {
    /// The names of the sets.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.headers.iter().filter_map(|header| header.label(names::LABEL_SNAPSHOT_SET)).collect()
    }
}

pub(crate) fn doomed<'a>(round: &Round<'a>) -> Result<Doomed<'a>, Failure> {
    let spec = &round.snapshot.body.spec;
    let max_age = spec.max_age().ok().flatten().and_then(|age| u64::try_from(age.as_millis()).ok());
    let sets = round.observed.sets();
    let usable: Vec<u64> = sets.iter().rev().filter(|(_, set)| is_usable(set)).map(|(name, _)| *name).collect();
    let Some(newest) = usable.first().copied() else { return Ok(Doomed::default()) };
    // With fewer usable sets than are wanted, none is too many.
    let oldest_kept = spec.kept_sets().and_then(|kept| usable.get(kept.max(1) - 1)).copied().unwrap_or_default();
    let mut doomed = Doomed::default();
    for (name, set) in sets.into_iter().filter(|(name, _)| *name < newest) {
        let end = max_age.map(|age| name.saturating_mul(1_000).saturating_add(age));
        if name < oldest_kept || end.is_some_and(|end| end <= round.now) {
            doomed.headers.extend(set.into_iter().map(|snapshot| &snapshot.header).filter(|header| !header.deleting));
        } else {
            doomed.next = doomed.next.into_iter().chain(end).min();
        }
    }
    doomed.headers.truncate(AT_ONCE);
    Ok(doomed)
}

/// Whether a DoltDB can be restored from the set: from its primary's snapshot, or where there is none, from any.
fn is_usable(set: &[&Typed<VolumeSnapshot>]) -> bool {
    match set.iter().find(|snapshot| is_of_primary(snapshot)) {
        Some(of_primary) => of_primary.body.status.ready_to_use,
        None => {
            let without_roles = set.iter().all(|snapshot| snapshot.header.label(names::LABEL_CLUSTER_ROLE).is_none());
            without_roles && set.iter().all(|snapshot| snapshot.body.status.ready_to_use)
        }
    }
}
