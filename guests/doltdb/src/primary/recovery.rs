//! Roles that do not fit together although the servers answer: nobody is primary, several are, or the only one is of an earlier time, or of an
//! earlier epoch than another was told.
//!
//! One of them may be made primary only if nothing can get lost by it. Anything less is told and left alone.

use std::{collections::BTreeMap, time::Duration};

use dolt::{Report, Role};
use sdk::Verdict;

use super::{
    Reason, Situation, Step, Transition,
    content::{Content, Standing, contents, standing},
    failover,
    former::counts,
    switchover::{SWITCH, promote, promote_complete},
};
use crate::build::BOOTSTRAP_EPOCH;

/// How often servers are looked at that answer, and whose roles or data do not fit together.
const RETRY: Duration = Duration::from_secs(1);

/// Every server that answers is a standby, the last primary among them: it becomes primary again if no other has anything that it lacks. Where it is of
/// the highest epoch that there is, it has stepped down, and nobody has been primary since.
pub(super) fn nobody(s: &Situation<'_>, primary: i32) -> Step {
    if s.server(primary).is_some_and(|server| server.report.epoch >= s.target.recorded_epoch()) && is_what_it_was(s, primary) {
        return promote_complete(s, recovery(s, primary, primary));
    }
    for ordinal in s.ordinals() {
        let name = s.pod_name(ordinal);
        match s.observed.servers.get(&ordinal) {
            Some(Ok(server)) if server.report.has_no_cluster() => {
                return wait(s, format!("{name} has no cluster configuration"));
            }
            Some(Ok(_)) => {}
            Some(Err(why)) => return wait(s, format!("{name} cannot be asked: {why}")),
            None => return wait(s, format!("{name} does not run yet")),
        }
    }
    // What somebody has who lost a volume holds nobody up, unless all of them did.
    let (lost, kept): (Vec<i32>, Vec<i32>) = s.ordinals().into_iter().partition(|ordinal| s.has_lost_its_volume(*ordinal));
    let ordinals = if kept.is_empty() { lost } else { kept };
    let mut candidates = ordinals.clone();
    candidates.sort_by_key(|ordinal| (*ordinal != primary, *ordinal));
    let heir = contents(s.world, s.target, &ordinals).and_then(|contents| match covering(s, &contents, &candidates, &EVERYTHING) {
        Err(_) if has_given_way(s, &contents, primary) => Ok(primary),
        heir => heir,
    });
    match heir {
        Ok(heir) => promote_complete(s, recovery(s, primary, heir)),
        Err(why) => wait(s, why),
    }
}

/// Whether the last primary that was seen to lead has become a standby by itself, because others have heard of a later one, and still has what it had:
/// whoever sends it something takes it to a later epoch. Nobody has led clients anywhere else since. One of the first epoch may have lost its volume:
/// there, it has all commits of the others.
fn has_given_way(s: &Situation<'_>, contents: &BTreeMap<i32, Content>, primary: i32) -> bool {
    let led_at = s.target.seen_epoch().max(BOOTSTRAP_EPOCH);
    let is_back = |report: Report| report.role == Role::Standby && report.epoch == led_at;
    let has_all = |has: &Content| s.target.status.databases.iter().all(|database| has.contains_key(database));
    s.server(primary).is_some_and(|server| is_back(server.report))
        && !s.has_lost_its_volume(primary)
        && contents.get(&primary).is_some_and(has_all)
        && (led_at > BOOTSTRAP_EPOCH || covering(s, contents, &[primary], &ALL_COMMITS).is_ok())
}

/// Several servers are primary at one epoch. The one that has what all others have goes on, at the next epoch, which they will follow.
pub(super) fn several(s: &Situation<'_>, ordinals: &[i32], epoch: u64) -> Step {
    let mut candidates = ordinals.to_vec();
    let primary = s.target.recorded_primary();
    candidates.sort_by_key(|ordinal| (*ordinal != primary, *ordinal));
    match contents(s.world, s.target, ordinals).and_then(|contents| covering(s, &contents, &candidates, &EVERYTHING)) {
        Ok(candidate) => promote_complete(s, recovery(s, primary, candidate)),
        Err(why) => wait(s, format!("several servers are primary at epoch {epoch}: {why}")),
    }
}

/// The only primary is older than an epoch that another was told to be primary with. If that other one never was, the old one goes on: whoever takes
/// that epoch late gets no connections, since nobody has seen it lead. One that has no part in the change that is under way counts for nothing, as
/// one that has lost its volume.
pub(super) fn stale(s: &Situation<'_>, ordinal: i32) -> Step {
    match Transition::of(s.target) {
        Some(transition) if transition.from == ordinal => {
            let heir = s.server(transition.to).map(|server| server.report.epoch);
            let is_behind = |epoch: u64| epoch < transition.epoch;
            if heir.is_none_or(is_behind) && is_what_it_was(s, ordinal) {
                promote_complete(s, Transition { to: ordinal, fencing: None, epoch: s.next_epoch(), ..transition })
            } else if heir.is_some_and(is_behind) {
                failover::leaderless(s)
            } else {
                Step { transition: Some(transition), ..Step::default() }
            }
        }
        None if is_what_it_was(s, ordinal) => promote_complete(s, recovery(s, ordinal, ordinal)),
        _ => failover::leaderless(s),
    }
}

/// Whether it is the last one that was seen to lead, and has what it had. What cannot be asked is taken for another. One that is still primary, of a
/// later epoch than the first, has not lost its volume.
fn is_what_it_was(s: &Situation<'_>, ordinal: i32) -> bool {
    let Some(report) = s.server(ordinal).map(|server| server.report) else { return false };
    let led_later = report.role == Role::Primary && report.epoch > BOOTSTRAP_EPOCH;
    s.target.recorded_primary() == ordinal
        && counts(s, ordinal, report).unwrap_or_default()
        && (led_later || has_all_commits(s, ordinal).unwrap_or_default())
}

/// Whether it has all commits of the others that answer, and have not lost their volumes. One that has lost its volume has not, whoever has made its databases anew, and whoever has
/// told it of a later epoch since.
///
/// # Errors
/// Why what they have is not known.
pub(super) fn has_all_commits(s: &Situation<'_>, ordinal: i32) -> Result<bool, String> {
    let counts = |other: &i32| *other == ordinal || (s.server(*other).is_some() && !s.has_lost_its_volume(*other));
    let answering: Vec<i32> = s.ordinals().into_iter().filter(counts).collect();
    if answering == [ordinal] {
        return Ok(true);
    }
    let contents = contents(s.world, s.target, &answering)?;
    Ok(covering(s, &contents, &[ordinal], &ALL_COMMITS).is_ok())
}

/// The primary goes on, above every epoch that another was told: so the others have heard of a later one, and nobody becomes primary with it.
pub(super) fn surpassed(s: &Situation<'_>, leader: i32) -> Step {
    let message = format!("{} stays primary, with a later epoch than any that another was told to be primary with", s.pod_name(leader));
    Step {
        verdict: Some((Verdict::no(SWITCH, message.clone()), false)),
        leaderless: Some(message),
        events: Vec::new(),
        ..promote(s, recovery(s, leader, leader))
    }
}

/// Nothing is done, for this reason; no server is lost.
fn wait(s: &Situation<'_>, message: String) -> Step {
    Step { silent_since: None, look_again: Some(RETRY), ..failover::wait(s, message) }
}

/// A change by which roles that do not fit together are put right.
pub(super) fn recovery(s: &Situation<'_>, from: i32, to: i32) -> Transition {
    Transition {
        reason: Reason::Recovery,
        from,
        to,
        epoch: s.epoch_for(to),
        since: s.world.now(),
        stopped: None,
        failures: 0,
        fencing: None,
    }
}

/// How a server stands to one of whose data it has everything.
const EVERYTHING: [Standing; 2] = [Standing::Same, Standing::Ahead];
/// How a server stands to one of whose data it has all that is in a commit.
const ALL_COMMITS: [Standing; 3] = [Standing::Same, Standing::Ahead, Standing::Unclear];

/// The first of the candidates that stands so to each other server.
fn covering(s: &Situation<'_>, contents: &BTreeMap<i32, Content>, candidates: &[i32], so: &[Standing]) -> Result<i32, String> {
    for candidate in candidates {
        let Some(data) = contents.get(candidate) else { continue };
        let mut covers = true;
        for (other, theirs) in contents.iter().filter(|(other, _)| *other != candidate) {
            let standing = standing(s.world, s.target, (*candidate, data), (*other, theirs))?;
            covers &= so.contains(&standing);
        }
        if covers {
            return Ok(*candidate);
        }
    }
    let names: Vec<String> = contents.keys().map(|ordinal| s.pod_name(*ordinal)).collect();
    Err(format!("{} have different data", names.join(" and ")))
}
