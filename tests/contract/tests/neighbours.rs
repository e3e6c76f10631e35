//! A hostile module and a good one side by side in one host: whatever the hostile one does, the host lives, its object says what happened, and
//! the good one's objects don't wait.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use contract::components;
use host::{
    contract::*,
    controller::{Controller, Decide, Reconcile, Shared, Wake},
    gateway::{Answers, Applied, Gateway, Listed, ObjectKey, Queries, Seen, SharedGateway, Subject},
    metrics::Metrics,
    runtime::{CallError, Guest, Runtime, compile},
    settings::{Limits, Reconciler},
};
use serde_json::json;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// How long a hostile module goes about its business beside the good one.
const WHILE: Duration = Duration::from_millis(1_500);
/// Between two objects of the good one.
const PACE: Duration = Duration::from_millis(5);
/// What a good module's slowest objects may take, on a machine that also compiles.
const BOUND: Duration = Duration::from_millis(500);

/// Every object that is asked for is there. What happens to them is kept.
#[derive(Default)]
struct World {
    applied: Mutex<Vec<(String, String)>>,
    events: Mutex<Vec<(String, String)>>,
    troubles: Mutex<Vec<(String, String)>>,
    news: Notify,
}

impl World {
    fn has(of: &Mutex<Vec<(String, String)>>, slot: &str, what: &str) -> bool {
        of.lock().unwrap().iter().any(|(by, is)| by == slot && is == what)
    }

    /// An event and a condition say what became of the hostile module's objects.
    async fn tells(&self, reason: &str) {
        let told = async {
            loop {
                let news = self.news.notified();
                if [&self.events, &self.troubles].iter().all(|of| Self::has(of, "hostile", reason)) {
                    return;
                }
                news.await;
            }
        };
        let told = timeout(Duration::from_secs(30), told).await;
        told.unwrap_or_else(|_| panic!("no event and condition {reason}: {:?}, {:?}", self.events, self.troubles));
    }
}

#[async_trait]
impl Gateway for World {
    async fn get(&self, _: &Subject, object: &ObjectRef, _: &[String]) -> Result<Option<Seen>, ReadError> {
        let ObjectRef { api_version, kind, namespace, name } = object.clone();
        let (uid, resource_version) = (format!("uid-of-{name}"), "1".into());
        let header = Header { api_version, kind, namespace, name, uid, resource_version, generation: 1, deleting: false, labels: vec![] };
        Ok(Some(Object { header, body: "{}".into() }.into()))
    }
    async fn select(&self, _: &Subject, _: &Selection) -> Result<Listed, ReadError> {
        Ok(Listed { objects: vec![], next: None })
    }
    async fn secret(&self, _: &Subject, _: &str, _: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        Ok(None)
    }
    async fn query(&self, _: &Subject, queries: &Queries) -> Answers {
        queries.iter().map(|_| Ok(vec![])).collect::<Vec<_>>().into()
    }
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::try_from(since.as_nanos()).unwrap()
    }
    async fn apply(&self, subject: &Subject, effect: &Effect) -> Result<Applied, EffectFailure> {
        let what = match effect {
            // A clock of nanoseconds makes each status another one.
            Effect::Status(status) if subject.reconciler == "hostile" => format!("status {status}"),
            Effect::Status(_) => subject.object.name.clone(),
            other => format!("{other:?}"),
        };
        let mut applied = self.applied.lock().unwrap();
        let new = (subject.reconciler.clone(), what);
        let changed = !applied.contains(&new);
        if changed {
            applied.push(new);
        }
        self.news.notify_waiters();
        Ok(if changed { Applied::Changed } else { Applied::Unchanged })
    }
    async fn event(&self, subject: &Subject, event: &Event) {
        self.events.lock().unwrap().push((subject.reconciler.clone(), event.reason.clone()));
        self.news.notify_waiters();
    }
    async fn health(&self, subject: &Subject, trouble: Option<(&str, &str)>) {
        let reason = trouble.map_or("none", |(reason, _)| reason);
        self.troubles.lock().unwrap().push((subject.reconciler.clone(), reason.into()));
        self.news.notify_waiters();
    }
}

struct Seat(Arc<Sitter>);

struct Sitter(Guest);

impl Reconcile for Seat {
    fn active(&self) -> Option<Arc<dyn Decide>> {
        Some(self.0.clone())
    }
}

#[async_trait]
impl Decide for Sitter {
    fn digest(&self) -> &str {
        "0"
    }
    async fn decide(&self, subject: &Subject, gateway: SharedGateway, request: &Request) -> Result<Result<Plan, Failure>, CallError> {
        self.0.reconcile(subject, gateway, request).await
    }
}

fn widget(name: &str) -> ObjectKey {
    ObjectKey::new("example.com/v1", "Widget", "default", name)
}

/// Two slots of one host: in one, a module does what it is told; in the other, the same module is good.
struct Host {
    world: Arc<World>,
    hostile: Arc<Controller>,
    good: Arc<Controller>,
    _tasks: JoinSet<()>,
}

impl Host {
    fn start(guest: &Guest, limits: &Limits, orders: &serde_json::Value) -> Self {
        let world = Arc::new(World::default());
        let (index, journals) = (Arc::default(), Arc::default());
        let shared = Shared { world: world.clone(), index, journals, limits: limits.clone(), metrics: Metrics::new("test") };
        let controller = |name: &str, settings: &serde_json::Value| {
            let kind = |kind: &str, resource: &str| json!({"apiVersion": "v1", "kind": kind, "resource": resource});
            let slot: Reconciler = serde_json::from_value(json!({
                "reconciles": {"apiVersion": "example.com/v1", "kind": "Widget", "resource": "widgets"},
                "settings": settings,
                "grant": {"read": [kind("Pod", "pods")], "apply": [kind("ConfigMap", "configmaps")], "sql": {"read": ["*.svc"]}, "secrets": ["*"]},
            }))
            .unwrap();
            Arc::new(Controller::new(name, slot, Arc::new(Seat(Arc::new(Sitter(guest.clone())))), shared.clone()))
        };
        let (hostile, good) = (controller("hostile", orders), controller("good", &json!({"do": "echo"})));
        let mut tasks = JoinSet::new();
        tasks.spawn(hostile.clone().run());
        tasks.spawn(good.clone().run());
        Self { world, hostile, good, _tasks: tasks }
    }

    /// How long the good module's objects took, each from its change to its status, in order of length.
    async fn good_times(&self, from: &str) -> Vec<Duration> {
        let (mut times, end) = (vec![], Instant::now() + WHILE);
        while Instant::now() < end {
            let name = format!("{from}-{}", times.len());
            let started = Instant::now();
            self.good.wake(&widget(&name), Wake::Change);
            let told = async {
                loop {
                    let news = self.world.news.notified();
                    if World::has(&self.world.applied, "good", &name) {
                        return;
                    }
                    news.await;
                }
            };
            timeout(Duration::from_secs(30), told).await.unwrap_or_else(|_| panic!("{name} waits for ever"));
            times.push(started.elapsed());
            sleep(PACE).await;
        }
        times.sort();
        times
    }
}

fn p99(times: &[Duration]) -> Duration {
    times[times.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_module_is_told_on_its_object_and_its_neighbour_does_not_notice() {
    let limits = Limits { memory_mib: 32, cpu_ms: 300, ..Limits::default() };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("hostile.cwasm");
    std::fs::write(&code, compile(components::hostile(target)).unwrap()).unwrap();
    let guest = Runtime::new(&limits).unwrap().load(&code).unwrap();

    let alone = Host::start(&guest, &limits, &json!({"do": "echo"}));
    let base = p99(&alone.good_times("alone").await);
    println!("p99 of the good module alone: {base:?}");
    drop(alone);

    let hostile = [
        (json!({"do": "memory"}), "MemoryLimit"),
        (json!({"do": "loop"}), "CpuLimit"),
        (json!({"do": "recursion"}), "StackLimit"),
        (json!({"do": "effects", "times": 10_000}), "EffectLimit"),
        (json!({"do": "log", "times": 100 << 20}), "MemoryLimit"),
        (json!({"do": "log", "times": 9_000_000}), "SizeLimit"),
        (json!({"do": "reads", "times": 10_000}), "ReadLimit"),
        (json!({"do": "many small things", "times": 800_000}), "SizeLimit"),
        (json!({"do": "depth", "times": 100_000}), "PlanDenied"),
        (json!({"do": "never the same"}), "TooManyRounds"),
        (json!({"do": "panic every second time"}), "Panicked"),
        (json!({"do": "smuggle"}), "PlanDenied"),
    ];
    for (orders, reason) in hostile {
        let host = Host::start(&guest, &limits, &orders);
        for object in 0..8 {
            host.hostile.wake(&widget(&format!("hostile-{object}")), Wake::Change);
        }
        let times = host.good_times("beside").await;
        println!("p99 beside {orders}: {:?} of {} objects", p99(&times), times.len());
        assert!(p99(&times) < BOUND.max(base * 20), "beside {orders} the good module's objects wait");
        host.world.tells(reason).await;
        assert!(host.world.events.lock().unwrap().iter().all(|(by, _)| by == "hostile"), "{orders}: the good one is troubled");
        if reason != "TooManyRounds" && reason != "Panicked" {
            assert!(host.world.applied.lock().unwrap().iter().all(|(by, _)| by == "good"), "{orders}: something happened all the same");
        }
    }
}
