//! The simulated world behind the host's gateway: reads from the host's cache and from model servers, effects on the model API server and on
//! model servers, each with its time on the way.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::join_all;
use host::{
    cluster::Stored,
    contract::{
        Argument, Effect, EffectFailure, Endpoint, Event, Execution, FailureKind, Guard, ObjectRef, Query, ReadError, Rows, SecretDigest,
        Selection, SqlError, SqlErrorKind, Statement, TaskState, Timestamp, Value,
    },
    gateway::{Answers, Applied, Effects, Gateway, Listed, ObjectKey, Queries, Seen, Subject, replace},
    leader::Leadership,
    sql::{ExecuteError, GUARD_HOLDS},
    tasks::{Tasks, Work},
};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep},
};

use crate::{
    api::{Change, key},
    dolt::{Answer, Dolt, Session},
    lease::Candidate,
    name::{ByName, Name},
    rng::Rng,
    schedule::Trouble,
    world::{HOST, World, clock},
};

/// Between two looks for an answer that takes long, in milliseconds.
const LOOK: u64 = 10;
/// For how long a task tries to connect: the longest deadline of the host for what is no task.
const CONNECTING: Duration = Duration::from_secs(60);

/// The world, and whoever waits for it.
pub(crate) struct Sim {
    world: Mutex<World>,
    /// Something has been planned, or has to be told.
    pub(crate) news: Notify,
    started: Instant,
    base: u64,
    /// How long the hosts' steps take: what they do more or less often changes nothing else.
    rng: Mutex<Rng>,
}

/// The world for a moment: at the time of now, and followed up on afterwards.
pub(crate) struct Moment<'a> {
    world: MutexGuard<'a, World>,
    news: &'a Notify,
}

impl Deref for Moment<'_> {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Moment<'_> {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl Drop for Moment<'_> {
    fn drop(&mut self) {
        self.world.settle();
        if self.world.wants_driver() {
            self.news.notify_one();
        }
    }
}

thread_local! {
    /// Whether the runtime's time may be another than the world's. Most often somebody looks at a moment that is known.
    static LATER: Cell<bool> = const { Cell::new(true) };
}

/// The runtime waits for what comes next: this is where its time goes on.
pub(crate) fn time_goes_on() {
    LATER.set(true);
}

impl Sim {
    /// From now on, the world's time goes with the runtime's.
    pub(crate) fn new(world: World, seed: u64) -> Self {
        let base = world.now;
        Self { world: Mutex::new(world), news: Notify::new(), started: Instant::now(), base, rng: Mutex::new(Rng::new(seed)) }
    }

    /// When a time of the world is.
    pub(crate) fn instant(&self, at: u64) -> Instant {
        self.started + Duration::from_millis(at.saturating_sub(self.base))
    }

    fn now(&self) -> u64 {
        self.base + u64::try_from(self.started.elapsed().as_millis()).unwrap_or_default()
    }

    /// The world, with everything done that is due.
    pub(crate) fn at_now(&self) -> Moment<'_> {
        Moment { world: self.drive(), news: &self.news }
    }

    /// The world for whoever drives it, who need not be told of news.
    pub(crate) fn drive(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = if LATER.take() { self.now() } else { world.now };
        world.advance(now);
        world
    }

    /// The world for a look that changes nothing.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        self.recall(|world| look(world))
    }

    /// The world for a look into what hosts know, which keeps what it has worked out.
    pub(crate) fn recall<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.drive();
        if world.wants_driver() {
            self.news.notify_one();
        }
        look(&mut world)
    }

    /// The world for a change that nobody but the hosts sees.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.at_now())
    }

    /// The world at the end.
    pub(crate) fn into_world(self) -> World {
        self.world.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pause(&self, range: std::ops::Range<u64>) {
        let wait = self.rng.lock().unwrap_or_else(PoisonError::into_inner).within(range);
        if wait > 0 {
            sleep(Duration::from_millis(wait)).await;
        }
    }
}

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

/// Statements on model servers, in virtual time.
struct Statements {
    sim: Arc<Sim>,
    replica: u64,
    leadership: Leadership,
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

impl Deref for Statements {
    type Target = Sim;
    fn deref(&self) -> &Sim {
        &self.sim
    }
}

impl Statements {
    /// What a host that has lost its lease has under way arrives late.
    async fn late(&self, between_steps: bool) -> Duration {
        let late = Duration::from_millis(self.look(|world| world.lateness(self.replica, between_steps)));
        if !late.is_zero() {
            sleep(late).await;
            self.change(|world| world.say(|| "what the former host had under way arrives".into()));
        }
        late
    }

    async fn travel(&self) {
        self.late(false).await;
        self.late(true).await;
    }

    /// The server's session for a query or an execution, or why there is none. A server that says nothing costs the whole deadline.
    async fn connect(&self, endpoint: &Endpoint, database: Option<&str>, until: Instant) -> Result<Session, SqlError> {
        loop {
            let (server, silent) = {
                let world = self.at_now();
                let server = world.resolve(&endpoint.host).ok_or_else(|| {
                    sql_error(
                        endpoint,
                        SqlErrorKind::Unreachable,
                        0,
                        "no connection: failed to lookup address information: name or service not known",
                    )
                })?;
                let silent = world.is_cut(HOST, &server) || (world.dolt.runs(&server) && !world.dolt.answers(&server));
                (server, silent)
            };
            if !silent {
                let session = self.look(|world| world.dolt.connect(&server, database));
                return session
                    .ok_or_else(|| sql_error(endpoint, SqlErrorKind::Unreachable, 0, "no connection: connection refused (os error 111)"));
            }
            if Instant::now() >= until {
                return Err(sql_error(endpoint, SqlErrorKind::Timeout, 0, "no answer before the deadline"));
            }
            sleep(Duration::from_millis(LOOK * 10).min(until - Instant::now())).await;
        }
    }

    /// One statement of a session, with the time that it takes.
    async fn run(&self, endpoint: &Endpoint, session: &mut Session, statement: &Statement, until: Instant) -> Result<Rows, SqlError> {
        let Some(mut answer) = self.at_now().run(session, statement) else {
            return Err(sql_error(endpoint, SqlErrorKind::Invalid, 0, "a Secret of the statement is not there"));
        };
        let mut server = None;
        let mut line = None;
        loop {
            match answer {
                Answer::Rows(rows) => return Ok(rows),
                Answer::Error(code, words) => {
                    let message = format!("server error {code} (HY000): {words}");
                    return Err(sql_error(endpoint, SqlErrorKind::Server, code, &message));
                }
                Answer::Lost => return Err(sql_error(endpoint, SqlErrorKind::Lost, 0, "the connection was lost: the server closed it")),
                Answer::Unknown(statement) => {
                    self.at_now().on_unknown_statement(&endpoint.host, &statement);
                    return Err(sql_error(endpoint, SqlErrorKind::Invalid, 0, "the model does not know this statement"));
                }
                Answer::Waits(id) => {
                    if Instant::now() >= until {
                        return Err(sql_error(endpoint, SqlErrorKind::Timeout, 0, "no answer before the deadline"));
                    }
                    let server = server.get_or_insert_with(|| self.look(|world| world.resolve(&endpoint.host)));
                    let copies = Dolt::is_copy(id);
                    if copies {
                        line.get_or_insert_with(|| Line { sim: self.sim.clone(), server: server.clone().unwrap_or_default(), copy: id });
                    }
                    sleep(Duration::from_millis(if copies { LOOK * 10 } else { LOOK })).await;
                    let world = self.at_now();
                    let hears = server.as_ref().is_some_and(|server| world.host_meets(server, copies));
                    let known = if hears { world.dolt.later_answer(session, id) } else { None };
                    answer = known.unwrap_or(Answer::Waits(id));
                }
            }
        }
    }

    async fn ask(&self, query: &Query) -> Result<Vec<Rows>, SqlError> {
        let until = Instant::now() + Duration::from_millis(query.deadline);
        self.pause(1..6).await;
        let mut session = self.connect(&query.endpoint, query.database.as_deref(), until).await?;
        let mut results = Vec::new();
        for statement in &query.statements {
            results.push(self.run(&query.endpoint, &mut session, statement, until).await?);
        }
        self.pause(0..4).await;
        Ok(results)
    }

    async fn execute(&self, execution: &Execution, until: Instant) -> Result<Vec<Rows>, ExecuteError> {
        let failed = ExecuteError::Sql;
        self.pause(1..6).await;
        let endpoint = &execution.endpoint;
        let soon = until.min(Instant::now() + CONNECTING);
        let mut session = self.connect(endpoint, execution.database.as_deref(), soon).await.map_err(|mut error| {
            if soon < until {
                error.kind = SqlErrorKind::Unreachable;
            }
            failed(error)
        })?;
        let asked = Instant::now();
        if let Some(Guard { statement, expected }) = &execution.guard {
            let rows = self.run(endpoint, &mut session, statement, until).await.map_err(failed)?;
            let found = rows.rows.first().cloned().unwrap_or_default();
            if !same(&found, expected) {
                let message = format!("{}:{}: the guard found {found:?} where {expected:?} was expected", endpoint.host, endpoint.port);
                return Err(ExecuteError::Guard { message });
            }
            self.pause(0..3).await;
        }
        // Of a process that stands still the guard has been asked, and its time comes to an end no sooner than it has looked for the answer.
        let mut until = until + self.late(true).await;
        if execution.guard.is_some() && asked.elapsed() > GUARD_HOLDS {
            let message = format!("{}:{}: the guard was asked {} ms ago", endpoint.host, endpoint.port, asked.elapsed().as_millis());
            return Err(ExecuteError::Guard { message });
        }
        // It ends, and sends nothing more.
        if !self.leadership.is_held() {
            std::future::pending::<()>().await;
        }
        // What it has sent is on its way, whoever leads.
        until += self.late(false).await;
        let mut answers = Vec::new();
        for statement in &execution.statements {
            answers.push(self.run(endpoint, &mut session, statement, until).await.map_err(failed)?);
        }
        self.pause(0..4).await;
        Ok(answers)
    }
}

#[async_trait]
impl Work for Statements {
    async fn work(&self, execution: &Execution, end: Instant, stop: oneshot::Receiver<()>) -> Result<Vec<Rows>, ExecuteError> {
        let done = tokio::select! {
            biased;
            done = self.execute(execution, end) => done,
            _ = stop => Err(ExecuteError::Sql(sql_error(&execution.endpoint, SqlErrorKind::Timeout, 0, "the task was ended"))),
        };
        self.at_now().on_task_ended(execution, &done);
        self.news.notify_one();
        done
    }
}

/// The connection of a copy. Whoever drops it hangs up.
struct Line {
    sim: Arc<Sim>,
    server: String,
    copy: u64,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.sim.change(|world| {
            let heard = world.host_meets(&self.server, true);
            world.dolt.hang_up(self.copy, heard);
        });
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
    /// Whether something passes between the host and a server; or whether its last word does, if that counts.
    fn host_meets(&self, server: &str, last_word: bool) -> bool {
        !self.is_cut(HOST, server) && (self.dolt.answers(server) || (last_word && !self.dolt.runs(server)))
    }

    /// Runs a statement with the values of its Secrets in their places, as only a server gets to see it; none where one of them is not there.
    fn run(&mut self, session: &mut Session, statement: &Statement) -> Option<Answer> {
        if !statement.arguments.iter().any(|argument| matches!(argument, Argument::Value(Value::Secret(_)))) {
            return Some(self.dolt.run(session, statement));
        }
        let filled = |argument: &Argument| match argument {
            Argument::Value(Value::Secret(secret)) => self.cache.secret_value(secret).map(|text| Argument::Value(Value::Text(text))),
            other => Some(other.clone()),
        };
        let arguments = statement.arguments.iter().map(filled).collect::<Option<_>>()?;
        Some(self.dolt.run(session, &Statement { arguments, ..statement.clone() }))
    }

    /// The pod to which a host name leads, if it leads anywhere.
    fn resolve(&self, host: &str) -> Option<String> {
        let (name, rest) = host.split_once('.')?;
        if rest.contains("-internal.") {
            return self.pods.values().find(|run| run.name() == name && run.is_placed()).map(|run| run.name().to_owned());
        }
        self.proxied.get(name)?.first().cloned()
    }

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

fn sql_error(endpoint: &Endpoint, kind: SqlErrorKind, code: u16, message: &str) -> SqlError {
    let state = if code == 0 { "" } else { "HY000" };
    SqlError { kind, code, state: state.into(), message: format!("{}:{}: {message}", endpoint.host, endpoint.port) }
}

/// As the host compares what a guard finds: integers by number, texts by their bytes.
fn same(found: &[Value], expected: &[Value]) -> bool {
    let number = |value: &Value| match value {
        Value::Signed(n) => Some(i128::from(*n)),
        Value::Unsigned(n) => Some(i128::from(*n)),
        Value::Boolean(b) => Some(i128::from(*b)),
        _ => None,
    };
    found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f == e || (number(f).is_some() && number(f) == number(e)))
}
