//! The primary is lost: a standby that has the data takes its place.
//!
//! A server whose container has ended is lost at once. One that gives no answer while its container runs is lost after a time, when no standby
//! hears of it either; it is fenced then: taken out of the Services, its pod deleted, and nobody else promoted before that pod is gone.

use std::time::Duration;

use crds::names;
use sdk::{Header, Level, Query, Severity, SqlErrorKind, Timestamp, Verdict};

use super::{
    Act, Reason, Situation, Step, Transition,
    election::{Elected, PATIENCE, elect},
    former::stepped_down,
    heard::heard_of,
    held_back::held_back,
    recovery, replication_on,
    switchover::{QUICKLY, promote},
};
use crate::server::standing_statement;

/// How long a primary, whose container runs, may give no answer.
const SILENCE: Duration = Duration::from_millis(2_500);
/// How long standbys must have heard nothing from it. It tells them that it is there every other second.
const UNHEARD: Duration = Duration::from_secs(3);
/// A successor of a primary whose pod is gone has heard nothing from it for so long.
const SILENT_AGAIN: Duration = Duration::from_millis(700);
/// How long the server of a pod that is gone without a word may still run: a forced deletion takes away the pod before its containers.
const VANISHED: Duration = Duration::from_millis(700);
/// The same, whatever is heard.
const VANISHED_FOR_GOOD: Duration = Duration::from_secs(5);
/// Time for the last question to a server that has ended, in milliseconds. A port on which nobody listens answers at once.
const LAST_QUESTION: u64 = 300;
/// How often a silent primary is asked.
const RETRY: Duration = Duration::from_millis(250);
/// How often a primary is looked for whose return is heard of.
const RETURN: Duration = Duration::from_secs(1);
/// After this time a pod that does not go needs a person.
const FENCE_PATIENCE: Duration = Duration::from_secs(30);
/// Seconds that a fenced server gets to end: it has been silent already.
pub(crate) const FENCE_GRACE: u32 = 1;

const FAILOVER: &str = "Failover";

/// The step of a cluster in which no server that answers is primary.
pub(super) fn leaderless(s: &Situation<'_>) -> Step {
    match Transition::of(s.target) {
        Some(transition) if transition.reason == Reason::ReplicationOn => replication_on::restarted(s, transition),
        Some(transition) => match stepped_down(s, &transition) {
            Some(step) => step,
            None if transition.fencing.is_some() => fencing(s, transition),
            None => without(s, s.target.recorded_primary()),
        },
        None => without(s, s.target.recorded_primary()),
    }
}

/// Why the primary cannot be what it was.
enum Loss {
    /// Its container has ended, or its pod is gone.
    Ended,
    /// Its container runs and gives no answer, for this reason.
    Silent(String),
}

fn without(s: &Situation<'_>, primary: i32) -> Step {
    if s.server(primary).is_some() {
        return recovery::nobody(s, primary);
    }
    if s.target.status.caught_up_standbys.is_empty() {
        let why = s.observed.servers.values().find_map(|server| server.as_ref().err());
        let words = why.map_or_else(|| "none has been asked yet".to_owned(), |why| format!("none gives an answer: {why}"));
        return Step { leaderless: Some(words), ..Step::default() };
    }
    if s.observed.refusing.contains(&primary) {
        // It lives, and only does not know the operator's password: nobody takes its place.
        return Step { leaderless: Some(format!("{} does not let the operator in", s.pod_name(primary))), ..Step::default() };
    }
    let loss = match s.observed.servers.get(&primary) {
        Some(Err(why)) => Loss::Silent(why.clone()),
        _ => Loss::Ended,
    };
    match loss {
        Loss::Ended => ended(s, primary),
        Loss::Silent(why) => silent(s, primary, &why),
    }
}

fn ended(s: &Situation<'_>, primary: i32) -> Step {
    let name = s.pod_name(primary);
    match elect(s, primary) {
        Err(why) => wait(s, format!("{name} has ended, and no other server can take its place: {why}")),
        Ok(_) if !s.target.replication.automatic_failover => wait(s, format!("{name} has ended: {MANUAL}")),
        Ok(elected) => match held_back(s, &format!("{name} has ended")) {
            Some(step) => step,
            None => follow(s, primary, &elected),
        },
    }
}

/// A candidate takes the place of a primary that has ended, once it is sure that it has, and will not be back at once.
fn follow(s: &Situation<'_>, primary: i32, elected: &Elected) -> Step {
    let candidate = elected.ordinal;
    let name = s.pod_name(primary);
    let words = s.observed.pods.get(&primary).and_then(|pod| pod.body.last_words()).map(|words| format!(" ({words})")).unwrap_or_default();
    match patience(s, primary, elected) {
        Some((left, why)) => Step {
            // Its return is heard of.
            look_again: Some(left.min(RETURN)),
            ..wait(s, format!("{name} has ended{why}"))
        },
        None => match still_running(s, primary, candidate) {
            Some((since, left)) => Step {
                silent_since: Some(since),
                look_again: Some(left),
                ..Step::wait(FAILOVER, format!("{name} is gone: its server gets {} ms to end", VANISHED.as_millis()), left)
            },
            None => match last_look(s, primary, candidate) {
                Look::Back => Step::wait(FAILOVER, format!("{name} has ended, and is back"), RETRY),
                Look::Ended => take_over(s, primary, elected, format!("{name} has ended{words}"), None),
                Look::Unknown(pod) => take_over(s, primary, elected, format!("{name} has ended{words}, and cannot be reached"), Some(pod)),
            },
        },
    }
}

/// What is seen of a server whose container has ended: what is known of pods is always a little old, and it may run again.
enum Look {
    /// It is there.
    Back,
    /// It is not.
    Ended,
    /// Nothing answers, not even that nobody listens: it may be back and cut off, so its pod is fenced.
    Unknown(Header),
}

fn last_look(s: &Situation<'_>, primary: i32, candidate: i32) -> Look {
    let Some(pod) = s.observed.pods.get(&primary).filter(|pod| pod.body.has_ended()) else { return Look::Ended };
    match last_question(s, primary) {
        Ok(()) => Look::Back,
        Err(SqlErrorKind::Timeout) => match heard_of(s, &[candidate]).as_slice() {
            [Ok(Some(ago))] if *ago < UNHEARD => Look::Back,
            _ => Look::Unknown(pod.header.clone()),
        },
        Err(_) => Look::Ended,
    }
}

fn last_question(s: &Situation<'_>, primary: i32) -> Result<(), SqlErrorKind> {
    let endpoint = s.target.servers.pod(primary);
    let query = Query { endpoint, database: None, statements: vec![standing_statement()], deadline: LAST_QUESTION, max_rows: 1 };
    s.world.query(&[query]).pop().unwrap_or_else(|| Ok(Vec::new())).map(drop).map_err(|error| error.kind)
}

/// Since when the primary's pod is gone, and when to look again whether its server still runs; none where the container is known to have
/// ended. A server that goes on taking writes goes on sending them: its successor waits until it has heard nothing for a while.
fn still_running(s: &Situation<'_>, primary: i32, candidate: i32) -> Option<(Timestamp, Duration)> {
    if s.observed.pods.get(&primary).is_some_and(|pod| pod.body.has_ended()) {
        return None;
    }
    let since = s.lost_since();
    let gone = s.elapsed(since);
    if gone < VANISHED {
        return Some((since, VANISHED - gone));
    }
    match heard_of(s, &[candidate]).as_slice() {
        // When this look could be the last one, to the moment: nobody takes writes meanwhile.
        [Ok(Some(ago))] if *ago < SILENT_AGAIN && gone < VANISHED_FOR_GOOD => Some((since, SILENT_AGAIN - *ago)),
        _ => None,
    }
}

const MANUAL: &str = "spec.replication.primary.automaticFailover is false, so it is waited for";

/// How much longer the return of the primary should be waited for, and why: because another standby may have more than its successor, or because
/// all that had its data were restarted with it or after it. One that was there all the time has them, and who takes over has no less.
fn patience(s: &Situation<'_>, primary: i32, elected: &Elected) -> Option<(Duration, String)> {
    let successor = s.pod_name(elected.ordinal);
    if let Some(left) = elected.wait(s, || s.lost_since()) {
        return Some((left, format!(", {}: it is waited for", doubtful(&successor))));
    }
    let proven = elected.among.iter().filter(|ordinal| s.had_all_data(**ordinal)).filter_map(|ordinal| s.observed.pods.get(ordinal));
    let since = proven.map(|pod| pod.body.running_since()).min().flatten()?;
    let now = s.world.now();
    // A new pod whose container has ended already has never served: the primary ended with the pod before it.
    let ended = s.observed.pods.get(&primary).and_then(|pod| pod.body.made_at()).unwrap_or(now);
    // Times of Kubernetes are whole seconds.
    if since < ended {
        return None;
    }
    let left = s.left(PATIENCE, since)?;
    Some((left, format!(" together with {successor}: it has the latest data and is waited for")))
}

fn doubtful(successor: &str) -> String {
    format!("and nothing says whether {successor} has all that the others have")
}

fn silent(s: &Situation<'_>, primary: i32, why: &str) -> Step {
    let name = s.pod_name(primary);
    let since = s.lost_since();
    // One that has just come back has been silent as long as it is there.
    let back = s.observed.pods.get(&primary).and_then(|pod| pod.body.running_since());
    let quiet = s.elapsed(back.map_or(since, |back| back.max(since)));
    let waiting = |message: String| wait(s, message);
    if quiet < SILENCE {
        let message = format!("primary {name} gives no answer: {why}");
        return Step { silent_since: Some(since), ..Step::wait(FAILOVER, message, RETRY) };
    }
    if !s.target.replication.automatic_failover {
        return waiting(format!("primary {name} gives no answer: {MANUAL}"));
    }
    let elected = match elect(s, primary) {
        Ok(elected) => elected,
        Err(why) => return waiting(format!("primary {name} gives no answer, and no other server can take its place: {why}")),
    };
    match heard_of(s, &[elected.ordinal]).pop() {
        Some(Ok(Some(ago))) if ago < UNHEARD => {
            s.world.log(Level::Debug, "a standby hears from the silent primary", &[("milliseconds", ago.as_millis().to_string())]);
            let candidate = s.pod_name(elected.ordinal);
            return waiting(format!("primary {name} gives no answer here, but {candidate} still hears from it: it is not touched"));
        }
        Some(Err(why)) => return waiting(format!("primary {name} gives no answer, and {why}")),
        _ => {}
    }
    if let Some(step) = held_back(s, &format!("primary {name} gives no answer")) {
        return Step { silent_since: Some(since), ..step };
    }
    let pod = s.observed.pods.get(&primary).map(|pod| pod.header.clone());
    take_over(s, primary, &elected, format!("{name} gave no answer for {} s", quiet.as_secs()), pod)
}

/// Begins a failover to the one that has been elected.
fn take_over(s: &Situation<'_>, primary: i32, elected: &Elected, why: String, fence: Option<Header>) -> Step {
    Step { behind: elected.behind.clone(), ..begin(s, primary, elected.ordinal, why, fence) }
}

/// Begins a failover. A pod that still runs is fenced first.
fn begin(s: &Situation<'_>, primary: i32, candidate: i32, why: String, fence: Option<Header>) -> Step {
    let transition = Transition {
        reason: Reason::Failover,
        from: primary,
        to: candidate,
        epoch: s.epoch_for(candidate),
        since: s.world.now(),
        stopped: Some(s.lost_since()),
        failures: 0,
        fencing: fence.as_ref().map(|pod| pod.uid.clone()),
    };
    let message = format!("{why}: {} takes its place", s.pod_name(candidate));
    let mut step = match fence {
        None => promote(s, transition),
        Some(pod) => fence_step(s, transition, pod),
    };
    step.events.push((Severity::Warning, "PrimaryLost", FAILOVER, message));
    step.is_failover = true;
    step
}

fn fence_step(s: &Situation<'_>, transition: Transition, pod: Header) -> Step {
    let again = s.again(transition.since, QUICKLY);
    let message = format!("{} is being taken away, so that {} can become primary", s.pod_name(transition.from), s.pod_name(transition.to));
    Step {
        transition: Some(transition),
        act: Some(Act::Fence(pod)),
        verdict: Some((Verdict::no("FencingPrimary", message.clone()), true)),
        leaderless: Some(message),
        look_again: Some(again),
        ..Step::default()
    }
}

/// The pod of the lost primary has been deleted: is it gone?
fn fencing(s: &Situation<'_>, transition: Transition) -> Step {
    let fenced = s.observed.pods.get(&transition.from).filter(|pod| Some(&pod.header.uid) == transition.fencing.as_ref());
    // A container of a deleted pod that has ended is not started again.
    let there = fenced.filter(|pod| !(pod.header.deleting && pod.body.is_at_its_end()));
    let Some(pod) = there else {
        // It is gone, and with it whatever its server did.
        return match elect(s, transition.from) {
            Ok(elected) => match elected.wait(s, || transition.since) {
                None => promote_elected(s, elected, transition),
                Some(left) => {
                    let (name, successor) = (s.pod_name(transition.from), s.pod_name(elected.ordinal));
                    let step = wait(s, format!("{name} is gone, {}: it is waited for", doubtful(&successor)));
                    // Its return is heard of.
                    Step { transition: Some(transition), look_again: Some(left.min(RETURN)), ..step }
                }
            },
            Err(why) => {
                let message = format!("{} is gone, and no other server can take its place: {why}", s.pod_name(transition.from));
                Step { transition: Some(transition), ..wait(s, message) }
            }
        };
    };
    if !pod.header.deleting {
        // It was meant to be deleted and has not been: whoever meant it has died in between.
        return fence_step(s, Transition { since: s.world.now(), ..transition }, pod.header.clone());
    }
    let waited = s.elapsed(transition.since);
    if waited < FENCE_PATIENCE {
        return fence_step(s, transition, pod.header.clone());
    }
    let name = &pod.header.name;
    let why = match has_fenced_itself(s, transition.from, pod.body.self_fencing()) {
        Ok(after) => match elect(s, transition.from) {
            Ok(elected) => {
                let message = format!(
                    "pod {name} has been deleted and does not go, but its server ends itself {after} s after it is cut off, and nobody has heard \
                     from it for {} s: it counts as stopped",
                    FENCE_PATIENCE.as_secs()
                );
                let mut step = promote_elected(s, elected, transition);
                step.events.push((Severity::Warning, "PrimaryFencedItself", FAILOVER, message));
                return step;
            }
            Err(why) => format!("no other server can take its place: {why}"),
        },
        Err(why) => why,
    };
    let message = format!(
        "pod {name} has been deleted, but its node does not say that it has ended; nobody else becomes primary while it may take writes ({why}). \
         If the node is gone for good, run: kubectl delete pod {name} --namespace {} --force --grace-period=0",
        s.target.namespace()
    );
    Step { transition: Some(transition), ..wait(s, message) }
}

/// A failover goes on with whoever is elected now, since nobody has to be taken away any more.
fn promote_elected(s: &Situation<'_>, elected: Elected, transition: Transition) -> Step {
    Step { behind: elected.behind, ..promote(s, Transition { to: elected.ordinal, fencing: None, ..transition }) }
}

/// Whether the server of a pod that does not go has certainly ended itself, and after how many seconds it does.
///
/// It does when it reaches neither the API server nor another server. That it has been so for long enough is taken from three clocks, each of
/// which counts a time of its own: the operator's since it deleted the pod, and those of all standbys since they last heard from it. What is left
/// is a server that reaches the API server, but nobody else, while its kubelet does not: two faults at a time.
fn has_fenced_itself(s: &Situation<'_>, primary: i32, after: Option<u64>) -> Result<u64, String> {
    let after = after.ok_or("it was made before servers ended themselves when they are cut off")?;
    if Duration::from_secs(3 * after) > FENCE_PATIENCE {
        return Err(format!("its server may go on for {after} s when it is cut off"));
    }
    let others: Vec<i32> = s.ordinals().into_iter().filter(|ordinal| *ordinal != primary).collect();
    for (ordinal, heard) in others.iter().zip(heard_of(s, &others)) {
        match heard? {
            Some(ago) if ago >= FENCE_PATIENCE => {}
            Some(_) => return Err(format!("{} still heard from it a moment ago", s.pod_name(*ordinal))),
            None => return Err(format!("{} has not heard from it since its own start", s.pod_name(*ordinal))),
        }
    }
    if last_question(s, primary).is_ok() {
        return Err("its server still answers".to_owned());
    }
    Ok(after)
}

/// A person has decided that a server becomes primary without the proof.
pub(super) fn asked_for(s: &Situation<'_>) -> Option<Step> {
    let (pod, epoch) = s.target.metadata.annotations.get(names::ANNOTATION_PROMOTE)?.split_once('@')?;
    let ordinal = names::ordinal(pod).filter(|ordinal| s.pod_name(*ordinal) == pod)?;
    let server = s.server(ordinal)?;
    if epoch.parse() != Ok(s.next_epoch()) || server.report.has_no_cluster() {
        return None;
    }
    let why = format!("{pod} was chosen by annotation {}", names::ANNOTATION_PROMOTE);
    Some(Step { is_failover: false, ..begin(s, s.target.recorded_primary(), ordinal, why, None) })
}

/// The primary is lost and nothing is done, for this reason; a person may decide otherwise.
pub(super) fn wait(s: &Situation<'_>, message: String) -> Step {
    wait_because(s, "WaitingForPrimary", message)
}

/// The same with a reason of its own for the condition.
pub(super) fn wait_because(s: &Situation<'_>, reason: &str, message: String) -> Step {
    let name = s.target.name();
    let hint = format!(
        "{message}. To take one in spite of that, and lose what only others have: \
         kubectl annotate doltdb {name} --overwrite {}=<pod>@{}",
        names::ANNOTATION_PROMOTE,
        s.next_epoch()
    );
    let since = s.lost_since();
    Step {
        leaderless: Some(message),
        verdict: Some((Verdict::no(reason, hint), true)),
        silent_since: Some(since),
        look_again: Some(s.again(since, RETRY)),
        ..Step::default()
    }
}
