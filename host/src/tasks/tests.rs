//! Tasks beside a controller, in virtual time: rounds that see them, ends that wake their objects, and everything that ends them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::json;
use tokio::time::{Duration, sleep};

use super::*;
use crate::{
    contract::{
        Credentials, Effect, Endpoint, Event, Failure, Header, Next, Object, ObjectRef, Plan, ReadError, Request, SecretDigest, Selection,
    },
    controller::{Controller, Decide, Reconcile, Shared, Wake, follow},
    gateway::{Answers, Ending, Gateway, Listed, Queries, Replay, Seen, SharedGateway},
    runtime::CallError,
    settings::Reconciler,
};

const SLOT: &str = "slot";
const SOON: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);

fn key() -> ObjectKey {
    ObjectKey::new("example.com/v1", "Thing", "ns", "x")
}

fn subject(uid: &str) -> Subject {
    Subject { reconciler: SLOT.into(), object: key(), uid: uid.into() }
}

fn execution(host: &str, deadline: Duration) -> Execution {
    let credentials = Credentials { namespace: "ns".into(), secret: "account".into(), user_key: "u".into(), password_key: "p".into() };
    let endpoint = Endpoint { host: host.into(), port: 3306, credentials, tls: None };
    let deadline = u64::try_from(deadline.as_millis()).unwrap();
    Execution { endpoint, database: None, guard: None, statements: vec![], deadline }
}

fn start(name: &str, deadline: Duration) -> Effect {
    Effect::Start(Task { name: name.into(), execution: execution("db.ns.svc", deadline) })
}

/// Statements that take a while. What runs and what was stopped is counted.
struct Slow {
    takes: Duration,
    begun: AtomicUsize,
    runs: AtomicUsize,
    stopped: AtomicUsize,
}

#[async_trait]
impl Work for Slow {
    async fn work(&self, execution: &Execution, end: Instant, stop: oneshot::Receiver<()>) -> Result<Vec<Rows>, ExecuteError> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.runs.fetch_add(1, Ordering::Relaxed);
        let stopped = tokio::select! {
            biased;
            () = sleep(self.takes) => false,
            () = tokio::time::sleep_until(end) => true,
            _ = stop => true,
        };
        self.runs.fetch_sub(1, Ordering::Relaxed);
        self.stopped.fetch_add(usize::from(stopped), Ordering::Relaxed);
        let error = |kind| SqlError { kind, code: 0, state: String::new(), message: execution.endpoint.host.clone() };
        match stopped {
            true => Err(ExecuteError::Sql(error(SqlErrorKind::Timeout))),
            false => Ok(vec![Rows { columns: vec!["status".into()], rows: vec![] }]),
        }
    }
}

/// One object, tasks, and a list of what was applied.
struct World {
    uid: Mutex<Option<String>>,
    tasks: Tasks,
    work: Arc<Slow>,
    fenced: AtomicBool,
    applied: Mutex<Vec<String>>,
    events: Mutex<Vec<String>>,
}

#[async_trait]
impl Gateway for World {
    async fn get(&self, _: &Subject, wanted: &ObjectRef, _: &[String]) -> Result<Option<Seen>, ReadError> {
        let ObjectRef { api_version, kind, namespace, name } = wanted.clone();
        Ok(self.uid.lock().unwrap().clone().map(|uid| {
            let (resource_version, labels) = ("1".into(), vec![]);
            let header = Header { api_version, kind, namespace, name, uid, resource_version, generation: 1, deleting: false, labels };
            Object { header, body: "{}".into() }.into()
        }))
    }
    async fn select(&self, _: &Subject, _: &Selection) -> Result<Listed, ReadError> {
        Ok(Listed { objects: vec![], next: None })
    }
    async fn secret(&self, _: &Subject, _: &str, _: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        Ok(None)
    }
    async fn query(&self, _: &Subject, _: &Queries) -> Answers {
        vec![].into()
    }
    async fn tasks(&self, subject: &Subject) -> Vec<TaskState> {
        self.tasks.list(subject)
    }
    fn now(&self) -> Timestamp {
        7_000
    }
    async fn apply(&self, subject: &Subject, effect: &Effect) -> Result<Applied, EffectFailure> {
        if self.fenced.load(Ordering::Relaxed) {
            return Err(failure(FailureKind::Unavailable, "not the leader".into()));
        }
        match effect {
            Effect::Start(task) => self.tasks.start(subject, task, self.now(), self.work.clone()),
            Effect::Forget(name) => Ok(self.tasks.forget(subject, name)),
            other => {
                let other = crate::plan::name(other).to_owned();
                let mut applied = self.applied.lock().unwrap();
                let new = !applied.contains(&other);
                applied.push(other);
                Ok(if new { Applied::Changed } else { Applied::Unchanged })
            }
        }
    }
    async fn event(&self, _: &Subject, event: &Event) {
        self.events.lock().unwrap().push(format!("{}: {}", event.reason, event.message));
    }
    async fn gone(&self, subject: &Subject) {
        self.tasks.gone(subject);
    }
}

type Decision = Box<dyn Fn(&[TaskState]) -> Vec<Effect> + Send + Sync>;

/// Reads the tasks, then decides by a closure. What it saw in each round is kept.
struct Script {
    saw: Mutex<Vec<String>>,
    decision: Decision,
}

#[async_trait]
impl Decide for Script {
    fn digest(&self) -> &str {
        "script"
    }
    async fn decide(&self, subject: &Subject, gateway: SharedGateway, _: &Request) -> Result<Result<Plan, Failure>, CallError> {
        let tasks = gateway.tasks(subject).await;
        self.saw.lock().unwrap().push(tasks.iter().map(shown).collect::<Vec<_>>().join(" "));
        Ok(Ok(Plan { effects: (self.decision)(&tasks), events: vec![], next: Next::Change }))
    }
}

fn shown(task: &TaskState) -> String {
    let progress = match &task.progress {
        TaskProgress::Running => "runs".to_owned(),
        TaskProgress::Done(rows) => format!("done:{}", rows[0].columns[0]),
        TaskProgress::Failed(error) if error.kind == SqlErrorKind::Timeout => "timeout".to_owned(),
        TaskProgress::Failed(_) => "failed".to_owned(),
        TaskProgress::Guarded(_) => "guarded".into(),
    };
    format!("{}={progress}", task.name)
}

struct Chair(Arc<Script>);

impl Reconcile for Chair {
    fn active(&self) -> Option<Arc<dyn Decide>> {
        Some(self.0.clone())
    }
}

struct Bench {
    world: Arc<World>,
    script: Arc<Script>,
    controller: Arc<Controller>,
    metrics: Metrics,
    shared: Shared,
}

impl Bench {
    fn start(takes: Duration, decision: impl Fn(&[TaskState]) -> Vec<Effect> + Send + Sync + 'static) -> Self {
        let metrics = Metrics::new("test");
        let limits = TaskLimits { per_object: 2, running: 3, longest: 2 * HOUR };
        let (tasks, ended) = Tasks::new(limits, metrics.clone());
        let counted = AtomicUsize::default;
        let work = Arc::new(Slow { takes, begun: counted(), runs: counted(), stopped: counted() });
        let uid = Mutex::new(Some("u".into()));
        let world =
            Arc::new(World { uid, tasks, work, fenced: AtomicBool::default(), applied: Mutex::default(), events: Mutex::default() });
        let script = Arc::new(Script { saw: Mutex::default(), decision: Box::new(decision) });
        let slot: Reconciler = serde_json::from_value(json!({
            "reconciles": {"apiVersion": "example.com/v1", "kind": "Thing", "resource": "things"},
            "grant": {"secrets": ["account"], "sql": {"read": ["db.*", "other.*"], "write": ["db.*", "third.*"]}},
        }))
        .unwrap();
        let shared = Shared {
            world: world.clone(),
            index: Arc::default(),
            journals: Arc::default(),
            limits: Limits::default(),
            metrics: metrics.clone(),
        };
        let controller = Arc::new(Controller::new(SLOT, slot, Arc::new(Chair(script.clone())), shared.clone()));
        controller.wake(&key(), Wake::Run);
        tokio::spawn(controller.clone().run());
        tokio::spawn(follow(ended, HashMap::from([(SLOT.to_owned(), controller.clone())])));
        Self { world, script, controller, metrics, shared }
    }

    /// What the rounds saw until now, after a while. Time is virtual.
    async fn after(&self, time: Duration) -> Vec<String> {
        sleep(time).await;
        self.script.saw.lock().unwrap().clone()
    }

    fn runs(&self) -> usize {
        self.world.work.runs.load(Ordering::Relaxed)
    }

    fn counts(&self, line: &str) -> bool {
        self.metrics.encode().lines().any(|metric| metric == line)
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_is_started_once_and_its_end_wakes_its_object_at_once() {
    let bench = Bench::start(HOUR, |_| vec![start("a", 2 * HOUR)]);
    assert_eq!(bench.after(SOON).await, ["", "a=runs"]);
    assert_eq!(bench.world.tasks.list(&subject("u"))[0].deadline, 7_000 + 7_200_000);
    assert!(bench.counts(r#"test_tasks_running{reconciler="slot"} 1"#));
    bench.controller.wake(&key(), Wake::Change);
    assert_eq!(bench.after(HOUR / 2).await.len(), 2, "nothing is new, so nothing is decided");
    bench.controller.wake(&key(), Wake::Run);
    assert_eq!(bench.after(SOON).await.len(), 3);
    assert_eq!(bench.after(HOUR / 2).await[3..], ["a=done:status"], "nobody else wakes the object");
    assert_eq!(bench.after(HOUR).await.len(), 4, "what has ended is not started again");
    assert_eq!(bench.world.work.begun.load(Ordering::Relaxed), 1);
    assert!(bench.counts(r#"test_tasks_total{reconciler="slot",result="done"} 1"#));
    assert!(bench.counts(r#"test_tasks_running{reconciler="slot"} 0"#));
}

#[tokio::test(start_paused = true)]
async fn rounds_replay_with_what_they_saw_of_tasks() {
    let bench = Bench::start(HOUR, |tasks| if tasks.is_empty() { vec![start("a", HOUR)] } else { vec![] });
    bench.after(SOON).await;
    let journals = bench.shared.journals.of(SLOT);
    assert_eq!(journals.len(), 2);
    for journal in journals {
        let replay = Arc::new(Replay::new(journal.reads.clone()));
        let replayed = bench.script.decide(&journal.subject, replay.clone(), &journal.request).await.unwrap().unwrap();
        assert_eq!((replay.divergence(), Ending::Plan(replayed)), (None, journal.ending.clone()));
        let effect = start("a", HOUR);
        assert_eq!(replay.apply(&journal.subject, &effect).await.unwrap_err().kind, FailureKind::Denied, "a replay starts nothing");
    }
    assert_eq!(bench.world.work.begun.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_ends_at_its_deadline_and_at_the_hosts() {
    let bench = Bench::start(10 * HOUR, |_| vec![start("a", HOUR), start("b", 5 * HOUR)]);
    assert_eq!(bench.after(SOON).await, ["", "a=runs b=runs"]);
    assert_eq!(bench.after(HOUR).await[2..], ["a=timeout b=runs"]);
    assert_eq!(bench.after(HOUR).await[3..], ["a=timeout b=timeout"], "the host's limit is two hours");
    assert_eq!(bench.runs(), 0);
    assert!(bench.counts(r#"test_tasks_total{reconciler="slot",result="timeout"} 2"#));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_forgotten_is_stopped_and_may_be_started_again() {
    let forget = Arc::new(AtomicBool::default());
    let bench = Bench::start(HOUR, {
        let forget = forget.clone();
        move |_| if forget.load(Ordering::Relaxed) { vec![Effect::Forget("a".into())] } else { vec![start("a", HOUR)] }
    });
    assert_eq!(bench.after(SOON).await, ["", "a=runs"]);
    forget.store(true, Ordering::Relaxed);
    bench.controller.wake(&key(), Wake::Run);
    assert_eq!(bench.after(SOON).await[2..], ["a=runs", ""], "once forgotten, there is nothing to forget");
    assert_eq!((bench.runs(), bench.world.work.stopped.load(Ordering::Relaxed)), (0, 1));
    assert!(bench.counts(r#"test_tasks_total{reconciler="slot",result="stopped"} 1"#));
    forget.store(false, Ordering::Relaxed);
    bench.controller.wake(&key(), Wake::Run);
    assert_eq!(bench.after(SOON).await[4..], ["", "a=runs"]);
    assert_eq!(bench.after(HOUR).await[6..], ["a=done:status"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_ends_with_its_object() {
    let bench = Bench::start(HOUR, |_| vec![start("a", HOUR)]);
    bench.after(SOON).await;
    *bench.world.uid.lock().unwrap() = None;
    bench.controller.wake(&key(), Wake::Change);
    assert_eq!(bench.after(SOON).await.len(), 2);
    assert_eq!((bench.runs(), bench.world.tasks.list(&subject("u"))), (0, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_namesake_has_no_tasks_and_ends_those_of_its_predecessor() {
    let bench = Bench::start(HOUR, |tasks| if tasks.is_empty() { vec![start("a", HOUR)] } else { vec![] });
    bench.after(SOON).await;
    *bench.world.uid.lock().unwrap() = Some("another".into());
    bench.controller.wake(&key(), Wake::Change);
    assert_eq!(bench.after(SOON).await[2..], ["", "a=runs"]);
    assert_eq!((bench.runs(), bench.world.work.begun.load(Ordering::Relaxed)), (1, 2));
    assert_eq!(bench.after(HOUR).await[4..], ["a=done:status"], "the predecessor's end is nobody's");
}

#[tokio::test(start_paused = true)]
async fn with_the_leadership_every_task_ends_and_none_is_started() {
    let bench = Bench::start(HOUR, |_| vec![start("a", HOUR), start("b", HOUR)]);
    bench.after(SOON).await;
    assert_eq!(bench.runs(), 2);
    bench.world.tasks.close().await;
    assert_eq!((bench.runs(), bench.world.work.stopped.load(Ordering::Relaxed)), (0, 2), "what closes has seen them end");
    let task = Task { name: "c".into(), execution: execution("db.ns.svc", HOUR) };
    let refused = bench.world.tasks.start(&subject("u"), &task, 0, bench.world.work.clone()).unwrap_err();
    assert!(refused.message.contains("about to end"), "{refused:?}");
    assert_eq!(bench.world.tasks.list(&subject("u")), []);
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_there_are_no_tasks() {
    let bench = Bench::start(HOUR, |_| vec![start("a", HOUR)]);
    bench.after(SOON).await;
    let work = bench.world.work.clone();
    let (tasks, _ended) = Tasks::new(TaskLimits::from(&Limits::default()), Metrics::new("test"));
    let task = Task { name: "a".into(), execution: execution("db.ns.svc", HOUR) };
    tasks.start(&subject("u"), &task, 0, work.clone()).unwrap();
    sleep(SOON).await;
    assert_eq!(work.begun.load(Ordering::Relaxed), 2);
    drop(tasks);
    let (successor, _ended) = Tasks::new(TaskLimits::from(&Limits::default()), Metrics::new("test"));
    assert_eq!(successor.list(&subject("u")), []);
    assert_eq!(successor.start(&subject("u"), &task, 0, work).unwrap(), Applied::Changed);
}

#[tokio::test(start_paused = true)]
async fn without_leadership_nothing_is_started() {
    let bench = Bench::start(HOUR, |_| vec![Effect::Status("{}".into()), start("a", HOUR)]);
    bench.world.fenced.store(true, Ordering::Relaxed);
    bench.after(Duration::from_secs(60)).await;
    assert_eq!(bench.world.work.begun.load(Ordering::Relaxed), 0);
}

#[rstest::rstest]
#[case::writing_is_not_granted(
    Effect::Start(Task { name: "a".into(), execution: execution("other.ns.svc", HOUR) }),
    "effect 1 (start): writing on host other.ns.svc is not granted"
)]
#[case::reading_is_not_granted(
    Effect::Start(Task { name: "a".into(), execution: execution("third.ns.svc", HOUR) }),
    "effect 1 (start): querying host third.ns.svc is not granted"
)]
#[case::no_name(start("", HOUR), "effect 1 (start): \"\" is no name of a task")]
#[case::no_such_name(Effect::Forget("a b".into()), "effect 1 (forget): \"a b\" is no name of a task")]
#[tokio::test(start_paused = true)]
async fn a_plan_with_a_task_that_is_not_allowed_does_not_happen_at_all(#[case] effect: Effect, #[case] why: &str) {
    let bench = Bench::start(HOUR, move |_| vec![Effect::Status("{}".into()), effect.clone(), start("b", HOUR)]);
    bench.after(SOON).await;
    assert_eq!(bench.world.work.begun.load(Ordering::Relaxed), 0);
    assert!(bench.world.applied.lock().unwrap().is_empty(), "the status before it was not written either");
    let events = bench.world.events.lock().unwrap().clone();
    assert!(events[0].starts_with(&format!("PlanDenied: nothing of the plan happened: {why}")), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn tasks_are_capped_for_each_object_and_in_all() {
    let bench = Bench::start(HOUR, |_| vec![]);
    bench.after(SOON).await;
    let tasks = &bench.world.tasks;
    let begin = |uid: &str, object: &str, name: &str| {
        let subject = Subject { object: ObjectKey::new("example.com/v1", "Thing", "ns", object), ..subject(uid) };
        let task = Task { name: name.into(), execution: execution("db.ns.svc", HOUR) };
        tasks.start(&subject, &task, 0, bench.world.work.clone()).map_err(|failure| failure.message)
    };
    for (uid, object, name) in [("u", "x", "a"), ("u", "x", "b"), ("v", "y", "a")] {
        assert_eq!(begin(uid, object, name), Ok(Applied::Changed));
    }
    assert!(begin("u", "x", "c").unwrap_err().starts_with("the object has 2 tasks"));
    assert!(begin("v", "y", "b").unwrap_err().starts_with("3 tasks run"));
    sleep(HOUR + SOON).await;
    assert!(begin("u", "x", "c").unwrap_err().starts_with("the object has 2 tasks"), "those that have ended count too");
    assert_eq!(begin("v", "y", "b"), Ok(Applied::Changed));
}
