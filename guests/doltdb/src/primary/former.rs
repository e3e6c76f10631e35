//! A primary that has become a standby, while nobody is primary: what the others have is measured by it, as long as it has what it had.
//!
//! It may have stepped down for a change that is under way, and it may be back after its pod was to be taken away.

use dolt::{Report, Role};

use super::{
    Reason, Situation, Step, Transition,
    content::databases_of,
    election::elect,
    recovery,
    switchover::{QUICKLY, SWITCH, after_step_down, instead},
};
use crate::build::BOOTSTRAP_EPOCH;

/// The next step of a change whose former primary answers; none where it does not.
pub(super) fn stepped_down(s: &Situation<'_>, transition: &Transition) -> Option<Step> {
    let server = s.server(transition.from)?;
    // One whose pod was to be taken away counts where that has not begun, or where it is there again.
    let is_going = || s.observed.pods.get(&transition.from).is_none_or(|pod| pod.header.deleting);
    if transition.reason == Reason::Failover && (transition.fencing.is_none() || is_going()) {
        return None;
    }
    let transition = transition.clone();
    let counts = match counts(s, transition.from, server.report) {
        Ok(counts) => counts,
        Err(why) => {
            let again = s.again(transition.since, QUICKLY);
            return Some(Step {
                transition: Some(transition),
                ..Step::wait(SWITCH, format!("nobody is primary for the moment: {why}"), again)
            });
        }
    };
    if counts {
        return Some(after_step_down(s, Transition { fencing: None, ..transition }));
    }
    Some(without_measure(s, transition))
}

/// The next step of a change whose former primary has not what it had.
pub(super) fn without_measure(s: &Situation<'_>, transition: Transition) -> Step {
    match elect(s, transition.from) {
        Ok(elected) => Step { behind: elected.behind, ..instead(s, Transition { fencing: None, ..transition }, elected.ordinal) },
        Err(_) => recovery::nobody(s, transition.from),
    }
}

/// Whether a former primary has what it had, and nobody has heard of a later one. It is of the epoch at which it was seen to lead; of a later one, if
/// it is a standby, since nothing else makes a standby of a primary: one that has lost its volume begins with the first. And it has a database, and the
/// volume that it had.
///
/// # Errors
/// Why its databases are not known.
pub(super) fn counts(s: &Situation<'_>, ordinal: i32, report: Report) -> Result<bool, String> {
    let highest = s.observed.servers.values().flatten().map(|server| server.report.epoch).max().unwrap_or_default();
    let led_at = s.target.seen_epoch().max(BOOTSTRAP_EPOCH);
    let least = if report.role == Role::Primary { led_at } else { led_at + 1 };
    if report.epoch < least.max(highest) || s.has_lost_its_volume(ordinal) {
        return Ok(false);
    }
    let recorded = &s.target.status.databases;
    if recorded.is_empty() {
        return Ok(true);
    }
    let has = databases_of(s.world, s.target, ordinal)?;
    Ok(recorded.iter().any(|database| has.contains(database)))
}
