//! What the host counts and measures, in the OpenMetrics text format.
//!
//! Owns names, labels and buckets; the rooms call typed methods. A label value is either a `&'static str` or a name from the host's own
//! settings and discovery (reconciler, kind, digest): nothing that a reconciler or a cluster's user writes becomes a label, so the number of
//! series is bounded. The one prefix of all names is the product's, given at the start. What is said of objects is in [`Figures`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::figures::Figures;

/// The `Content-Type` of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From 1 ms to 33 s: a reconcile with its effects, the time in the queue.
const LONG: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
/// From 50 µs to 6.5 s: a call into a module is some tens of microseconds plus its reads.
const SHORT: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_05, 2.0, 18));

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReconciler {
    reconciler: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    reconciler: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByEffect {
    reconciler: String,
    effect: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRead {
    reconciler: String,
    read: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reconciler: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySeverity {
    reconciler: String,
    severity: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByModule {
    slot: String,
    digest: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySwap {
    slot: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRefusal {
    slot: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySlot {
    slot: String,
}

/// One series for each slot, with a digest as a label: the series of the digest before goes.
#[derive(Clone, Default)]
struct Shown {
    family: Family<ByModule, Gauge>,
    digests: Arc<Mutex<HashMap<String, String>>>,
}

impl Shown {
    fn show(&self, slot: &str, digest: Option<&str>) {
        let labels = |digest: &str| ByModule { slot: slot.to_owned(), digest: digest.to_owned() };
        let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = digest.filter(|digest| !digest.is_empty());
        if digests.get(slot).map(String::as_str) == digest {
            return;
        }
        if let Some(before) = digests.remove(slot) {
            self.family.remove(&labels(&before));
        }
        if let Some(digest) = digest {
            digests.insert(slot.to_owned(), digest.to_owned());
            self.family.get_or_create(&labels(digest)).set(1);
        }
    }
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of the process. Clones share the same values.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    rounds: Family<ByResult, Counter>,
    round_duration: Histograms<ByReconciler>,
    skipped: Family<ByReconciler, Counter>,
    effects: Family<ByEffect, Counter>,
    queue_depth: Family<ByReconciler, Gauge>,
    queue_wait: Histograms<ByReconciler>,
    reads: Family<ByRead, Counter>,
    calls: Histograms<ByReconciler>,
    traps: Family<ByReason, Counter>,
    queries: Family<ByOutcome, Counter>,
    tasks_running: Family<ByReconciler, Gauge>,
    tasks: Family<ByResult, Counter>,
    active: Shown,
    candidates: Shown,
    previous: Shown,
    since: Family<BySlot, Gauge>,
    swaps: Family<BySwap, Counter>,
    refusals: Family<ByRefusal, Counter>,
    leader: Gauge,
    cached: Family<ByKind, Gauge>,
    events: Family<BySeverity, Counter>,
    figures: Arc<OnceLock<Figures>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Metrics of the product with this name; `-` becomes `_` in the prefix of all names.
    #[must_use]
    pub fn new(product: &str) -> Self {
        let mut registry = Registry::with_prefix(product.replace('-', "_"));
        let rounds = add(&mut registry, "rounds", "Rounds: an observation, a decision and its effects, by how they ended");
        let round_duration = measure(&mut registry, "round_duration", "One round with its effects", LONG);
        let skipped = add(&mut registry, "rounds_skipped", "Rounds that were not needed because every answer was the same");
        let effects = add(&mut registry, "effects", "Effects of plans by how they ended");
        let queue_depth = add(&mut registry, "queue_depth", "Objects that wait to be reconciled");
        let queue_wait = measure(&mut registry, "queue_wait", "From when an object is due until its reconcile starts", LONG);
        let reads = add(&mut registry, "reads", "Reads of reconcilers by kind of question");
        let calls = measure(&mut registry, "call_duration", "One call into a module with its reads", SHORT);
        let traps = add(&mut registry, "traps", "Calls into a module that the host had to end");
        let queries = add(&mut registry, "sql_queries", "SQL sessions by how they ended");
        let tasks_running = add(&mut registry, "tasks_running", "Tasks that run beside the queue");
        let tasks = add(&mut registry, "tasks", "Tasks that have ended, by how");
        let mut shown = |name: &str, help: &str| {
            let shown = Shown::default();
            registry.register(name, help, shown.family.clone());
            shown
        };
        let active = shown("module", "1 for the module that is active in a slot");
        let candidates = shown("module_candidate", "1 for the module that is being checked, or waits for an approval");
        let previous = shown("module_previous", "1 for the module that was active in a slot before");
        let since = add(&mut registry, "module_active_since_seconds", "When the active module of a slot became so, in seconds since 1970");
        let swaps = add(&mut registry, "module_swaps", "Changes of a slot's active module by why they were made");
        let refusals = add(&mut registry, "module_refusals", "Modules that were refused, by the check that failed");
        let leader = Gauge::default();
        registry.register("leader", "1 while this process leads", leader.clone());
        let cached = add(&mut registry, "cache_objects", "Objects in the cache by kind");
        let events = add(&mut registry, "events", "Events written on reconciled objects");
        Self {
            registry: Arc::new(registry),
            rounds,
            round_duration,
            skipped,
            effects,
            queue_depth,
            queue_wait,
            reads,
            calls,
            traps,
            queries,
            tasks_running,
            tasks,
            active,
            candidates,
            previous,
            since,
            swaps,
            refusals,
            leader,
            cached,
            events,
            figures: Arc::default(),
        }
    }

    /// A round has ended.
    pub fn reconciled(&self, reconciler: &str, result: &'static str, took: Duration) {
        self.rounds.get_or_create(&ByResult { reconciler: reconciler.to_owned(), result }).inc();
        self.round_duration.get_or_create(&by(reconciler)).observe(took.as_secs_f64());
    }

    /// A round was not needed: every read would have had the same answer.
    pub fn skipped(&self, reconciler: &str) {
        self.skipped.get_or_create(&by(reconciler)).inc();
    }

    /// An effect has ended; `effect` is its case in the contract, `changed` whether it changed anything.
    pub fn effect(&self, reconciler: &str, effect: &'static str, changed: Result<bool, ()>) {
        let result = match changed {
            Ok(true) => "changed",
            Ok(false) => "unchanged",
            Err(()) => "failed",
        };
        self.effects.get_or_create(&ByEffect { reconciler: reconciler.to_owned(), effect, result }).inc();
    }

    /// So many objects wait now.
    pub fn queue_depth(&self, reconciler: &str, depth: usize) {
        self.queue_depth.get_or_create(&by(reconciler)).set(count(depth));
    }

    /// An object has been taken from the queue after this time.
    pub fn queue_wait(&self, reconciler: &str, waited: Duration) {
        self.queue_wait.get_or_create(&by(reconciler)).observe(waited.as_secs_f64());
    }

    /// A reconciler has asked something; `read` is the function of the contract (`get`, `select`, `secret`, `query`).
    pub fn read(&self, reconciler: &str, read: &'static str) {
        self.reads.get_or_create(&ByRead { reconciler: reconciler.to_owned(), read }).inc();
    }

    /// A call into a module has ended.
    pub fn called(&self, reconciler: &str, took: Duration) {
        self.calls.get_or_create(&by(reconciler)).observe(took.as_secs_f64());
    }

    /// The host has ended a call into a module.
    pub fn trapped(&self, reconciler: &str, reason: &'static str) {
        self.traps.get_or_create(&ByReason { reconciler: reconciler.to_owned(), reason }).inc();
    }

    /// A SQL session, reading or writing, has ended.
    pub fn queried(&self, result: &'static str) {
        self.queries.get_or_create(&ByOutcome { result }).inc();
    }

    /// A task has been started.
    pub fn task_started(&self, reconciler: &str) {
        self.tasks_running.get_or_create(&by(reconciler)).inc();
    }

    /// A task runs no more; `result` says how it ended (`done`, `failed`, `guarded`, `timeout`, `stopped`).
    pub fn task_ended(&self, reconciler: &str, result: &'static str) {
        self.tasks_running.get_or_create(&by(reconciler)).dec();
        self.tasks.get_or_create(&ByResult { reconciler: reconciler.to_owned(), result }).inc();
    }

    /// The module with this digest has become the active one of the slot; an empty one leaves the slot empty.
    pub fn module(&self, slot: &str, digest: &str) {
        self.active.show(slot, Some(digest));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.since.get_or_create(&BySlot { slot: slot.to_owned() }).set(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    }

    /// The module that is a candidate for the slot, if any is.
    pub fn candidate(&self, slot: &str, digest: Option<&str>) {
        self.candidates.show(slot, digest);
    }

    /// The module that was active in the slot before, if any was.
    pub fn previous(&self, slot: &str, digest: Option<&str>) {
        self.previous.show(slot, digest);
    }

    /// The slot's active module is another one; `result` says why (`promoted`, `rolled_back`, `withdrawn`).
    pub fn swapped(&self, slot: &str, result: &'static str) {
        self.swaps.get_or_create(&BySwap { slot: slot.to_owned(), result }).inc();
    }

    /// A module for the slot was refused, by the name of the check that failed.
    pub fn refused(&self, slot: &str, reason: &'static str) {
        self.refusals.get_or_create(&ByRefusal { slot: slot.to_owned(), reason }).inc();
    }

    /// Whether this process leads.
    pub fn leading(&self, leads: bool) {
        self.leader.set(leads.into());
    }

    /// So many objects of a kind (`<kind>.<group>`) are in the cache.
    pub fn cached(&self, kind: &str, objects: usize) {
        self.cached.get_or_create(&ByKind { kind: kind.to_owned() }).set(count(objects));
    }

    /// An event has been written on a reconciled object.
    pub fn event(&self, reconciler: &str, severity: &'static str) {
        self.events.get_or_create(&BySeverity { reconciler: reconciler.to_owned(), severity }).inc();
    }

    /// From now on figures of objects are a part of it.
    pub fn show(&self, figures: Figures) {
        // A process leads once.
        let _ = self.figures.set(figures);
    }

    /// All values as text, of the type [`CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        text::encode_registry(&mut out, &self.registry).expect("writing to a string cannot fail");
        if let Some(figures) = self.figures.get() {
            out.push_str(&figures.encode());
        }
        text::encode_eof(&mut out).expect("writing to a string cannot fail");
        out
    }
}

fn by(reconciler: &str) -> ByReconciler {
    ByReconciler { reconciler: reconciler.to_owned() }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn add<L, M>(registry: &mut Registry, name: &str, help: &str) -> Family<L, M>
where
    Family<L, M>: prometheus_client::registry::Metric + Default + Clone,
{
    let family = Family::default();
    registry.register(name, help, family.clone());
    family
}

fn measure<L>(registry: &mut Registry, name: &str, help: &str, buckets: fn() -> Histogram) -> Histograms<L>
where
    Histograms<L>: prometheus_client::registry::Metric + Clone,
    L: Clone + std::hash::Hash + Eq,
    fn() -> Histogram: MetricConstructor<Histogram>,
{
    let family = Family::new_with_constructor(buckets);
    registry.register_with_unit(name, help, Unit::Seconds, family.clone());
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_shows_up_under_the_products_prefix() {
        let metrics = Metrics::new("some-product");
        metrics.reconciled("a", "done", Duration::from_millis(3));
        metrics.skipped("a");
        metrics.effect("a", "apply", Ok(true));
        metrics.effect("a", "delete", Err(()));
        metrics.queue_depth("a", 7);
        metrics.queue_wait("a", Duration::from_millis(40));
        metrics.read("a", "select");
        metrics.called("a", Duration::from_micros(60));
        metrics.trapped("a", "memory");
        metrics.queried("timeout");
        metrics.task_started("a");
        metrics.task_started("a");
        metrics.task_ended("a", "done");
        metrics.module("a", "sha256:1");
        metrics.candidate("a", Some("sha256:2"));
        metrics.previous("a", Some("sha256:0"));
        metrics.swapped("a", "promoted");
        metrics.refused("a", "Unsigned");
        metrics.leading(true);
        metrics.cached("pods", 12);
        metrics.event("a", "warning");
        // The series of a family come in no particular order.
        let mut text: Vec<String> = metrics
            .encode()
            .lines()
            .filter(|line| !line.starts_with("# HELP") && !["_bucket{", "_sum{", "_since_seconds{"].iter().any(|part| line.contains(part)))
            .map(str::to_owned)
            .collect();
        text.sort_by_key(|line| line.trim_start_matches("# TYPE ").trim_start_matches("# UNIT ").to_owned());
        // Within a metric the order of the label sets is not fixed.
        text.sort();
        insta::assert_snapshot!(text.join("\n"));
    }

    #[test]
    fn clones_share_their_values_and_a_replaced_module_disappears() {
        let metrics = Metrics::new("p");
        let other = metrics.clone();
        other.module("a", "sha256:1");
        other.module("a", "sha256:2");
        let text = metrics.encode();
        assert!(text.contains(r#"p_module{slot="a",digest="sha256:2"} 1"#), "{text}");
        assert!(!text.contains("sha256:1"), "{text}");
    }
}
