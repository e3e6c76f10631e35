//! What stands in the way of an object, and how that is told: the condition `Ready` and, when it is news, an event.

use std::time::Duration;

use crds::ConditionStatus;
use sdk::{Condition, Conditions, Plan, Severity, Verdict, World};

/// The condition that says whether an object is as it should be.
pub const READY: &str = "Ready";

/// Why an object cannot be what it should be, in words that say what is awaited or what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// In upper camel case.
    pub reason: &'static str,
    /// Names the field and the value, or the object that is missing.
    pub message: String,
    /// When to look again; none: when an answer changes.
    pub retry: Option<Duration>,
}

impl Obstacle {
    /// Something that a watch will show to be gone.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry: None }
    }

    /// Something that only another look can show to be gone.
    pub fn look_again(reason: &'static str, message: impl Into<String>, retry: Duration) -> Self {
        Self { reason, message: message.into(), retry: Some(retry) }
    }
}

/// Sets the condition `Ready` and tells of it by an event where it is news: a warning where `warn` says so, a normal one when the object has become ready.
pub fn report(world: &dyn World, conditions: &mut Conditions, plan: &mut Plan, verdict: &Verdict, warn: bool) {
    let was_ready = conditions.get(READY).is_some_and(|c| c.status == "True");
    if !conditions.set(world, READY, verdict) {
        return;
    }
    if warn {
        plan.event(Severity::Warning, &verdict.reason, "Reconcile", verdict.message.clone());
    } else if verdict.holds && !was_ready {
        plan.event(Severity::Normal, &verdict.reason, "Reconcile", verdict.message.clone());
    }
}

/// The conditions that stand in a status that has been read, now looked at in this generation.
pub fn conditions(generation: u64, said: &[crds::Condition]) -> Conditions {
    let condition = |said: &crds::Condition| Condition {
        kind: said.type_.clone(),
        status: match said.status {
            ConditionStatus::True => "True",
            ConditionStatus::False => "False",
            ConditionStatus::Unknown => "Unknown",
        }
        .to_owned(),
        observed_generation: said.observed_generation.and_then(|generation| u64::try_from(generation).ok()),
        last_transition_time: said.last_transition_time.clone(),
        reason: said.reason.clone(),
        message: said.message.clone(),
    };
    Conditions::new(generation, said.iter().map(condition).collect())
}

/// The same as they stand in a status that is to be written.
pub fn said(conditions: Conditions) -> Vec<crds::Condition> {
    let condition = |condition: Condition| crds::Condition {
        type_: condition.kind,
        status: match condition.status.as_str() {
            "True" => ConditionStatus::True,
            "False" => ConditionStatus::False,
            _ => ConditionStatus::Unknown,
        },
        observed_generation: condition.observed_generation.and_then(|generation| i64::try_from(generation).ok()),
        last_transition_time: condition.last_transition_time,
        reason: condition.reason,
        message: condition.message,
    };
    conditions.into_list().into_iter().map(condition).collect()
}
