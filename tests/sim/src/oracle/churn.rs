//! What comes and goes: as long as only the operator is disturbed, no more objects are made and deleted than when nothing goes wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use host::{cluster::Stored, gateway::ObjectKey};

use crate::{
    api::Change,
    oracle::Violation,
    run::{Options, to_the_end},
    scenario::Scenario,
    schedule::{Schedule, Trouble},
    world::World,
};

/// How many objects of each kind have been made, and how many have gone. A pod counts from the start of its server on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Churn {
    counts: BTreeMap<String, [usize; 2]>,
    /// Pods whose servers have not started yet.
    starting: BTreeSet<ObjectKey>,
    /// The last template that replaces pods.
    template: String,
    /// How many pods templates replaced, if each replaced them all. It may be fewer: where one comes while a pod is away, its next one has it at once.
    replaced: usize,
}

impl Churn {
    pub(super) fn count(&mut self, change: &Change) {
        let gone = change.object.is_none();
        let counts = match &change.object {
            _ if change.key.kind != "Pod" => change.is_new || gone,
            Some(_) if change.is_new => {
                self.starting.insert(change.key.clone());
                false
            }
            Some(pod) => pod.body["status"]["containerStatuses"][0]["started"] == true && self.starting.remove(&change.key),
            None => !self.starting.remove(&change.key),
        };
        if counts {
            self.counts.entry(change.key.kind.clone()).or_default()[usize::from(gone)] += 1;
        }
    }

    /// A template that the StatefulSet's controller has not seen replaces its pods.
    pub(super) fn count_template(&mut self, set: &Stored, template: String) {
        let is_new = set.body["status"]["updateRevision"].as_str().is_some_and(|known| known != template);
        if is_new && self.template != template {
            self.replaced += set.body["spec"]["replicas"].as_u64().and_then(|replicas| usize::try_from(replicas).ok()).unwrap_or_default();
            self.template = template;
        }
    }

    /// Of what there was more than in another run.
    fn beyond(&self, other: &Self) -> Option<String> {
        let more = |(kind, now): (&String, &[usize; 2])| {
            let then = other.counts.get(kind).copied().unwrap_or_default();
            let then = if kind == "Pod" { then.map(|pods| pods.max(other.replaced)) } else { then };
            let what = ["were made", "went"].into_iter().zip(now.iter().zip(&then)).find(|(_, (now, then))| now > then);
            what.map(|(what, (now, then))| format!("{now} objects of kind {kind} {what}, and {then} where nothing goes wrong"))
        };
        self.counts.iter().find_map(more)
    }
}

impl Trouble {
    /// Whether it is one of the operator alone, and short enough that it does nothing else in the end than without.
    fn is_of_the_operator(&self) -> bool {
        match self {
            Self::CrashBefore(down) | Self::CrashAfter(down) | Self::Restart { down, .. } => *down < 3_000,
            Self::Refuse | Self::LoseAnswer | Self::Swap | Self::ClockJump(_) => true,
            _ => false,
        }
    }
}

impl World {
    /// What there was more of than in the same run without faults, and how often a reconciler decided in that one, if it was played for this.
    pub(crate) fn needless_churn(&self, schedule: &Schedule, options: &Options) -> (Option<Violation>, Option<usize>) {
        let disturbed = !schedule.faults.is_empty() && schedule.faults.iter().all(|fault| fault.what.is_of_the_operator());
        if !disturbed || schedule.scenario.has_times() || options.mutant.is_some() || self.oracle.violation.is_some() {
            return (None, None);
        }
        let (churn, played) = without_faults(schedule);
        let violation = self.oracle.churn.beyond(&churn).map(|message| Violation { oracle: "no-more-than-without", message });
        (violation, played)
    }
}

/// What comes and goes where nothing goes wrong. Played once for each scenario and seed.
fn without_faults(schedule: &Schedule) -> (Arc<Churn>, Option<usize>) {
    type Known = BTreeMap<(Scenario, u64), Arc<Churn>>;
    static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    let place = (schedule.scenario, schedule.seed);
    if let Some(churn) = known.lock().unwrap_or_else(PoisonError::into_inner).get(&place) {
        return (churn.clone(), None);
    }
    let world = to_the_end(&Schedule::quiet(schedule.scenario, schedule.seed), &Options::default());
    let churn = Arc::new(world.oracle.churn);
    known.lock().unwrap_or_else(PoisonError::into_inner).insert(place, churn.clone());
    (churn, Some(world.reconciles))
}
