//! Automatic failovers that could be made and are not made yet: because the spec wants the primary to be waited for, because the last one was
//! just now, or because there have been too many of them, and something is wrong that another one does not mend.
//!
//! Nothing of it holds up a switchover, the return of the primary, or what a person decides.

use std::time::Duration;

use sdk::{Timestamp, Verdict, parse_rfc3339};

use super::{Situation, Step, failover::wait_because};

/// Between two automatic failovers. A server that has just become primary gets the time to come up with what it was given.
const COOL_DOWN: Duration = Duration::from_secs(10);
/// The time in which automatic failovers are counted.
pub(crate) const COUNTED: Duration = Duration::from_secs(3_600);

/// The step of a cluster in which a standby could take over, but not yet. `loss` says what has happened to the primary.
pub(super) fn held_back(s: &Situation<'_>, loss: &str) -> Option<Step> {
    delayed(s, loss).or_else(|| limited(s, loss)).or_else(|| cooling_down(s, loss))
}

fn delayed(s: &Situation<'_>, loss: &str) -> Option<Step> {
    let delay = s.target.replication.failover_delay;
    if delay.is_zero() {
        return None;
    }
    let since = s.lost_since();
    let left = s.left(delay, since)?;
    let message = format!("{loss}: it is waited for, for {} s in all, as spec.replication.primary.failoverDelay says", delay.as_secs_f64());
    Some(hold(s, "FailoverDelayed", message, left))
}

fn cooling_down(s: &Situation<'_>, loss: &str) -> Option<Step> {
    let last = recent(s).max()?;
    let left = s.left(COOL_DOWN, last)?;
    let message = format!("{loss}: the last failover was less than {} s ago, and this one waits for so long", COOL_DOWN.as_secs());
    Some(hold(s, "FailoverCoolDown", message, left))
}

fn limited(s: &Situation<'_>, loss: &str) -> Option<Step> {
    let most = s.target.replication.max_failovers_per_hour;
    if s.target.status.recent_failovers.len() < most {
        return None;
    }
    let counted = recent(s).filter(|at| s.elapsed(*at) < COUNTED).count();
    if counted < most {
        return None;
    }
    let message = format!(
        "{loss}, and there were {counted} automatic failovers within an hour, which is as many as \
         spec.replication.primary.maxFailoversPerHour allows: another one is left to you"
    );
    Some(wait_because(s, "FailoverLimitReached", message))
}

fn hold(s: &Situation<'_>, reason: &str, message: String, left: Duration) -> Step {
    // Each look is a round, and an object has only so many of them in a minute.
    const OFTEN: Duration = Duration::from_secs(1);
    Step {
        leaderless: Some(message.clone()),
        verdict: Some((Verdict::no(reason, message), true)),
        silent_since: Some(s.lost_since()),
        look_again: Some(left.min(OFTEN)),
        ..Step::default()
    }
}

fn recent(s: &Situation<'_>) -> impl Iterator<Item = Timestamp> {
    s.target.status.recent_failovers.iter().filter_map(|at| parse_rfc3339(at))
}
