//! Controllers against a small world in memory: one object, one value that can be read, and a list of what was applied.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

use super::{Controller, Decide, Reconcile, Shared, Wake};
use crate::{
    contract::*,
    gateway::{Answers, Applied, Gateway, Listed, ObjectKey, Queries, Seen, SharedGateway, Subject},
    metrics::Metrics,
    module::Fared,
    runtime::CallError,
    settings::{Grant, Limits, Reconciler, Resource, SqlGrant},
};

fn key() -> ObjectKey {
    ObjectKey::new("example.com/v1", "Thing", "ns", "x")
}

fn resource(api_version: &str, kind: &str) -> Resource {
    Resource {
        api_version: api_version.into(),
        kind: kind.into(),
        resource: format!("{}s", kind.to_lowercase()),
        cluster_scoped: false,
        namespaces: Vec::new(),
    }
}

fn config(name: &str) -> ObjectRef {
    ObjectRef { api_version: "v1".into(), kind: "ConfigMap".into(), namespace: "ns".into(), name: name.into() }
}

#[derive(Default)]
struct World {
    gone: Mutex<bool>,
    value: Mutex<String>,
    applied: Mutex<Vec<String>>,
    /// While it is set, an effect takes so long.
    slow: Mutex<Option<Duration>>,
    events: Mutex<Vec<String>>,
    troubles: Mutex<Vec<Option<String>>>,
    failing: Mutex<Option<FailureKind>>,
    /// How often databases were asked.
    asked: AtomicUsize,
    /// How often something was executed on one.
    executed: AtomicUsize,
}

impl World {
    fn names<T: Clone>(of: &Mutex<Vec<T>>) -> Vec<T> {
        of.lock().unwrap().clone()
    }
}

fn object(object: &ObjectRef, body: &str) -> Object {
    let ObjectRef { api_version, kind, namespace, name } = object.clone();
    let header = Header {
        api_version,
        kind,
        namespace,
        name,
        uid: "u".into(),
        resource_version: "1".into(),
        generation: 1,
        deleting: false,
        labels: vec![],
    };
    Object { header, body: body.into() }
}

#[async_trait]
impl Gateway for World {
    async fn get(&self, _: &Subject, wanted: &ObjectRef, _: &[String]) -> Result<Option<Seen>, ReadError> {
        if *wanted == ObjectRef::from(&key()) {
            return Ok((!*self.gone.lock().unwrap()).then(|| object(wanted, "{}").into()));
        }
        Ok(Some(object(wanted, &self.value.lock().unwrap()).into()))
    }
    async fn select(&self, _: &Subject, _: &Selection) -> Result<Listed, ReadError> {
        let gone = *self.gone.lock().unwrap();
        Ok(Listed { objects: (!gone).then(|| object(&ObjectRef::from(&key()), "{}").into()).into_iter().collect(), next: None })
    }
    async fn secret(&self, _: &Subject, _: &str, _: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        Ok(None)
    }
    async fn fingerprint(&self, object: &ObjectRef) -> Option<u64> {
        self.applied.lock().unwrap().contains(&object.name).then_some(1)
    }
    async fn query(&self, _: &Subject, queries: &Queries) -> Answers {
        self.asked.fetch_add(1, Ordering::Relaxed);
        queries.iter().map(|_| Ok(vec![])).collect::<Vec<_>>().into()
    }
    fn now(&self) -> Timestamp {
        0
    }
    async fn apply(&self, _: &Subject, effect: &Effect) -> Result<Applied, EffectFailure> {
        let Effect::Apply(application) = effect else {
            self.executed.fetch_add(1, Ordering::Relaxed);
            return Ok(Applied::Unchanged);
        };
        let slow = *self.slow.lock().unwrap();
        tokio::time::sleep(slow.unwrap_or_default()).await;
        if let Some(kind) = *self.failing.lock().unwrap() {
            return Err(EffectFailure { effect: 0, kind, message: "refused".into(), sql: None });
        }
        let mut applied = self.applied.lock().unwrap();
        if applied.contains(&application.object.name) {
            return Ok(Applied::Unchanged);
        }
        applied.push(application.object.name.clone());
        if application.object.name == "last-breath" {
            *self.gone.lock().unwrap() = true;
        }
        Ok(Applied::Changed)
    }
    async fn event(&self, _: &Subject, event: &Event) {
        self.events.lock().unwrap().push(event.reason.clone());
    }
    async fn health(&self, _: &Subject, trouble: Option<(&str, &str)>) {
        self.troubles.lock().unwrap().push(trouble.map(|(reason, _)| reason.to_owned()));
    }
}

type Decision = Box<dyn Fn(&Request, Option<Object>) -> Result<Plan, CallError> + Send + Sync>;

/// Reads one ConfigMap, then decides by a closure. The one that is called so asks databases and the time, too.
struct Script {
    digest: &'static str,
    calls: AtomicUsize,
    fared: Mutex<Vec<Fared>>,
    decision: Decision,
}

impl Script {
    fn new(
        digest: &'static str,
        decision: impl Fn(&Request, Option<Object>) -> Result<Plan, CallError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { digest, calls: AtomicUsize::new(0), fared: Mutex::default(), decision: Box::new(decision) })
    }
}

/// The slot: whoever decides now.
struct Chair(Mutex<Option<Arc<Script>>>);

impl Reconcile for Chair {
    fn active(&self) -> Option<Arc<dyn Decide>> {
        self.0.lock().unwrap().clone().map(|script| script as Arc<dyn Decide>)
    }
}

#[async_trait]
impl Decide for Script {
    fn digest(&self) -> &str {
        self.digest
    }

    fn fared(&self, fared: &Fared) {
        self.fared.lock().unwrap().push(fared.clone());
    }

    async fn decide(&self, subject: &Subject, gateway: SharedGateway, request: &Request) -> Result<Result<Plan, Failure>, CallError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let read = gateway.get(subject, &config("read"), &[]).await.unwrap_or_default();
        if self.digest == "asks-the-time" {
            gateway.query(subject, &vec![].into()).await;
            gateway.now();
        }
        (self.decision)(request, read.map(Seen::into_inner)).map(Ok)
    }
}

fn apply(object: ObjectRef) -> Effect {
    let body = serde_json::json!({"apiVersion": object.api_version, "kind": object.kind,
        "metadata": {"name": object.name, "namespace": object.namespace}});
    Effect::Apply(Application { object, uid: String::new(), body: body.to_string() })
}

/// An execution that may take 3 s.
fn execute(guarded: bool) -> Effect {
    let credentials =
        Credentials { namespace: "ns".into(), secret: "account".into(), user_key: "user".into(), password_key: "password".into() };
    let endpoint = Endpoint { host: "db".into(), port: 3306, credentials, tls: None };
    let statement = Statement { text: "SELECT 1".into(), arguments: vec![] };
    let guard = guarded.then(|| Guard { statement: statement.clone(), expected: vec![Value::Signed(1)] });
    Effect::Sql(Execution { endpoint, database: None, guard, statements: vec![statement], deadline: 3_000 })
}

fn plan(effects: Vec<Effect>, next: Next) -> Plan {
    Plan { effects, events: vec![], next }
}

struct Bench {
    world: Arc<World>,
    script: Arc<Script>,
    chair: Arc<Chair>,
    controller: Arc<Controller>,
}

impl Bench {
    fn start(decision: impl Fn(&Request, Option<Object>) -> Result<Plan, CallError> + Send + Sync + 'static) -> Self {
        let world = Arc::new(World::default());
        let script = Script::new("first", decision);
        let chair = Arc::new(Chair(Mutex::new(Some(script.clone()))));
        let slot = Reconciler {
            reconciles: resource("example.com/v1", "Thing"),
            workers: 2,
            settings: serde_json::Value::Null,
            grant: Grant {
                read: vec![resource("v1", "ConfigMap")],
                apply: vec![resource("v1", "ConfigMap")],
                secrets: vec!["account".into()],
                sql: SqlGrant { read: vec![], write: vec!["db".into()] },
                ..Grant::default()
            },
            metrics: Vec::new(),
            in_image: true,
            wasi: false,
        };
        let shared = Shared {
            world: world.clone(),
            index: Arc::default(),
            journals: Arc::default(),
            limits: Limits { rounds_per_minute: 20, ..Limits::default() },
            metrics: Metrics::new("test"),
        };
        let controller = Arc::new(Controller::new("slot", slot, chair.clone(), shared));
        controller.wake(&key(), Wake::Run);
        tokio::spawn(controller.clone().run());
        Self { world, script, chair, controller }
    }

    /// Lets everything that is due happen. Time is virtual: it stands still until nobody has anything to do.
    async fn after(&self, time: Duration) -> usize {
        tokio::time::sleep(time).await;
        self.script.calls.load(Ordering::Relaxed)
    }
}

const SOON: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn rounds_follow_each_other_until_nothing_changes() {
    let bench = Bench::start(|_, _| Ok(plan(vec![apply(config("a")), apply(config("b"))], Next::Change)));
    assert_eq!(bench.after(SOON).await, 2, "one round that changes, one that finds nothing to do");
    assert_eq!(World::names(&bench.world.applied), ["a", "b"]);
    assert_eq!(bench.after(Duration::from_secs(3600)).await, 2, "nothing was asked for, nothing runs");
}

#[tokio::test(start_paused = true)]
async fn an_effect_outside_the_grant_anywhere_in_a_plan_stops_all_of_it() {
    let foreign = ObjectRef { kind: "ClusterRole".into(), ..config("b") };
    let bench = Bench::start(move |_, _| Ok(plan(vec![apply(config("a")), apply(foreign.clone()), apply(config("c"))], Next::Change)));
    bench.after(SOON).await;
    assert!(World::names(&bench.world.applied).is_empty());
    assert!(World::names(&bench.world.events).contains(&"PlanDenied".to_owned()));
    assert!(World::names(&bench.world.troubles).contains(&Some("PlanDenied".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_body_of_another_object_than_the_effect_names_is_denied() {
    let Effect::Apply(mut smuggled) = apply(config("a")) else { unreachable!() };
    smuggled.body = smuggled.body.replace("\"a\"", "\"z\"");
    let bench = Bench::start(move |_, _| Ok(plan(vec![Effect::Apply(smuggled.clone())], Next::Change)));
    bench.after(SOON).await;
    assert!(World::names(&bench.world.applied).is_empty());
    assert!(World::names(&bench.world.events).contains(&"PlanDenied".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_passed_for_one_object_is_denied_for_another() {
    let Effect::Apply(passed) = apply(config("a")) else { unreachable!() };
    let smuggled = Application { object: config("b"), ..passed.clone() };
    let bench = Bench::start(move |_, read| {
        let is_changed = read.is_some_and(|read| read.body == "changed");
        Ok(plan(vec![Effect::Apply(if is_changed { smuggled.clone() } else { passed.clone() })], Next::Change))
    });
    bench.after(SOON).await;
    assert_eq!(World::names(&bench.world.applied), ["a"]);
    *bench.world.value.lock().unwrap() = "changed".into();
    bench.controller.wake(&key(), Wake::Change);
    bench.after(SOON).await;
    assert_eq!(World::names(&bench.world.applied), ["a"]);
    assert!(World::names(&bench.world.events).contains(&"PlanDenied".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_ends_a_plan_and_the_next_round_knows_of_it() {
    let bench = Bench::start(|request, _| {
        let failed = request.last.as_ref().and_then(|last| last.failure.as_ref()).is_some();
        Ok(plan(vec![apply(config(if failed { "after-failure" } else { "first" })), apply(config("second"))], Next::Change))
    });
    *bench.world.failing.lock().unwrap() = Some(FailureKind::Invalid);
    bench.after(SOON).await;
    assert!(World::names(&bench.world.applied).is_empty(), "the second effect did not happen either");
    assert!(World::names(&bench.world.events).contains(&"EffectFailed".to_owned()));
    *bench.world.failing.lock().unwrap() = None;
    bench.after(Duration::from_secs(61)).await;
    assert!(World::names(&bench.world.applied).starts_with(&["after-failure".to_owned(), "second".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_round_that_knows_of_a_failure_and_changes_nothing_is_followed_by_one_that_does_not() {
    let bench = Bench::start(|request, _| {
        let failed = request.last.as_ref().and_then(|last| last.failure.as_ref()).is_some();
        Ok(plan(if failed { vec![] } else { vec![apply(config("a"))] }, Next::Change))
    });
    *bench.world.failing.lock().unwrap() = Some(FailureKind::Unavailable);
    bench.after(SOON).await;
    *bench.world.failing.lock().unwrap() = None;
    let rounds = bench.after(Duration::from_secs(61)).await;
    assert_eq!(World::names(&bench.world.applied), ["a"]);
    assert_eq!(bench.after(Duration::from_secs(3600)).await, rounds, "that is all");
}

#[rstest::rstest]
#[case::at_once(true, 0, 1)]
#[case::soon(true, 2_900, 1)]
#[case::late(true, 3_100, 0)]
#[case::late_and_without_a_guard(false, 3_100, 1)]
#[tokio::test(start_paused = true)]
async fn what_a_guard_is_asked_for_is_not_done_long_after_it_was_decided(
    #[case] guarded: bool,
    #[case] slow: u64,
    #[case] executed: usize,
) {
    let bench = Bench::start(move |_, _| Ok(plan(vec![apply(config("a")), execute(guarded)], Next::Change)));
    *bench.world.slow.lock().unwrap() = Some(Duration::from_millis(slow));
    bench.after(Duration::from_millis(slow + 1)).await;
    assert_eq!(bench.world.executed.load(Ordering::Relaxed).min(1), executed);
    assert_eq!(World::names(&bench.world.events).contains(&"EffectFailed".to_owned()), executed == 0);
    *bench.world.slow.lock().unwrap() = None;
    bench.after(Duration::from_secs(10)).await;
    assert!(bench.world.executed.load(Ordering::Relaxed) >= 1, "it is decided anew");
}

#[tokio::test(start_paused = true)]
async fn a_poll_with_the_same_answers_does_not_run_the_reconciler() {
    let bench = Bench::start(|_, _| Ok(plan(vec![], Next::After(5_000))));
    assert_eq!(bench.after(SOON).await, 1);
    assert_eq!(bench.after(Duration::from_secs(60)).await, 1);
    *bench.world.value.lock().unwrap() = "changed".into();
    assert_eq!(bench.after(Duration::from_secs(6)).await, 2);
}

#[tokio::test(start_paused = true)]
async fn databases_are_asked_once_where_a_poll_asks_a_reconciler_that_asks_for_the_time() {
    let bench = Bench::start(|_, _| Ok(plan(vec![], Next::After(5_000))));
    let clock = Script::new("asks-the-time", |_, _| Ok(plan(vec![], Next::After(5_000))));
    *bench.chair.0.lock().unwrap() = Some(clock.clone());
    bench.after(SOON).await;
    bench.after(Duration::from_secs(6)).await;
    let calls = clock.calls.load(Ordering::Relaxed);
    assert!(calls >= 2, "the time is always another");
    assert_eq!(bench.world.asked.load(Ordering::Relaxed), calls);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_no_read_sees_does_not_run_the_reconciler() {
    let bench = Bench::start(|_, _| Ok(plan(vec![], Next::Change)));
    assert_eq!(bench.after(SOON).await, 1);
    bench.controller.wake(&key(), Wake::Change);
    assert_eq!(bench.after(SOON).await, 1);
    *bench.world.value.lock().unwrap() = "changed".into();
    bench.controller.wake(&key(), Wake::Change);
    assert_eq!(bench.after(SOON).await, 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_applied_is_applied_again_when_somebody_else_takes_it_away() {
    let bench = Bench::start(|_, _| Ok(plan(vec![apply(config("a")), apply(config("b"))], Next::Change)));
    assert_eq!(bench.after(SOON).await, 2);
    bench.controller.wake(&key(), Wake::Change);
    assert_eq!(bench.after(SOON).await, 2, "nothing has changed");
    bench.world.applied.lock().unwrap().retain(|name| name != "a");
    bench.controller.wake(&key(), Wake::Change);
    assert_eq!(bench.after(SOON).await, 4);
    assert_eq!(World::names(&bench.world.applied), ["b", "a"]);
    let index = bench.controller.shared.index.lock().unwrap();
    let change = |name: &str| crate::cluster::Change { object: (&config(name)).into(), labels: [None, None] };
    assert!(["a", "b"].iter().all(|name| index.concerned(&change(name)).len() == 1), "changes of either are heard of");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_never_converges_is_slowed_down_and_says_so() {
    let count = AtomicUsize::new(0);
    let bench = Bench::start(move |_, _| Ok(plan(vec![apply(config(&count.fetch_add(1, Ordering::Relaxed).to_string()))], Next::Change)));
    assert_eq!(bench.after(Duration::from_secs(30)).await, 20);
    assert!(World::names(&bench.world.troubles).contains(&Some("TooManyRounds".to_owned())));
    assert_eq!(bench.after(Duration::from_secs(61)).await, 40);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_ended_is_told_and_tried_again_later_and_later() {
    let bench = Bench::start(|_, _| Err(CallError::NoModule { slot: "slot".into() }));
    let early = bench.after(Duration::from_secs(1)).await;
    assert!((2..=5).contains(&early), "{early}");
    let late = bench.after(Duration::from_secs(600)).await;
    assert!((early + 8..early + 30).contains(&late), "{late}");
    assert!(World::names(&bench.world.troubles).iter().all(Option::is_some));
}

#[tokio::test(start_paused = true)]
async fn without_a_module_an_object_waits_and_nothing_is_recorded() {
    let bench = Bench::start(|_, _| Ok(plan(vec![], Next::Change)));
    let script = bench.chair.0.lock().unwrap().take();
    assert_eq!(bench.after(Duration::from_secs(10)).await, 0);
    assert!(World::names(&bench.world.troubles).contains(&Some("NoModule".to_owned())));
    assert!(bench.controller.shared.journals.of("slot").is_empty());
    *bench.chair.0.lock().unwrap() = script;
    bench.controller.wake_all().await;
    assert_eq!(bench.after(SOON).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_is_forgotten() {
    let bench = Bench::start(|_, _| Ok(plan(vec![], Next::After(1_000))));
    assert_eq!(bench.after(SOON).await, 1);
    *bench.world.gone.lock().unwrap() = true;
    *bench.world.value.lock().unwrap() = "changed".into();
    assert_eq!(bench.after(Duration::from_secs(60)).await, 1);
    assert!(bench.controller.memory.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plan_for_an_object_that_goes_in_between_is_dropped() {
    let bench = Bench::start(|_, _| Ok(plan(vec![apply(config("a")), apply(config("last-breath")), apply(config("b"))], Next::Change)));
    bench.after(Duration::from_secs(10)).await;
    assert_eq!(World::names(&bench.world.applied), ["a", "last-breath"]);
}

#[tokio::test(start_paused = true)]
async fn every_reconcile_leaves_a_journal_that_replays_to_its_plan() {
    let bench = Bench::start(|_, read| {
        let name = read.map(|o| o.body).unwrap_or_default();
        Ok(plan(vec![apply(config(&format!("of-{name}")))], Next::Change))
    });
    bench.after(SOON).await;
    let journal = bench.controller.shared.journals.of("slot").pop().unwrap();
    let replay = Arc::new(crate::gateway::Replay::new(journal.reads.clone()));
    let replayed = bench.script.decide(&journal.subject, replay.clone(), &journal.request).await.unwrap().unwrap();
    assert_eq!(replay.divergence(), None);
    assert_eq!(crate::gateway::Ending::Plan(replayed), journal.ending);
    let other = Arc::new(crate::gateway::Replay::new(vec![]));
    bench.script.decide(&journal.subject, other.clone(), &journal.request).await.unwrap().unwrap();
    assert!(other.divergence().is_some(), "a read that the journal does not have is a divergence");
}

#[tokio::test(start_paused = true)]
async fn a_round_ends_with_the_module_that_began_it_and_the_next_is_the_new_ones() {
    let bench = Bench::start(|_, _| Ok(plan(vec![apply(config("by-first")), apply(config("by-first-too"))], Next::Change)));
    *bench.world.slow.lock().unwrap() = Some(Duration::from_secs(1));
    bench.after(Duration::from_millis(500)).await;
    let second = Script::new("second", |_, _| Ok(plan(vec![apply(config("by-second"))], Next::Change)));
    *bench.chair.0.lock().unwrap() = Some(second.clone());
    bench.controller.wake_all().await;
    assert_eq!(bench.after(Duration::from_secs(60)).await, 1, "the first has decided once");
    assert_eq!(World::names(&bench.world.applied), ["by-first", "by-first-too", "by-second"], "its plan came to its end, then the other's");
    assert_eq!(second.calls.load(Ordering::Relaxed), 2, "one round that changes, one that finds nothing to do");
    let modules: Vec<String> = bench.controller.shared.journals.of("slot").iter().map(|journal| journal.module.clone()).collect();
    assert_eq!(modules, ["first", "second", "second"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_swap_a_settled_object_is_looked_at_once_more_and_not_twice() {
    let bench = Bench::start(|_, _| Ok(plan(vec![], Next::Change)));
    assert_eq!(bench.after(SOON).await, 1);
    bench.controller.wake_all().await;
    assert_eq!(bench.after(SOON).await, 1, "with the same module there is nothing to decide");
    let second = Script::new("second", |_, _| Ok(plan(vec![], Next::Change)));
    *bench.chair.0.lock().unwrap() = Some(second.clone());
    bench.controller.wake_all().await;
    bench.controller.wake_all().await;
    assert_eq!(bench.after(Duration::from_secs(3600)).await, 1);
    assert_eq!(second.calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_module_hears_how_its_rounds_came_out() {
    let bench = Bench::start(|request, _| match request.last.as_ref().and_then(|last| last.failure.as_ref()) {
        None => Ok(plan(vec![apply(config("a"))], Next::Change)),
        Some(failure) if failure.kind == FailureKind::Invalid => {
            Ok(plan(vec![apply(ObjectRef { kind: "Foreign".into(), ..config("b") })], Next::Change))
        }
        Some(_) => Err(CallError::Memory { limit_mib: 64 }),
    });
    *bench.world.failing.lock().unwrap() = Some(FailureKind::Invalid);
    bench.after(Duration::from_millis(300)).await;
    let fared = World::names(&bench.script.fared);
    let fault = |what: &str| Fared::AtFault(format!("its {what}"));
    assert_eq!(
        fared[..3],
        [
            Fared::Failed,
            fault("plan for Thing ns/x was denied: effect 0 (apply): applying v1 Foreign is not granted"),
            fault("call for Thing ns/x was ended: MemoryLimit: more than 64 MiB of memory"),
        ]
    );
}
