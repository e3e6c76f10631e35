//! Whether the primary has lost its volume. A server that starts on an empty one is the primary of a new cluster, of the first epoch; where the
//! cluster has never had another primary, it has the same role and epoch as before. Its volume tells it.

use crds::names;
use sdk::Severity;

use super::{Situation, Step, failover::leaderless};
use crate::{build::BOOTSTRAP_EPOCH, observe::Observed, roles::Leadership, target::Target};

/// The primary that has lost its volume, where another server had its data and has not been seen to have lost its own.
pub(crate) fn emptied(target: &Target, observed: &Observed, leadership: &Leadership) -> Option<i32> {
    let Leadership::One(leader) = leadership else { return None };
    let has_lost = |ordinal: &i32| observed.has_lost_its_volume(target, *ordinal);
    if observed.server(*leader)?.report.epoch != BOOTSTRAP_EPOCH || target.status.databases.is_empty() || !has_lost(leader) {
        return None;
    }
    let mut others = target.status.volumes.keys().filter_map(|pod| names::ordinal(pod)).filter(|ordinal| ordinal != leader);
    others.any(|ordinal| !has_lost(&ordinal)).then_some(*leader)
}

/// It counts as lost, and says so once.
pub(super) fn replaced(s: &Situation<'_>, leader: i32) -> Step {
    let mut step = leaderless(s);
    if step.act.is_none() {
        let words = |message: &mut String| *message = format!("{} has lost its volume: {message}", s.pod_name(leader));
        step.leaderless.iter_mut().for_each(words);
        step.verdict.iter_mut().for_each(|(verdict, _)| words(&mut verdict.message));
    }
    if s.target.status.primary_silent_since.is_none() {
        let message = format!("{} has lost its volume, and another server has what was on it: it gets no clients", s.pod_name(leader));
        step.events.push((Severity::Warning, "PrimaryEmpty", "Failover", message));
    }
    step.silent_since = step.silent_since.or_else(|| Some(s.lost_since()));
    step
}
