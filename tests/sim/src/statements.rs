//! Statements on model servers, in virtual time: found by name, on a session, behind a guard, as the host asks and executes them on real ones.

use std::{ops::Deref, sync::Arc, time::Duration};

use async_trait::async_trait;
use host::{
    contract::{Argument, Endpoint, Execution, Guard, Query, Rows, SqlError, SqlErrorKind, Statement, Value},
    leader::Leadership,
    sql::{ExecuteError, GUARD_HOLDS},
    tasks::Work,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use crate::{
    dolt::{Answer, Dolt, Session},
    moment::Sim,
    world::{HOST, World},
};

/// Between two looks for an answer that takes long, in milliseconds.
pub(crate) const LOOK: u64 = 10;
/// For how long a task tries to connect: the longest deadline of the host for what is no task.
const CONNECTING: Duration = Duration::from_secs(60);

/// Statements on model servers, in virtual time.
pub(crate) struct Statements {
    pub(crate) sim: Arc<Sim>,
    pub(crate) replica: u64,
    pub(crate) leadership: Leadership,
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

    /// What the host sends has its way.
    pub(crate) async fn travel(&self) {
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

    pub(crate) async fn ask(&self, query: &Query) -> Result<Vec<Rows>, SqlError> {
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

    pub(crate) async fn execute(&self, execution: &Execution, until: Instant) -> Result<Vec<Rows>, ExecuteError> {
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
