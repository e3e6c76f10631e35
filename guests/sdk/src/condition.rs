//! Conditions of a status. The time of a condition changes only with its status, and the clock is read only then, so that an object that
//! needs nothing asks for nothing.

use serde::{Deserialize, Serialize};

use crate::{Failure, Request, Timestamp, World};

/// One entry of `status.conditions`, as Kubernetes has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about; unique in the list.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The `metadata.generation` that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<u64>,
    /// When the status last changed, RFC 3339.
    #[serde(default)]
    pub last_transition_time: String,
    /// In upper camel case.
    #[serde(default)]
    pub reason: String,
    /// For people.
    #[serde(default)]
    pub message: String,
}

/// What a condition should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it holds.
    pub holds: bool,
    /// In upper camel case.
    pub reason: String,
    /// For people.
    pub message: String,
}

impl Verdict {
    /// It holds.
    pub fn yes(reason: &str, message: impl Into<String>) -> Self {
        Self { holds: true, reason: reason.to_owned(), message: message.into() }
    }

    /// It does not hold.
    pub fn no(reason: &str, message: impl Into<String>) -> Self {
        Self { holds: false, reason: reason.to_owned(), message: message.into() }
    }
}

/// The conditions of one object: those that it has, changed where a verdict differs. Conditions of other types stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    generation: u64,
    list: Vec<Condition>,
}

impl Conditions {
    /// The conditions that the object has, now looked at in this generation.
    pub fn new(generation: u64, existing: Vec<Condition>) -> Self {
        Self { generation, list: existing }
    }

    /// The conditions in the status of the reconciled object.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn of(request: &Request) -> Result<Self, Failure> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Body {
            status: Status,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            conditions: Vec<Condition>,
        }
        let object = request.object_as::<Body>()?;
        Ok(Self::new(object.header.generation, object.body.status.conditions))
    }

    /// Sets the condition of this type and says whether it now tells something else than before.
    pub fn set(&mut self, world: &dyn World, kind: &str, verdict: &Verdict) -> bool {
        let status = if verdict.holds { "True" } else { "False" };
        let place = self.list.iter().position(|c| c.kind == kind);
        let old = place.map(|at| &self.list[at]);
        let kept = old.filter(|c| c.status == status && !c.last_transition_time.is_empty()).map(|c| c.last_transition_time.clone());
        let news = !old.is_some_and(|c| c.status == status && c.reason == verdict.reason && c.message == verdict.message);
        let condition = Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            observed_generation: Some(self.generation),
            last_transition_time: kept.unwrap_or_else(|| rfc3339(world.now())),
            reason: verdict.reason.clone(),
            message: verdict.message.clone(),
        };
        match place {
            Some(at) => self.list[at] = condition,
            None => self.list.push(condition),
        }
        news
    }

    /// The condition of this type.
    pub fn get(&self, kind: &str) -> Option<&Condition> {
        self.list.iter().find(|c| c.kind == kind)
    }

    /// The list for the status.
    pub fn into_list(self) -> Vec<Condition> {
        self.list
    }
}

/// A time as Kubernetes writes it: RFC 3339 in UTC, in whole seconds.
pub fn rfc3339(time: Timestamp) -> String {
    let seconds = i64::try_from(time / 1_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// A time with its milliseconds, as RFC 3339 in UTC.
pub fn rfc3339_millis(time: Timestamp) -> String {
    let millis = i64::try_from(time).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// The time that a text in RFC 3339 means; none where it means none.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Timestamp::try_from(time.as_millisecond()).ok()
}

#[cfg(all(test, feature = "testkit"))]
mod tests {
    use super::*;
    use crate::testkit::Fixture;

    fn world() -> Fixture {
        Fixture::parse("object: {}\nnow: 2026-03-04T05:06:07.890Z\n").expect("the text above is a fixture")
    }

    #[test]
    fn the_time_changes_with_the_status_only() {
        let world = world();
        let mut conditions = Conditions::new(3, Vec::new());
        assert!(conditions.set(&world, "Ready", &Verdict::no("Waiting", "for a")));
        assert_eq!(conditions.get("Ready").unwrap().last_transition_time, "2026-03-04T05:06:07Z");
        let mut conditions = Conditions::new(4, conditions.into_list());
        assert!(conditions.set(&world, "Ready", &Verdict::no("Waiting", "for b")), "another message is news");
        assert!(!conditions.set(&world, "Ready", &Verdict::no("Waiting", "for b")), "the same is none");
        assert_eq!(conditions.get("Ready").unwrap().observed_generation, Some(4));
        assert_eq!(world.reads(), ["now"], "the clock was read once, for the new condition");
    }
}
