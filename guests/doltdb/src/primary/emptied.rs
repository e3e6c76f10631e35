//! Whether the primary has lost its volume. A server that starts on an empty one is the primary of a new cluster, of the first epoch; where the
//! cluster has never had another primary, it has the same role and epoch as before. Its databases tell it: the others still have them, until
//! somebody makes one of the same name on it.
//!
//! It knows nothing of volumes.

use std::time::Duration;

use dolt::Role;

use super::{Situation, Step, content::databases_of, failover::leaderless};
use crate::{build::BOOTSTRAP_EPOCH, observe::Observed, roles::Leadership, target::Target};

/// How long a standby may have a database that was dropped on the primary.
const DROPPED: Duration = Duration::from_secs(2);
/// How often it is looked at until then.
const RETRY: Duration = Duration::from_millis(500);

/// The primary that has none of the databases that it had, where a standby has one of them.
pub(crate) fn emptied(world: &dyn sdk::World, target: &Target, observed: &Observed, leadership: &Leadership) -> Option<i32> {
    let Leadership::One(leader) = leadership else { return None };
    let server = observed.servers.get(leader)?.as_ref().ok()?;
    let recorded = &target.status.databases;
    let has = server.databases();
    if recorded.is_empty() || server.report.epoch != BOOTSTRAP_EPOCH || recorded.iter().any(|database| has.contains(database.as_str())) {
        return None;
    }
    let mut standbys = observed.servers.iter().filter(|(_, server)| server.as_ref().is_ok_and(|s| s.report.role == Role::Standby));
    let has_one =
        |ordinal| databases_of(world, target, ordinal).is_ok_and(|theirs| theirs.iter().any(|database| recorded.contains(database)));
    standbys.any(|(ordinal, _)| has_one(*ordinal)).then_some(*leader)
}

/// It counts as lost, after the time that it takes until a standby hears of a database that was dropped.
pub(super) fn replaced(s: &Situation<'_>, leader: i32) -> Step {
    let since = s.lost_since();
    let Some(left) = s.left(DROPPED, since) else { return leaderless(s) };
    let message = format!("{} has none of the databases that it had, and a standby has: it has lost its volume", s.pod_name(leader));
    Step { silent_since: Some(since), ..Step::wait("PrimaryEmpty", message, left.min(RETRY)) }
}
