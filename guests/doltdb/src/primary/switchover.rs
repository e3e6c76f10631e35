//! A primary that answers gives its role to a standby: because it is asked to, because its pod has to go, or because it is the last one of an
//! older revision.
//!
//! Rounds: reserve the standby (recorded, out of the reader Service) → the primary steps down at a new epoch, which Dolt does only when
//! enough standbys have everything → the standby is compared with it and promoted at the same epoch. When the standby turns out not to have
//! everything, another one that has is taken, or the old primary is made primary again.

use std::time::Duration;

use crds::{ConditionStatus, names};
use dolt::Role;
use sdk::{Header, Severity, Verdict};

use super::{
    Act, Reason, Situation, Step, Transition,
    content::same,
    former::without_measure,
    recovery::{self, has_all_commits},
    replication_on,
};
use crate::{
    server::{LOST_ITS_VOLUME, Progress},
    update,
};

/// How long a standby stays reserved before the primary steps down: its replication is seen to go on, and what routes connections has settled.
const SETTLE: Duration = Duration::from_secs(1);
/// How long to wait after a primary could not step down. Each attempt stops writes for up to 10 s.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// How often a wish that cannot be granted yet is looked at.
const RETRY: Duration = Duration::from_secs(2);

/// For how long a server that is to go, and gives no answer, is waited for.
const DOOMED_PATIENCE: Duration = Duration::from_secs(60);

/// How soon to look again while nobody is primary.
pub(super) const QUICKLY: Duration = Duration::from_millis(500);

/// The condition's reason while a change is under way, and after it, as they have always been.
pub(super) const SWITCH: &str = "SwitchPrimary";
/// The condition that tells of it.
pub(crate) const SWITCHED: &str = "PrimarySwitched";

/// The step of a cluster with one primary that answers.
pub(super) fn led(s: &Situation<'_>, leader: i32) -> Step {
    match Transition::of(s.target) {
        Some(transition) if transition.reason == Reason::ReplicationOn && transition.to == leader => replication_on::finished(s, leader),
        _ if s.server(leader).is_some_and(|server| server.is_surpassed(s.target)) => recovery::surpassed(s, leader),
        Some(transition) if transition.to == leader && transition.from == leader => rolled_back(s, leader, transition),
        Some(transition) if transition.to == leader => finished(s, &transition),
        Some(transition) if transition.from == leader => go_on(s, leader, transition),
        Some(_) => Step { verdict: Some((complete(s, leader), false)), ..Step::default() },
        None => begin(s, leader),
    }
}

fn complete(s: &Situation<'_>, leader: i32) -> Verdict {
    Verdict::yes(SWITCH, format!("Switchover complete: {} is primary", s.pod_name(leader)))
}

fn finished(s: &Situation<'_>, transition: &Transition) -> Step {
    let (from, to) = (s.pod_name(transition.from), s.pod_name(transition.to));
    let message = format!("Primary switched from index '{}' to index '{}' ({from} to {to})", transition.from, transition.to);
    Step {
        verdict: Some((complete(s, transition.to), false)),
        events: vec![(Severity::Normal, "PrimarySwitched", "SwitchPrimary", message)],
        ..Step::default()
    }
}

/// A primary that stepped down and got its role back. What spoke for another one still does, but not at once.
fn rolled_back(s: &Situation<'_>, leader: i32, transition: Transition) -> Step {
    let waited = s.elapsed(transition.since);
    if waited >= COOL_DOWN || transition.reason == Reason::Recovery {
        return begin(s, leader);
    }
    let message = format!("{} stays primary: when it stepped down, no standby had all its data", s.pod_name(leader));
    Step {
        transition: Some(transition),
        verdict: Some((Verdict::no("SwitchoverFailed", message), true)),
        look_again: Some(COOL_DOWN - waited),
        ..Step::default()
    }
}

/// Whether another server should be primary, and which, where that matters.
fn wanted(s: &Situation<'_>, leader: i32) -> Option<(Reason, Option<i32>)> {
    if s.observed.pods.get(&leader).is_some_and(|pod| pod.header.deleting) {
        return Some((Reason::Eviction, None));
    }
    if leader >= s.target.replicas {
        return Some((Reason::ScaleDown, None));
    }
    if let Some(wish) = wish(s).filter(|wish| *wish != leader) {
        return Some((Reason::Requested, Some(wish)));
    }
    update::only_primary_is_left(s.target, s.observed, leader).then_some((Reason::Update, None))
}

/// The primary that a person wants and has not got yet.
fn wish(s: &Situation<'_>) -> Option<i32> {
    let status = &s.target.status;
    let annotation = s.target.metadata.annotations.get(names::ANNOTATION_SWITCHOVER).filter(|pod| !pod.is_empty());
    if let Some(pod) = annotation.filter(|pod| status.requested_switchover.as_ref() != Some(pod)) {
        return names::ordinal(pod).filter(|ordinal| s.pod_name(*ordinal) == **pod).or(Some(-1));
    }
    let wanted = s.target.replication.pod_index;
    // What was wanted before anything was recorded is no news: the cluster may have failed over since.
    status.requested_primary_pod_index.filter(|before| *before != wanted).map(|_| wanted)
}

fn begin(s: &Situation<'_>, leader: i32) -> Step {
    let Some((reason, fixed)) = wanted(s, leader) else {
        // A change that was never told to be over, by whomever: with this primary it is.
        let unfinished =
            s.target.status.conditions.iter().any(|condition| condition.type_ == SWITCHED && condition.status == ConditionStatus::False);
        return Step { fulfilled: true, verdict: unfinished.then(|| (complete(s, leader), false)), ..Step::default() };
    };
    let to = match choose(s, leader, reason, fixed) {
        Ok(to) => to,
        Err(why) => {
            let message = format!("{} stays primary: {why}", s.pod_name(leader));
            return Step { leaderless: None, ..Step::wait("SwitchoverWaiting", message, RETRY) };
        }
    };
    let epoch = s.next_epoch();
    let transition = Transition { reason, from: leader, to, epoch, since: s.world.now(), stopped: None, failures: 0, fencing: None };
    // A pod that is going away does not wait for routes to settle.
    if reason == Reason::Eviction {
        return step_down(s, leader, transition);
    }
    Step { look_again: Some(SETTLE), ..under_way(s, transition) }
}

fn under_way(s: &Situation<'_>, transition: Transition) -> Step {
    let message = format!("Switching primary from '{}' to '{}'", s.pod_name(transition.from), s.pod_name(transition.to));
    Step {
        verdict: Some((Verdict::no(SWITCH, message.clone()), false)),
        leaderless: Some(message),
        transition: Some(transition),
        ..Step::default()
    }
}

fn step_down(s: &Situation<'_>, leader: i32, mut transition: Transition) -> Step {
    transition.stopped.get_or_insert_with(|| s.world.now());
    let act = s.step_down(leader, transition.epoch);
    Step { act, ..under_way(s, transition) }
}

/// The standby that becomes primary.
fn choose(s: &Situation<'_>, leader: i32, reason: Reason, fixed: Option<i32>) -> Result<i32, String> {
    // While one standby does not answer, stepping down takes 10 s without writes. A pod that has to go has no choice.
    if reason != Reason::Eviction {
        others_follow(s, leader)?;
    }
    let preferred = s.target.replication.pod_index;
    let mut candidates: Vec<i32> = fixed.map_or_else(|| s.ordinals(), |fixed| vec![fixed]);
    candidates.retain(|ordinal| *ordinal != leader);
    candidates.sort_by_key(|ordinal| (*ordinal != preferred, *ordinal));
    let mut reasons = Vec::new();
    for candidate in candidates {
        match fit(s, leader, candidate, reason) {
            Ok(()) => return Ok(candidate),
            Err(why) => reasons.push(why),
        }
    }
    Err(if reasons.is_empty() { "there is no other server".to_owned() } else { reasons.join("; ") })
}

/// Whether a server can become primary in the place of one that answers.
fn fit(s: &Situation<'_>, leader: i32, candidate: i32, reason: Reason) -> Result<(), String> {
    if !(0..s.target.replicas).contains(&candidate) || !s.ordinals().contains(&candidate) {
        return Err("the pod that should be primary does not exist".to_owned());
    }
    let name = s.pod_name(candidate);
    let pod = s.observed.pods.get(&candidate).ok_or_else(|| format!("{name} does not exist yet"))?;
    if pod.header.deleting || !pod.body.is_ready() {
        return Err(format!("{name} is not ready"));
    }
    if reason == Reason::Update && !update::is_current(s.target, s.observed, candidate) {
        return Err(format!("{name} is not updated yet"));
    }
    let server = s.server(candidate).ok_or_else(|| format!("{name} gives no answer"))?;
    let primary = s.server(leader).ok_or_else(|| format!("{} gives no answer", s.pod_name(leader)))?;
    if server.report.role != Role::Standby || server.report.epoch != primary.report.epoch {
        return Err(format!("{name} is no standby of epoch {}", primary.report.epoch));
    }
    if !primary.knows(&name) {
        return Err(format!("{name} gets nothing from the primary, which knows it only after a restart"));
    }
    if s.has_lost_its_volume(candidate) {
        return Err(format!("{name} {LOST_ITS_VOLUME}"));
    }
    match primary.progress_of(&name) {
        Progress::CaughtUp if s.had_all_data(candidate) => Ok(()),
        Progress::CaughtUp => Err(format!("what {name} has was not seen to be of the primary yet")),
        Progress::Behind(why) => Err(format!("on {name} {why}")),
        Progress::Unknown => same(s.world, s.target, leader, candidate)
            .and_then(|same| if same { Ok(()) } else { Err(format!("nothing has been sent to {name} yet, which has other data")) }),
    }
}

fn others_follow(s: &Situation<'_>, leader: i32) -> Result<(), String> {
    let Some(primary) = s.server(leader) else { return Ok(()) };
    for name in primary.known_pods() {
        let Some(ordinal) = names::ordinal(name).filter(|ordinal| s.ordinals().contains(ordinal)) else { continue };
        if s.server(ordinal).is_none() {
            if is_given_up(s, ordinal) {
                continue;
            }
            return Err(format!("{name} gives no answer, and without it stepping down would stop writes for 10 s"));
        }
        if let Progress::Behind(why) = primary.progress_of(name) {
            return Err(format!("on {name} {why}, and without it stepping down would stop writes for 10 s"));
        }
    }
    Ok(())
}

/// Whether a server that is to go is not waited for any more: its pod has not been ready for long. The step down then stops writes for 10 s, once.
fn is_given_up(s: &Situation<'_>, ordinal: i32) -> bool {
    if ordinal < s.target.replicas {
        return false;
    }
    let Some(pod) = s.observed.pods.get(&ordinal) else { return true };
    pod.body.unready_since().is_some_and(|since| s.elapsed(since) >= DOOMED_PATIENCE)
}

/// The primary still is what it was: it steps down, or the change is given up.
fn go_on(s: &Situation<'_>, leader: i32, mut transition: Transition) -> Step {
    let now = s.world.now();
    if let Some(why) = s.failed_sql() {
        transition.failures += 1;
        transition.since = now;
        transition.stopped = None;
        transition.epoch = s.next_epoch().max(transition.epoch + 1);
        let message = format!("{} stays primary: it could not step down: {why}", s.pod_name(leader));
        return Step {
            transition: Some(transition),
            verdict: Some((Verdict::no("SwitchoverFailed", message), true)),
            look_again: Some(COOL_DOWN),
            ..Step::default()
        };
    }
    let given_up = |why: String| Step {
        verdict: Some((Verdict::no("SwitchoverWaiting", format!("{} stays primary: {why}", s.pod_name(leader))), true)),
        look_again: Some(RETRY),
        ..Step::default()
    };
    let still = wanted(s, leader);
    let going = still.is_some_and(|(reason, _)| reason == Reason::Eviction);
    match still {
        // What was lost has come back before another took its place: it stays.
        None => return Step { verdict: Some((complete(s, leader), false)), fulfilled: true, ..Step::default() },
        Some((_, Some(wish))) if wish != transition.to => return given_up("another one is wanted now".to_owned()),
        Some(_) => {}
    }
    if !going && let Err(why) = others_follow(s, leader) {
        return given_up(why);
    }
    if let Err(why) = fit(s, leader, transition.to, transition.reason) {
        return given_up(why);
    }
    transition.fencing = None;
    transition.epoch = transition.epoch.max(s.next_epoch());
    let pause = if transition.failures > 0 { COOL_DOWN } else { SETTLE };
    let waited = s.elapsed(transition.since);
    if waited < pause && !going {
        return Step { look_again: Some(pause - waited), ..under_way(s, transition) };
    }
    step_down(s, leader, transition)
}

/// Nobody is primary, and the one that was has stepped down for this change.
pub(super) fn after_step_down(s: &Situation<'_>, transition: Transition) -> Step {
    let answering = s.ordinals().into_iter().filter(|ordinal| s.server(*ordinal).is_some());
    let others = answering.filter(|ordinal| *ordinal != transition.to && *ordinal != transition.from);
    let mut unknown = None;
    for candidate in std::iter::once(transition.to).chain(others) {
        if s.server(candidate).is_none() {
            continue;
        }
        match same(s.world, s.target, transition.from, candidate) {
            Ok(true) => return Step { behind: s.left_behind(candidate), ..instead(s, transition, candidate) },
            Ok(false) => {}
            Err(why) => unknown = Some(why),
        }
    }
    // Where it lost its volume since, it may have heard of this epoch from the one that was told to lead.
    let has_all = unknown.map_or_else(|| has_all_commits(s, transition.from), Err);
    match has_all {
        Ok(true) => {}
        Ok(false) => return without_measure(s, transition),
        Err(why) => {
            let again = s.again(transition.since, QUICKLY);
            return Step { transition: Some(transition), ..Step::wait(SWITCH, format!("nobody is primary for the moment: {why}"), again) };
        }
    }
    // An equal epoch with another role is refused: the old primary needs a new one.
    let message = format!("no standby has all data of {}: it becomes primary again", s.pod_name(transition.from));
    let epoch = s.next_epoch().max(transition.epoch + 1);
    let back = Transition { to: transition.from, epoch, since: s.world.now(), failures: transition.failures + 1, ..transition };
    let mut step = promote_complete(s, back);
    step.events.push((Severity::Warning, "SwitchoverRolledBack", "SwitchPrimary", message));
    step
}

/// The change goes on with this server, whoever was chosen before: at a new epoch where that one may have been told to be primary.
pub(super) fn instead(s: &Situation<'_>, transition: Transition, candidate: i32) -> Step {
    let told = candidate != transition.to && s.target.recorded_epoch() >= transition.epoch;
    let epoch = if told { s.next_epoch() } else { transition.epoch };
    promote(s, Transition { to: candidate, epoch, ..transition })
}

/// Makes the server of a recorded change primary.
pub(super) fn promote(s: &Situation<'_>, transition: Transition) -> Step {
    let mut step = under_way(s, transition.clone());
    step.act = s.promotion(&transition);
    if let Some(Act::Promote { .. }) = step.act {
        if let Some(pod) = passed_over(s, transition.to) {
            let message = format!("Taking {} away, which was told to be primary and gives no answer", pod.name);
            step.events.push((Severity::Warning, "FencingHeir", "SwitchPrimary", message));
            step.passed_over = Some(pod);
        }
        let message = format!("Configuring new primary at index '{}'", transition.to);
        step.events.push((Severity::Normal, "PrimaryNew", "SwitchPrimary", message));
    }
    // A promotion that failed is tried again with what is seen then.
    step.look_again = Some(QUICKLY);
    step
}

/// The same for a server that has all that anybody has.
pub(super) fn promote_complete(s: &Situation<'_>, transition: Transition) -> Step {
    Step { behind: s.left_behind(transition.to), ..promote(s, transition) }
}

/// The pod of the server that was to become primary, where another one becomes it now. It may have, and stands still, or is cut off: when it is back,
/// it would send the others what it has, and they would take it, whatever they have got since.
fn passed_over(s: &Situation<'_>, chosen: i32) -> Option<Header> {
    let told = Transition::told(s.target)?;
    let is_another = told.to != chosen && s.server(told.to).is_none();
    s.observed.pods.get(&told.to).filter(|pod| is_another && !pod.header.deleting).map(|pod| pod.header.clone())
}
