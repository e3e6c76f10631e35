//! The simulated world behind the host's gateway: reads from the host's cache and from model servers, effects on the model API server and on
//! model servers, each with its time on the way.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use host::{
    cluster::Stored,
    contract::{Effect, EffectFailure, Event, Execution, FailureKind, ObjectRef, ReadError, SecretDigest, Selection, TaskState, Timestamp},
    gateway::{Answers, Applied, Effects, Gateway, Listed, ObjectKey, Queries, Seen, Subject, replace},
    leader::Leadership,
    sql::ExecuteError,
    tasks::Tasks,
};
use tokio::time::{Instant, sleep};

use crate::{
    api::{Change, key},
    lease::Candidate,
    moment::Sim,
    name::{ByName, Name},
    schedule::Trouble,
    statements::{LOOK, Statements},
    world::{World, clock},
};

/// The gateway of one life of the host.
pub(crate) struct SimGateway {
    sim: Arc<Sim>,
    tasks: Tasks,
    replica: u64,
    leadership: Leadership,
    sent: Mutex<ByName<Vec<Sent>>>,
}

/// What a reconciler sent, of an object or of its status, and what that was like after it: as long as both stay, the host does not send it again.
struct Sent {
    reconciler: String,
    of_status: bool,
    body: String,
    after: u64,
}

/// What an effect came to.
type Done = Result<Applied, EffectFailure>;

impl SimGateway {
    pub(crate) fn new(sim: Arc<Sim>, tasks: Tasks, candidate: &Candidate) -> Self {
        Self { sim, tasks, replica: candidate.replica, leadership: candidate.leadership.clone(), sent: Mutex::default() }
    }

    /// A host that does not lead any more ends its tasks, as soon as it does anything at all.
    pub(crate) async fn end_tasks_with_leadership(self: Arc<Self>) {
        self.leadership.acquired().await;
        self.leadership.lost().await;
        while self.sim.look(|world| world.stands_still(self.replica)) {
            sleep(Duration::from_millis(LOOK * 10)).await;
        }
        self.tasks.close().await;
    }

    async fn perform(&self, subject: &Subject, effect: &Effect, known: Option<&Stored>, heard: bool) -> Done {
        match effect {
            Effect::Sql(execution) => {
                let until = Instant::now() + Duration::from_millis(execution.deadline);
                match self.statements().execute(execution, until).await {
                    Ok(_) => Ok(Applied::Changed),
                    Err(ExecuteError::Guard { message }) => Err(EffectFailure { effect: 0, kind: FailureKind::Guard, message, sql: None }),
                    Err(ExecuteError::Sql(error)) => {
                        Err(EffectFailure { effect: 0, kind: FailureKind::Sql, message: error.message.clone(), sql: Some(error) })
                    }
                }
            }
            Effect::Start(task) => self.tasks.start(subject, task, self.now(), Arc::new(self.statements())),
            Effect::Forget(name) => Ok(self.tasks.forget(subject, name)),
            effect => {
                self.statements().travel().await;
                let done = self.sim.at_now().perform(subject, effect, known, heard.then_some(self.replica));
                if let (Some(written), true, Ok(_)) = (written(subject, effect), heard, &done) {
                    self.note_sent(subject, &written);
                }
                done
            }
        }
    }

    /// Whether the same was sent before, and is still there as far as is known.
    fn is_there(&self, subject: &Subject, effect: &Effect) -> bool {
        let Some(written) = written(subject, effect) else { return false };
        let now = self.fingerprint_of(&written);
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_the_same = |sent: &Sent| sent.body == written.body && Some(sent.after) == now;
        sent.get(written.object).into_iter().flatten().find(|sent| sent.is_of(subject, &written)).is_some_and(is_the_same)
    }

    fn note_sent(&self, subject: &Subject, written: &Written) {
        let Some(after) = self.fingerprint_of(written) else { return };
        let Written { object, of_status, body } = *written;
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let [api_version, kind, namespace, name] = object.parts();
        let sent = sent.entry(key(api_version, kind, namespace, name)).or_default();
        sent.retain(|sent| !sent.is_of(subject, written));
        sent.push(Sent { reconciler: subject.reconciler.clone(), of_status, body: body.to_owned(), after });
    }

    fn fingerprint_of(&self, written: &Written) -> Option<u64> {
        self.sim.recall(|world| world.cache_of_mut(self.replica).fingerprint(written.object, written.of_status))
    }

    fn statements(&self) -> Statements {
        Statements { sim: self.sim.clone(), replica: self.replica, leadership: self.leadership.clone() }
    }
}

impl Sent {
    fn is_of(&self, subject: &Subject, written: &Written) -> bool {
        self.of_status == written.of_status && self.reconciler == subject.reconciler
    }
}

#[async_trait]
impl Gateway for SimGateway {
    async fn get(&self, _: &Subject, object: &ObjectRef, fields: &[String]) -> Result<Option<Seen>, ReadError> {
        self.sim.recall(|world| world.cache_of_mut(self.replica).get(object, fields))
    }

    async fn select(&self, _: &Subject, selection: &Selection) -> Result<Listed, ReadError> {
        self.sim.recall(|world| world.cache_of_mut(self.replica).select(selection))
    }

    async fn secret(&self, _: &Subject, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        Ok(self.sim.recall(|world| world.cache_of_mut(self.replica).secret(namespace, name)))
    }

    async fn fingerprint(&self, object: &ObjectRef) -> Option<u64> {
        self.sim.recall(|world| world.cache_of_mut(self.replica).fingerprint(object, false))
    }

    fn revision(&self) -> Option<u64> {
        Some(self.sim.look(|world| world.cache_of(self.replica).revision()))
    }

    async fn query(&self, _: &Subject, queries: &Queries) -> Answers {
        let statements = self.statements();
        join_all(queries.iter().map(|query| statements.ask(query))).await.into()
    }

    async fn tasks(&self, subject: &Subject) -> Vec<TaskState> {
        self.tasks.list(subject)
    }

    async fn gone(&self, subject: &Subject) {
        self.tasks.gone(subject);
    }

    fn now(&self) -> Timestamp {
        self.sim.look(World::wall)
    }

    async fn apply(&self, subject: &Subject, effect: &Effect) -> Done {
        replace(self, subject, effect).await
    }

    async fn event(&self, _: &Subject, event: &Event) {
        self.sim.at_now().say(|| format!("event {}: {}", event.reason, event.message));
    }

    async fn health(&self, _: &Subject, trouble: Option<(&str, &str)>) {
        self.sim.at_now().on_health(trouble);
    }
}

#[async_trait]
impl Effects for SimGateway {
    async fn known(&self, object: &ObjectRef) -> Result<Option<Arc<Stored>>, EffectFailure> {
        Ok(self.sim.look(|world| world.cache_of(self.replica).stored(object).cloned()))
    }

    async fn live(&self, object: &ObjectRef) -> Result<Option<Arc<Stored>>, EffectFailure> {
        self.sim.pause(1..8).await;
        self.statements().travel().await;
        Ok(self.sim.at_now().show(&ObjectKey::from(object), self.replica))
    }

    /// The host ends where its gateway would fail; one that stands still has ended before it would go on.
    async fn fenced(&self) -> Result<(), EffectFailure> {
        if !self.leadership.is_held() || self.sim.look(|world| world.stands_still(self.replica)) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn write(&self, subject: &Subject, effect: &Effect, known: Option<&Stored>) -> Done {
        if self.is_there(subject, effect) {
            return Ok(Applied::Unchanged);
        }
        self.sim.pause(1..8).await;
        let (counted, troubles) = {
            let mut world = self.sim.at_now();
            world.on_effect(effect);
            let counts = matches!(effect, Effect::Sql(_) | Effect::Start(_) | Effect::Forget(_))
                || (world.faults.at_next_effect() && world.would_change(subject, effect, known));
            (counts, if counts { world.count_effect(effect) } else { Vec::new() })
        };
        let is = |kind: fn(&Trouble) -> bool| troubles.iter().find(|trouble| kind(trouble)).cloned();
        if let Some(crash) = is(|trouble| matches!(trouble, Trouble::CrashBefore(_))) {
            self.sim.at_now().on_trouble(crash);
            std::future::pending::<()>().await;
        }
        if let Some(refusal) = is(|trouble| *trouble == Trouble::Refuse) {
            self.sim.at_now().on_trouble(refusal);
            return Err(unavailable("the server cannot answer"));
        }
        if let Some(lost_lease) = is(|trouble| matches!(trouble, Trouble::LostLease { .. })) {
            self.sim.at_now().on_trouble(lost_lease);
        }
        let lost = is(|trouble| *trouble == Trouble::LoseAnswer);
        let mut done = self.perform(subject, effect, known, lost.is_none()).await;
        {
            let mut world = self.sim.at_now();
            if !counted && matches!(done, Ok(Applied::Changed)) {
                world.count_effect(effect);
            }
            world.tell_effect(effect, &done);
        }
        for trouble in troubles.into_iter().filter(|trouble| !matches!(trouble, Trouble::LostLease { .. })) {
            self.sim.at_now().on_trouble(trouble.clone());
            match trouble {
                Trouble::CrashAfter(_) | Trouble::Restart { .. } => std::future::pending::<()>().await,
                Trouble::LoseAnswer => done = Err(unavailable("the connection was lost")),
                _ => {}
            }
        }
        self.sim.pause(0..5).await;
        done
    }
}

impl World {
    /// Whether an effect would change anything.
    fn would_change(&self, subject: &Subject, effect: &Effect, known: Option<&Stored>) -> bool {
        self.api.clone().perform(subject, effect, known).unwrap_or_default()
    }

    /// An effect that changes something, or may. Gives what goes wrong at it.
    fn count_effect(&mut self, effect: &Effect) -> Vec<Trouble> {
        let number = self.faults.effects;
        self.say(|| format!("effect {number}: {}", describe(effect)));
        self.on_counted(effect);
        self.faults.count_effect()
    }

    fn tell_effect(&mut self, effect: &Effect, done: &Done) {
        match (effect, done) {
            (Effect::Sql(execution), Ok(_)) => {
                self.say(|| format!("done: {}", describe(effect)));
                self.on_executed(execution);
            }
            (_, Err(failure)) => self.say(|| format!("failed: {}: {}", describe(effect), failure.message)),
            _ => {}
        }
    }

    /// An effect on the API server. A host that has `heard` of it sees at once what is written.
    fn perform(&mut self, subject: &Subject, effect: &Effect, known: Option<&Stored>, heard: Option<u64>) -> Done {
        let from = self.api.changes();
        self.api.now = Some(clock(self.now));
        let changed = self.api.perform(subject, effect, known)?;
        if let Some(replica) = heard {
            // What is there already is in the answer, too.
            if !changed {
                self.show(&written_to(subject, effect), replica);
            }
            for at in from..self.api.changes() {
                if let Some(change) = self.api.change(at).cloned() {
                    self.cache_of_mut(replica).put(&change);
                }
            }
        }
        Ok(if changed { Applied::Changed } else { Applied::Unchanged })
    }

    /// Shows a host an object as it is.
    fn show(&mut self, key: &ObjectKey, replica: u64) -> Option<Arc<Stored>> {
        let live = self.api.get(key).cloned();
        if let Some(live) = &live {
            self.cache_of_mut(replica).put(&Change {
                version: live.version(),
                key: key.clone(),
                object: Some(live.clone()),
                is_new: false,
            });
        }
        live
    }
}

/// An apply: of what object, whether it is of its status, and of what.
struct Written<'a> {
    object: &'a dyn Name,
    of_status: bool,
    body: &'a str,
}

/// What an effect writes where, if it is an apply.
fn written<'a>(subject: &'a Subject, effect: &'a Effect) -> Option<Written<'a>> {
    match effect {
        Effect::Apply(application) => Some(Written { object: &application.object, of_status: false, body: &application.body }),
        Effect::Status(status) => Some(Written { object: &subject.object, of_status: true, body: status }),
        _ => None,
    }
}

/// The object that an effect writes to.
fn written_to(subject: &Subject, effect: &Effect) -> ObjectKey {
    match effect {
        Effect::Apply(application) => ObjectKey::from(&application.object),
        Effect::Delete(deletion) => ObjectKey::from(&deletion.object),
        Effect::Label(labelling) => ObjectKey::from(&labelling.object),
        _ => subject.object.clone(),
    }
}

/// What an effect is, for people.
fn describe(effect: &Effect) -> String {
    let on = |object: &ObjectRef| format!("{} {}", object.kind, object.name);
    match effect {
        Effect::Apply(application) if application.object.kind == "Service" => {
            let body: serde_json::Value = serde_json::from_str(&application.body).unwrap_or_default();
            format!("apply {} that selects {}", on(&application.object), body["spec"]["selector"])
        }
        Effect::Apply(application) => format!("apply {}", on(&application.object)),
        Effect::Delete(deletion) => format!("delete {}", on(&deletion.object)),
        Effect::Label(labelling) => format!("label {} with {:?}", on(&labelling.object), labelling.labels),
        Effect::Finalizer(finalizer) => format!("finalizer {} present: {}", finalizer.name, finalizer.present),
        Effect::Status(status) => format!("status {status}"),
        Effect::Sql(execution) => format!("sql {}", statements(execution)),
        Effect::Start(task) => format!("start task {} {}", task.name, statements(&task.execution)),
        Effect::Forget(name) => format!("forget task {name}"),
        Effect::GenerateSecret(secret) => format!("generate Secret {}", secret.name),
    }
}

fn statements(execution: &Execution) -> String {
    let statements: Vec<String> = execution.statements.iter().map(|s| format!("{} {:?}", s.text, s.arguments)).collect();
    format!("on {}: {}", execution.endpoint.host, statements.join("; "))
}

fn unavailable(message: &str) -> EffectFailure {
    EffectFailure { effect: 0, kind: FailureKind::Unavailable, message: message.into(), sql: None }
}
