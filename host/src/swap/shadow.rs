//! The shadow run: a candidate decides what the active module has decided, and nothing of it happens.
//!
//! The journals of the slot are replayed, then both modules look at live objects. Where the candidate asks the same questions it is given
//! the same answers, so that only the decisions differ. A call that is ended, or a plan outside of the grant, is a fault.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use serde::Serialize;
use tokio::time::Instant;

use super::diff::differences;
use crate::{
    contract::{Kind, Object, Request, Selection},
    controller::Journals,
    gateway::{Divergence, Ending, Journal, ObjectKey, Recorder, Replay, SharedGateway, Subject},
    plan::{Granted, Reach, check},
    runtime::Guest,
    settings::{Limits, Reconciler},
};

/// Live objects that are tried.
const OBJECTS: u32 = 20;
/// Objects at the same time: reads of a shadow run come on top of those of the reconciles.
const AT_ONCE: usize = 4;
/// For everything live. What has not been compared until then is not.
const TIME: Duration = Duration::from_secs(4);
/// Comparisons that are named in a summary.
const NAMED: usize = 3;

/// What a shadow run needs of the host.
#[derive(Clone)]
pub struct Stage {
    /// The world, not yet narrowed by a grant.
    pub world: SharedGateway,
    /// Recent reconciles.
    pub journals: Arc<Journals>,
    /// Limits of plans.
    pub limits: Limits,
}

/// What came out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shadow {
    /// Each decision that was compared.
    pub comparisons: Vec<Comparison>,
    /// What was not compared, and why.
    pub left_out: Vec<String>,
}

/// One decision of the candidate beside that of the active module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The reconciled object.
    pub object: String,
    /// Whether the object was looked at just now; otherwise it is a replay of the past.
    pub live: bool,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "outcome", content = "details")]
pub enum Outcome {
    /// The same answer.
    Equal,
    /// Another answer, with each place in which it differs.
    Differs(Vec<String>),
    /// It asked something else, so the past has no answer.
    OtherReads(String),
    /// It failed, where the active module does not.
    Faulted(String),
}

impl Shadow {
    /// Whether all that was compared is the same.
    pub fn is_equal(&self) -> bool {
        self.comparisons.iter().all(|one| one.outcome == Outcome::Equal)
    }

    /// Why the candidate must not run, if it must not.
    pub fn fault(&self) -> Option<String> {
        self.comparisons.iter().find_map(|one| match &one.outcome {
            Outcome::Faulted(why) => Some(format!("{}: {why}", one.title())),
            _ => None,
        })
    }

    /// In a line.
    pub fn summary(&self) -> String {
        let count = |live: bool| {
            let ours = self.comparisons.iter().filter(|one| one.live == live);
            (ours.clone().filter(|one| one.outcome == Outcome::Equal).count(), ours.count())
        };
        let ((replayed_equal, replayed), (live_equal, live)) = (count(false), count(true));
        let mut parts = vec![match replayed + live {
            0 => "there was nothing to compare with".to_owned(),
            _ => format!("{replayed_equal} of {replayed} replayed and {live_equal} of {live} live decisions are the same"),
        }];
        let others: Vec<_> = self.comparisons.iter().filter(|one| one.outcome != Outcome::Equal).collect();
        parts.extend(others.iter().take(NAMED).map(|one| format!("{}: {}", one.title(), one.outcome.line())));
        if others.len() > NAMED {
            parts.push(format!("and {} more", others.len() - NAMED));
        }
        parts.extend(self.left_out.iter().cloned());
        parts.join("; ")
    }
}

impl Comparison {
    fn title(&self) -> String {
        format!("{}{}", self.object, if self.live { "" } else { " (replayed)" })
    }
}

impl Outcome {
    /// In a line, for people.
    pub fn line(&self) -> String {
        match self {
            Self::Equal => "the same".into(),
            Self::Differs(lines) if lines.len() > 1 => format!("{} (and {} more places)", lines[0], lines.len() - 1),
            Self::Differs(lines) => lines.first().cloned().unwrap_or_default(),
            Self::OtherReads(what) => what.clone(),
            Self::Faulted(why) => format!("it failed: {why}"),
        }
    }

    /// Compares two answers that were given to the same questions.
    fn of(old: &Ending, new: &Ending, denied: Option<String>) -> Self {
        match (old, new, denied) {
            // Who fails where the active module fails too is no worse.
            (Ending::Ended(_), Ending::Ended(_), _) => Self::Equal,
            (_, Ending::Ended(why), _) => Self::Faulted(why.clone()),
            (_, _, Some(why)) => Self::Faulted(format!("its plan would be denied: {why}")),
            (old, new, None) => match differences(old, new) {
                lines if lines.is_empty() => Self::Equal,
                lines => Self::Differs(lines),
            },
        }
    }
}

/// Lets a module decide again what is in a journal. Gives its answer, or where it asked something that the journal does not have.
pub async fn replay(guest: &Guest, journal: &Journal) -> Result<Ending, Divergence> {
    let replay = Arc::new(Replay::new(journal.reads.clone()));
    let ending = decide(guest, &journal.subject, replay.clone(), &journal.request).await;
    replay.divergence().map_or(Ok(ending), Err)
}

async fn decide(guest: &Guest, subject: &Subject, gateway: SharedGateway, request: &Request) -> Ending {
    match guest.reconcile(subject, gateway, request).await {
        Ok(Ok(plan)) => Ending::Plan(plan),
        Ok(Err(failure)) => Ending::Failure(failure),
        Err(ended) => Ending::Ended(format!("{}: {ended}", ended.reason())),
    }
}

/// Two modules beside each other in one slot.
pub(super) struct Trial<'a> {
    pub(super) slot: &'a str,
    pub(super) settings: &'a Reconciler,
    pub(super) stage: &'a Stage,
    /// What is active, with its digest, if anything is.
    pub(super) active: Option<(&'a Guest, &'a str)>,
    pub(super) candidate: &'a Guest,
}

impl Trial<'_> {
    /// Tries the candidate.
    pub(super) async fn run(&self) -> Shadow {
        let mut shadow = Shadow::default();
        let reach = Reach::new(Arc::new(self.settings.clone()));
        for journal in self.stage.journals.of(self.slot) {
            if let Some(comparison) = self.past(&journal, &reach).await {
                shadow.comparisons.push(comparison);
            }
            // One is enough, and one that loops would take its time again and again.
            if shadow.fault().is_some() {
                return shadow;
            }
        }
        let objects = match self.objects().await {
            Ok(objects) => objects,
            Err(why) => {
                shadow.left_out.push(why);
                Vec::new()
            }
        };
        let (all, end) = (objects.len(), Instant::now() + TIME);
        let mut live = stream::iter(objects).map(|object| self.live(object, &reach)).buffer_unordered(AT_ONCE);
        let mut compared = 0;
        while let Ok(Some(comparison)) = tokio::time::timeout_at(end, live.next()).await {
            shadow.comparisons.push(comparison);
            compared += 1;
            if shadow.fault().is_some() {
                return shadow;
            }
        }
        if compared < all {
            shadow.left_out.push(format!("{} live objects took longer than {} s and were not compared", all - compared, TIME.as_secs()));
        }
        shadow
    }

    /// The candidate's decision in the past, beside what was decided.
    async fn past(&self, journal: &Journal, reach: &Reach) -> Option<Comparison> {
        let old = match self.active {
            // A journal of another module says nothing of the active one.
            Some((guest, digest)) if digest != journal.module => replay(guest, journal).await.ok()?,
            _ => journal.ending.clone(),
        };
        let outcome = match replay(self.candidate, journal).await {
            Ok(new) => Outcome::of(&old, &new, self.denied(&new, &old, &journal.subject, reach)),
            Err(divergence) => Outcome::OtherReads(divergence.to_string()),
        };
        Some(Comparison { object: journal.subject.object.to_string(), live: false, outcome })
    }

    /// Both decisions about an object as it is now.
    async fn live(&self, object: Object, reach: &Reach) -> Comparison {
        let header = &object.header;
        let subject = Subject { reconciler: self.slot.into(), uid: header.uid.clone(), object: header.into() };
        let granted: SharedGateway = Arc::new(Granted::new(self.stage.world.clone(), reach.clone()));
        let request = Request { object, settings: self.settings.settings.to_string(), last: None };
        let mut outcome = None;
        let mut old = None;
        if let Some((guest, _)) = self.active {
            let recorder = Arc::new(Recorder::new(granted.clone()));
            let ending = decide(guest, &subject, recorder.clone(), &request).await;
            // The same answers where it asks the same, so that a change in between is not taken for a difference.
            let replay = Arc::new(Replay::new(recorder.take()));
            let new = decide(self.candidate, &subject, replay.clone(), &request).await;
            if replay.divergence().is_none() {
                outcome = Some(Outcome::of(&ending, &new, self.denied(&new, &ending, &subject, reach)));
            }
            old = Some(ending);
        }
        let outcome = match outcome {
            Some(outcome) => outcome,
            None => {
                let new = decide(self.candidate, &subject, granted, &request).await;
                let old = old.unwrap_or_else(|| new.clone());
                match (&new, self.active) {
                    (Ending::Ended(why), None) => Outcome::Faulted(why.clone()),
                    _ => Outcome::of(&old, &new, self.denied(&new, &old, &subject, reach)),
                }
            }
        };
        Comparison { object: subject.object.to_string(), live: true, outcome }
    }

    /// Why the candidate's plan would be denied, unless the active module's would be too.
    fn denied(&self, new: &Ending, old: &Ending, subject: &Subject, reach: &Reach) -> Option<String> {
        let denial = |ending: &Ending| match ending {
            Ending::Plan(plan) => check(plan, subject, reach, &self.stage.limits, None).err(),
            _ => None,
        };
        let new = denial(new)?;
        match (denial(old), self.active) {
            (Some(_), Some(_)) => None,
            _ => Some(new.to_string()),
        }
    }

    async fn objects(&self) -> Result<Vec<Object>, String> {
        let own = &self.settings.reconciles;
        let kind = Kind { api_version: own.api_version.clone(), kind: own.kind.clone() };
        let key = ObjectKey::new(&kind.api_version, &kind.kind, "", "");
        let subject = Subject { reconciler: self.slot.into(), object: key, uid: String::new() };
        let selection = Selection { kind, namespace: String::new(), labels: vec![], fields: vec![], limit: OBJECTS, page: None };
        let page = self.stage.world.select(&subject, &selection).await.map_err(|e| format!("live objects cannot be listed: {e}"))?;
        Ok(page.into_page().objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Effect, Next, Plan};

    fn plan(status: &str) -> Ending {
        Ending::Plan(Plan { effects: vec![Effect::Status(status.into())], events: vec![], next: Next::Change })
    }

    fn ended() -> Ending {
        Ending::Ended("Panicked: oh".into())
    }

    #[rstest::rstest]
    #[case::same(plan("{}"), plan("{}"), None, Outcome::Equal)]
    #[case::other(plan("{}"), plan(r#"{"a":1}"#), None, Outcome::Differs(vec!["/effects/0/Status/a: 1 is new".into()]))]
    #[case::traps(plan("{}"), ended(), None, Outcome::Faulted("Panicked: oh".into()))]
    #[case::traps_as_before(ended(), ended(), None, Outcome::Equal)]
    #[case::denied(plan("{}"), plan("{}"), Some("no".into()), Outcome::Faulted("its plan would be denied: no".into()))]
    fn answers_are_compared(#[case] old: Ending, #[case] new: Ending, #[case] denied: Option<String>, #[case] expected: Outcome) {
        assert_eq!(Outcome::of(&old, &new, denied), expected);
    }

    #[test]
    fn the_summary_counts_and_names() {
        let one = |object: &str, live, outcome| Comparison { object: object.into(), live, outcome };
        let differs = || Outcome::Differs(vec!["/next: 1 became 2".into(), "/events/0: 3 is new".into()]);
        let comparisons = vec![
            one("Thing ns/a", false, Outcome::Equal),
            one("Thing ns/b", false, differs()),
            one("Thing ns/a", true, Outcome::Equal),
            one("Thing ns/c", true, Outcome::Faulted("oh".into())),
        ];
        let shadow = Shadow { comparisons, left_out: vec![] };
        let expected = "1 of 2 replayed and 1 of 2 live decisions are the same; Thing ns/b (replayed): /next: 1 became 2 (and 1 more places); \
                        Thing ns/c: it failed: oh";
        assert_eq!(shadow.summary(), expected);
        assert_eq!((shadow.is_equal(), shadow.fault()), (false, Some("Thing ns/c: oh".into())));
        assert_eq!(Shadow::default().summary(), "there was nothing to compare with");
    }
}
