//! Who shall be primary: one next step at a time, decided from what the servers say now.
//!
//! Every change of the primary is a protocol of several rounds. The status says which change is under way, with its epoch, before the first
//! thing is done for it; everything else is read again in each round. So the reconciler may die between any two steps.
//!
//! The rules behind all of it: a server becomes primary only if it has been seen to have the data; an epoch that a server was told to be
//! primary with is never given to another; and where each choice would lose something, nothing is chosen, and a person is asked.
//!
//! It knows nothing of Services and labels, which follow from what the servers say.

pub(crate) mod content;
mod election;
mod emptied;
mod failover;
mod former;
mod heard;
mod held_back;
mod kept_role;
mod recovery;
mod replication_on;
mod switchover;
mod transition;

use std::time::Duration;

use dolt::role_statement;
use sdk::{Execution, Guard, Header, Outcome, Severity, Timestamp, Value, Verdict, World, sql, value};

pub(crate) use emptied::emptied;
pub(crate) use failover::FENCE_GRACE;
pub(crate) use held_back::COUNTED;
pub(crate) use kept_role::forgetful;
pub(crate) use switchover::SWITCHED;
pub(crate) use transition::{Reason, Transition};

use self::{content::same, heard::last_sign};
use crate::{
    form::Form,
    observe::Observed,
    roles::{Leadership, highest_epoch},
    server::Server,
    target::Target,
};

/// How long a server gets to step down: Dolt itself waits up to 10 s for its standbys.
const STEP_DOWN_DEADLINE: u64 = 13_000;
/// How long it may take to tell a server that it is primary, in milliseconds. What was decided is old then: the one that was lost may be back, and
/// have sent others what nobody else had.
const PROMOTION_DEADLINE: u64 = 3_000;

/// What is known when a step is decided.
pub(crate) struct Situation<'a> {
    pub(crate) world: &'a dyn World,
    pub(crate) target: &'a Target,
    pub(crate) observed: &'a Observed,
    pub(crate) leadership: &'a Leadership,
    /// How the last plan ended, if that is known.
    pub(crate) last: Option<&'a Outcome>,
}

/// What is decided about the primary in one round.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// The change that is under way from now on.
    pub(crate) transition: Option<Transition>,
    /// What is done for it, after it stands in the status.
    pub(crate) act: Option<Act>,
    /// The condition `PrimarySwitched`, where there is something to say, and whether it is a warning.
    pub(crate) verdict: Option<(Verdict, bool)>,
    /// Events beside the condition's own: reason, action, message.
    pub(crate) events: Vec<(Severity, &'static str, &'static str, String)>,
    /// Why nobody is primary, for the condition `Ready`.
    pub(crate) leaderless: Option<String>,
    /// Whether the wishes of spec and annotations for a primary count as fulfilled.
    pub(crate) fulfilled: bool,
    /// Whether an automatic failover begins with it.
    pub(crate) is_failover: bool,
    /// The pod of a server that was told to be primary, gives no answer, and is passed over: it goes before another one is promoted.
    pub(crate) passed_over: Option<Header>,
    /// Servers that lack what the one has that is chosen: that they once had all data speaks for them no more, should that one be lost, too.
    pub(crate) behind: Vec<i32>,
    /// Since when the primary gives no answer, or is gone.
    pub(crate) silent_since: Option<Timestamp>,
    /// When to look again, if sooner than usual.
    pub(crate) look_again: Option<Duration>,
}

/// What is done about the primary.
#[derive(Debug)]
pub(crate) enum Act {
    /// The primary steps down by itself, once enough standbys have everything.
    StepDown(Box<Execution>),
    /// A server becomes primary.
    Promote {
        /// What makes it so.
        execution: Box<Execution>,
        /// The epoch, which is used up by it.
        epoch: u64,
    },
    /// A pod is taken away, whatever its server does.
    Fence(Header),
}

/// Decides the next step. `forgetful` is a primary that has not kept its role, `emptied` one that has lost its volume.
pub(crate) fn decide(situation: &Situation<'_>, forgetful: Option<i32>, emptied: Option<i32>) -> Step {
    let Situation { target, observed, leadership, .. } = situation;
    if !target.replication.enabled || !observed.is_as_specified(target) {
        return Step::default();
    }
    if target.form == Form::TurningOn {
        return replication_on::announced(situation);
    }
    if let Some(leader) = forgetful {
        return kept_role::insist(situation, leader);
    }
    if !matches!(leadership, Leadership::One(_))
        && let Some(step) = failover::asked_for(situation)
    {
        return step;
    }
    if let Some(leader) = emptied {
        return emptied::replaced(situation, leader);
    }
    match leadership {
        Leadership::One(leader) => switchover::led(situation, *leader),
        Leadership::Nobody => failover::leaderless(situation),
        Leadership::Stale { ordinal, .. } => recovery::stale(situation, *ordinal),
        Leadership::Several { ordinals, epoch } => recovery::several(situation, ordinals, *epoch),
    }
}

impl Step {
    /// The standby that is about to become primary.
    pub(crate) fn reserved(&self) -> Option<i32> {
        self.transition.as_ref().filter(|t| t.failures == 0 && t.to != t.from).map(|t| t.to)
    }

    /// The lost primary in whose place another one comes.
    pub(crate) fn replaced(&self) -> Option<i32> {
        self.transition.as_ref().filter(|t| t.reason == Reason::Failover && t.to != t.from).map(|t| t.from)
    }

    /// Whether the other servers have no data yet, whatever their volumes hold.
    pub(crate) fn others_are_empty(&self) -> bool {
        self.transition.as_ref().is_some_and(|transition| transition.reason == Reason::ReplicationOn)
    }

    /// A step that only waits, with the reason for the condition `PrimarySwitched`.
    fn wait(reason: &str, message: String, look_again: Duration) -> Self {
        Self {
            leaderless: Some(message.clone()),
            verdict: Some((Verdict::no(reason, message), true)),
            look_again: Some(look_again),
            ..Self::default()
        }
    }
}

impl Situation<'_> {
    fn server(&self, ordinal: i32) -> Option<&Server> {
        self.observed.server(ordinal)
    }

    /// How long ago something was that the status tells of. A clock that was set back by much makes it long ago: it must not be waited for.
    fn elapsed(&self, since: Timestamp) -> Duration {
        const SET_BACK: Timestamp = 10_000;
        let now = self.world.now();
        if since > now.saturating_add(SET_BACK) { Duration::from_secs(3_600) } else { Duration::from_millis(now.saturating_sub(since)) }
    }

    /// What is left of a time that began then, if anything is.
    fn left(&self, time: Duration, since: Timestamp) -> Option<Duration> {
        time.checked_sub(self.elapsed(since)).filter(|left| !left.is_zero())
    }

    /// How soon to look again at something that is waited for since then. Each look is a round, and an object has only so many of them in a
    /// minute: what has not come at once is looked for less often.
    fn again(&self, since: Timestamp, soon: Duration) -> Duration {
        const AT_ONCE: Duration = Duration::from_secs(5);
        const OFTEN: Duration = Duration::from_secs(1);
        if self.elapsed(since) < AT_ONCE { soon } else { soon.max(OFTEN) }
    }

    /// Since when the primary is seen to be lost; from now on, if that is news.
    fn lost_since(&self) -> Timestamp {
        let recorded = self.target.status.primary_silent_since.as_deref().and_then(sdk::parse_rfc3339);
        recorded.unwrap_or_else(|| self.world.now())
    }

    fn pod_name(&self, ordinal: i32) -> String {
        self.target.pod(ordinal)
    }

    /// Whether a server had all data when the primary was last asked, and is on the volume that has them.
    fn had_all_data(&self, ordinal: i32) -> bool {
        self.target.status.caught_up_standbys.contains(&self.pod_name(ordinal)) && !self.has_lost_its_volume(ordinal)
    }

    /// Servers that had all data when the primary was last asked, and are seen to lack something of this one, which has everything. The primary wrote
    /// on until it stepped down, and nobody can say again what they lack, should this one be lost at once.
    fn left_behind(&self, ordinal: i32) -> Vec<i32> {
        let lacks = |other: i32| self.server(other).is_some() && same(self.world, self.target, ordinal, other) == Ok(false);
        self.ordinals().into_iter().filter(|other| *other != ordinal && self.had_all_data(*other) && lacks(*other)).collect()
    }

    /// As [`Observed::has_lost_its_volume`].
    fn has_lost_its_volume(&self, ordinal: i32) -> bool {
        self.observed.has_lost_its_volume(self.target, ordinal)
    }

    /// An epoch that nobody has ever been primary with.
    fn next_epoch(&self) -> u64 {
        highest_epoch(&self.observed.servers, self.target.recorded_epoch()) + 1
    }

    /// The same for this server: one that it was told before and has not taken may be used for it again.
    fn epoch_for(&self, ordinal: i32) -> u64 {
        let seen = highest_epoch(&self.observed.servers, 0);
        let told = Transition::of(self.target).filter(|t| t.to == ordinal && t.epoch > seen && t.epoch == self.target.recorded_epoch());
        told.map_or_else(|| self.next_epoch(), |t| t.epoch)
    }

    /// The pods that the StatefulSet has now, which a change of the spec may not have reached yet.
    fn ordinals(&self) -> Vec<i32> {
        let replicas = self.observed.stateful_set.as_ref().and_then(|set| set.body.spec.replicas);
        (0..replicas.unwrap_or(self.target.replicas)).collect()
    }

    /// Makes the server of a change primary, if it still is what it was when that was decided, and has what it had.
    fn promotion(&self, transition: &Transition) -> Option<Act> {
        let Transition { to: ordinal, epoch, .. } = *transition;
        let execution = Execution {
            endpoint: self.target.servers.pod(ordinal),
            database: None,
            guard: Some(self.server(ordinal)?.guard(last_sign(self, transition))),
            statements: vec![sql!("CALL DOLT_ASSUME_CLUSTER_ROLE(?, ?)", value("primary"), value(epoch))],
            deadline: PROMOTION_DEADLINE,
        };
        Some(Act::Promote { execution: Box::new(execution), epoch })
    }

    /// Asks the primary to step down once so many standbys have everything that it has.
    fn step_down(&self, ordinal: i32, epoch: u64) -> Option<Act> {
        let report = self.server(ordinal)?.report;
        let standbys = i32::try_from(self.ordinals().len()).unwrap_or(i32::MAX) - 1;
        let enough = self.target.replication.min_caught_up_standby.clamp(1, standbys.max(1));
        let execution = Execution {
            endpoint: self.target.servers.pod(ordinal),
            database: None,
            guard: Some(Guard {
                statement: role_statement(),
                expected: vec![Value::Text("primary".to_owned()), Value::Unsigned(report.epoch)],
            }),
            statements: vec![sql!("CALL DOLT_CLUSTER_TRANSITION_TO_STANDBY(?, ?)", value(epoch), value(i64::from(enough)))],
            deadline: STEP_DOWN_DEADLINE,
        };
        Some(Act::StepDown(Box::new(execution)))
    }

    /// The message of the SQL effect that failed in the last plan.
    fn failed_sql(&self) -> Option<&str> {
        let failure = self.last?.failure.as_ref()?;
        failure
            .sql
            .as_ref()
            .map(|sql| sql.message.as_str())
            .or_else(|| (failure.kind == sdk::FailureKind::Guard).then_some(failure.message.as_str()))
    }
}
