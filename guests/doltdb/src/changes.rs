//! What the status keeps of changes of the primary that have ended, and of how far standbys follow: figures for metrics and for people.
//!
//! Counts only rise, and are written together with the new primary's name, so that each change is counted once, whoever was restarted
//! meanwhile.

use crds::{DoltDBStatus, LastPrimaryChange, PrimaryChanges, ReplicationLag};
use sdk::{World, rfc3339_millis};

use crate::{primary::Transition, server::Server, target::Target};

/// The limits between which a lag does not count as another one, in seconds.
const LAGS: [u64; 10] = [0, 1, 2, 5, 10, 30, 60, 300, 600, 3_600];

/// Counts the change by which `leader` has become primary, if it is news.
pub(crate) fn count(world: &dyn World, status: &mut DoltDBStatus, target: &Target, leader: Option<i32>, epoch: u64) {
    let before = &target.status;
    status.switchovers = before.switchovers;
    status.primary_changes.clone_from(&before.primary_changes);
    status.last_primary_change.clone_from(&before.last_primary_change);
    let Some((leader, from)) = leader.zip(before.current_primary_pod_index).filter(|(leader, from)| leader != from) else { return };
    let now = world.now();
    let transition = Transition::of(target).filter(|transition| transition.to == leader);
    let reason = transition.as_ref().map_or("Other", |transition| transition.reason.as_str()).to_owned();
    let gap = transition.and_then(|transition| transition.stopped).map(|stopped| now.saturating_sub(stopped));
    status.switchovers = Some(before.switchovers.unwrap_or_default() + 1);
    match status.primary_changes.iter_mut().find(|changes| changes.reason == reason) {
        Some(changes) => changes.count += 1,
        None => status.primary_changes.push(PrimaryChanges { reason: reason.clone(), count: 1 }),
    }
    status.last_primary_change = Some(LastPrimaryChange {
        reason,
        from: target.pod(from),
        to: target.pod(leader),
        epoch: i64::try_from(epoch).unwrap_or(i64::MAX),
        at: rfc3339_millis(now),
        gap_millis: gap.and_then(|gap| i64::try_from(gap).ok()),
    });
}

/// How far standbys follow, as the primary says.
pub(crate) fn lags(primary: &Server, standbys: &[String]) -> Vec<ReplicationLag> {
    let lag = |milliseconds: u64| LAGS.into_iter().rev().find(|limit| milliseconds / 1_000 >= *limit).unwrap_or_default();
    let known = primary.following.iter().filter(|following| standbys.contains(&following.pod));
    known
        .map(|following| ReplicationLag {
            pod: following.pod.clone(),
            database: following.database.clone(),
            seconds: following.lag.and_then(|milliseconds| i64::try_from(lag(milliseconds)).ok()),
            failing: following.error.is_some(),
        })
        .collect()
}
