//! SQL for reconcilers: pools, credentials, deadlines, quoting, read-only sessions, limits.
//!
//! It speaks the MySQL protocol and knows nothing about what a statement means, who asks, or whether the grant allows it (the plan's check
//! and the runtime do).
//!
//! **TLS** is what the endpoint says: with an authority the server's certificate must be of it and for the host that was asked for, and what
//! the machine trusts otherwise does not count. A server that offers none is used in plain text only where the endpoint allows it, and a
//! certificate that is refused never leads to plain text. An endpoint without an authority is plain TCP: the network has to be trusted.
//!
//! **Values never are part of a statement's text.** [`text`] refuses quotes, comments, semicolons and backslashes in it, [`quote`] writes the
//! arguments. Statements are written out on this side and not prepared by the server, since DDL and account statements can't be prepared.
//!
//! **Read-only means two locks.** The session is a `START TRANSACTION READ ONLY`, which is rolled back: every server refuses INSERT, UPDATE and
//! DELETE in it, also behind WITH. Statements that a server doesn't count as part of a transaction pass it, though: tried out, that is
//! CREATE and DROP of databases and tables, account statements, CALL, SET GLOBAL and SELECT INTO OUTFILE. Therefore [`shape`] lets only
//! statements through that begin with a reading keyword and hold none of the words by which a reading statement writes or locks.
//! What remains is what a SELECT can do by calling a stored function that an administrator has installed.
//!
//! **Connections.** A query takes one from the pool of its endpoint, login and database. It goes back only after everything went well, and
//! is reset by the server then; after any error it is cut off without reading what is left. A pool is dropped when its account or authority changes, and
//! when a connection of it is lost or stays silent: the host name may mean another address by now, and each name is looked up at each connect.
//! A connection lives for [`SqlLimits::lifetime`] at most, since behind a virtual address the old one may go on answering for long.
//! An execution has a connection of its own, which is closed afterwards. So has a task ([`task`]), which may take hours.
//!
//! **Secrets** are written into executions only. In a query or a guard the server would give the value back, and what it gives back goes to
//! the reconciler. **Errors** name the endpoint. A server quotes what it was sent, so its words are withheld where the statement carried a secret.

mod account;
mod address;
mod error;
mod guard;
mod login;
mod pool;
mod quote;
mod rows;
mod session;
mod shape;
mod task;
mod text;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::join_all;
use mysql_async::{Opts, Pool};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tracing::debug;

use self::{
    address::Address,
    error::Failure,
    login::{Authority, Login},
    pool::Pools,
    session::{Budget, Session},
    text::{Sealed, Template},
};
use crate::contract::{Argument, Endpoint, Execution, Guard, Query, Rows, SqlError, SqlErrorKind, Statement, Value};

/// Gives the plaintext of Secrets, to this room only.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The value of a key, or none where the Secret or the key doesn't exist.
    ///
    /// # Errors
    /// When it cannot be told whether there is one.
    async fn value(&self, namespace: &str, name: &str, key: &str) -> Result<Option<Vec<u8>>, SecretError>;
}

/// A Secret could not be read. The message holds no value.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot read secret {namespace}/{name}: {message}")]
pub struct SecretError {
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret's name.
    pub name: String,
    /// Why.
    pub message: String,
}

/// An execution did not happen, or not to its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExecuteError {
    /// The guard's first row is not what was expected, or came late: no statement was sent.
    #[error("{message}")]
    Guard {
        /// What was found and what was expected, or how long it took.
        message: String,
    },
    /// Everything else.
    #[error("{}", .0.message)]
    Sql(SqlError),
}

/// For how long a guard's answer holds, from when it was asked. A server that is slower, or a process that stood still since, may have
/// missed that another one has become primary.
pub const GUARD_HOLDS: Duration = Duration::from_secs(1);

/// What a query may use, whatever it asks for.
#[derive(Debug, Clone)]
pub struct SqlLimits {
    /// Rows of one statement.
    pub rows: u32,
    /// Bytes of all answers of one query, and of one statement that is sent. At least 64 KiB.
    pub bytes: usize,
    /// Connections in the pool of one endpoint, account and database.
    pub connections: usize,
    /// Queries and executions at the same time, over all endpoints.
    pub concurrency: usize,
    /// How long a connection may wait in its pool.
    pub idle: Duration,
    /// How long a connection may live in its pool.
    pub lifetime: Duration,
    /// The longest deadline.
    pub deadline: Duration,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self {
            rows: 10_000,
            bytes: 8 << 20,
            connections: 3,
            concurrency: 128,
            idle: Duration::from_secs(60),
            lifetime: Duration::from_secs(180),
            deadline: Duration::from_secs(60),
        }
    }
}

/// Runs queries and executions. One for the whole process; used from within a tokio runtime.
pub struct Sql {
    secrets: Arc<dyn Secrets>,
    pools: Pools,
    turns: Semaphore,
    limits: SqlLimits,
    fence: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Sql {
    /// Credentials and secret arguments come from `secrets`.
    pub fn new(secrets: Arc<dyn Secrets>, limits: SqlLimits) -> Self {
        Self { secrets, pools: Pools::new(&limits), turns: Semaphore::new(limits.concurrency.max(1)), limits, fence: Arc::new(|| true) }
    }

    /// The same, which asks whether it still may before it sends the first statement of an execution or a task: to connect and to ask the guard
    /// may have taken longer than whoever may write now is sure of.
    #[must_use]
    pub fn fenced_by(self, fence: Arc<dyn Fn() -> bool + Send + Sync>) -> Self {
        Self { fence, ..self }
    }

    /// Whether the first statement may be sent: the guard holds, still does, and so does the fence after that.
    async fn may_write(&self, address: &Address, session: &mut Session, guard: Option<(&Guard, &Sealed)>) -> Result<(), ExecuteError> {
        let failed = |failure: Failure| ExecuteError::Sql(failure.at(address));
        if let Some((guard, question)) = guard {
            let asked = Instant::now();
            let mut budget = Budget { rows: self.limits.rows, bytes: self.limits.bytes };
            let found = session.first_row(question, &mut budget).await.map_err(|failure| failed(failure.of("guard")))?;
            let refused = |message: String| ExecuteError::Guard { message: format!("{address}: {message}") };
            guard::check(found.as_deref(), &guard.expected).map_err(refused)?;
            guard::check_age(asked.elapsed()).map_err(refused)?;
        }
        if (self.fence)() { Ok(()) } else { Err(failed(Failure::new(SqlErrorKind::Denied, "this process does not lead any more"))) }
    }

    /// Runs the statements of one query in a read-only session, and gives the rows of each.
    ///
    /// # Errors
    /// The first failure. Nothing of the answers before it is kept.
    pub async fn query(&self, query: &Query) -> Result<Vec<Rows>, SqlError> {
        let address = Address::of(&query.endpoint);
        let started = Instant::now();
        let result = self.reading(query, started).await.map_err(|failure| failure.at(&address));
        report("query", &address, query.statements.len(), started, result.as_ref().err());
        result
    }

    /// Runs all queries at once. Answers come in the order of the questions; one that fails costs the others nothing.
    pub async fn query_all(&self, queries: &[Query]) -> Vec<Result<Vec<Rows>, SqlError>> {
        join_all(queries.iter().map(|query| self.query(query))).await
    }

    /// Runs statements that write, in order, on a connection of their own. The first failure ends it; what was done before stays done.
    ///
    /// # Errors
    /// When the guard doesn't hold, or the first failure. After `timeout` and `lost` it isn't known whether the last statement took effect;
    /// after every other kind it did not.
    pub async fn execute(&self, execution: &Execution) -> Result<(), ExecuteError> {
        let address = Address::of(&execution.endpoint);
        let started = Instant::now();
        let result = self.writing(&address, execution, started).await;
        let error = match &result {
            Err(ExecuteError::Sql(error)) => Some(error),
            _ => None,
        };
        report("execution", &address, execution.statements.len(), started, error);
        result
    }

    async fn reading(&self, query: &Query, started: Instant) -> Result<Vec<Rows>, Failure> {
        let deadline = self.deadline(started, query.deadline)?;
        let templates = parse(&query.statements, true)?;
        let (_turn, login, statements) = self.prepare(deadline, &query.endpoint, &templates, &query.statements).await?;
        let (pool, mut session) = self.pooled(&query.endpoint, query.database.as_deref(), &login, deadline).await?;

        let mut budget = Budget { rows: query.max_rows.min(self.limits.rows), bytes: self.limits.bytes };
        let answers = timeout_at(deadline, session.read(&statements, &mut budget))
            .await
            .unwrap_or_else(|_| Err(Failure::timeout(deadline - started)));
        match &answers {
            Ok(_) => session.give_back(),
            Err(failure) => self.pools.forget_if_gone(&pool, failure),
        }
        answers
    }

    async fn writing(&self, address: &Address, execution: &Execution, started: Instant) -> Result<(), ExecuteError> {
        let failed = |failure: Failure| ExecuteError::Sql(failure.at(address));
        let deadline = self.deadline(started, execution.deadline).map_err(failed)?;
        // Everything is checked and written out before the first byte is sent.
        let templates = parse(&execution.statements, false).map_err(failed)?;
        let guard = execution.guard.as_ref();
        let question = guard.map(|guard| std::slice::from_ref(&guard.statement)).unwrap_or_default();
        let question_templates = parse(question, true).map_err(|failure| failed(failure.of("guard")))?;

        let (_turn, login, statements) =
            self.prepare(deadline, &execution.endpoint, &templates, &execution.statements).await.map_err(failed)?;
        let question = self.render(&question_templates, question, deadline).await.map_err(|failure| failed(failure.of("guard")))?;

        let (mut session, _) = self.own(address, execution.database.as_deref(), &login, deadline).await.map_err(failed)?;
        let work = async {
            self.may_write(address, &mut session, guard.zip(question.first())).await?;
            session.write(&statements).await.map_err(failed)
        };
        timeout_at(deadline, work).await.unwrap_or_else(|_| Err(failed(Failure::timeout(deadline - started))))?;
        session.give_back();
        Ok(())
    }

    /// A connection of the pool, by the first of the login's ways that the server offers.
    async fn pooled(
        &self,
        endpoint: &Endpoint,
        database: Option<&str>,
        login: &Login,
        deadline: Instant,
    ) -> Result<(Arc<Pool>, Session), Failure> {
        let mut ways = login.ways().peekable();
        while let Some(way) = ways.next() {
            let pool = self.pools.get(endpoint, database, login, way)?;
            match Session::pooled(&pool, way, deadline).await {
                Ok(session) => return Ok((pool, session)),
                Err(failure) if failure.is_without_tls() && ways.peek().is_some() => {}
                Err(failure) => {
                    self.pools.forget_if_gone(&pool, &failure);
                    return Err(failure);
                }
            }
        }
        Err(Failure::invalid("the endpoint allows no way to connect"))
    }

    /// A connection of its own in the same manner, with what it takes to make another one like it.
    async fn own<'a>(
        &self,
        address: &Address,
        database: Option<&str>,
        login: &'a Login,
        deadline: Instant,
    ) -> Result<(Session, (Opts, Option<&'a Authority>)), Failure> {
        let mut ways = login.ways().peekable();
        while let Some(way) = ways.next() {
            let opts = self.pools.opts(address, database, login, way)?;
            match Session::own(opts.clone(), way, deadline).await {
                Ok(session) => return Ok((session, (opts, way))),
                Err(failure) if failure.is_without_tls() && ways.peek().is_some() => {}
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::invalid("the endpoint allows no way to connect"))
    }

    fn deadline(&self, started: Instant, milliseconds: u64) -> Result<Instant, Failure> {
        if milliseconds == 0 {
            return Err(Failure::invalid("the deadline is 0 ms"));
        }
        Ok(started + Duration::from_millis(milliseconds).min(self.limits.deadline))
    }

    /// Waits for a turn, reads what the login takes and writes the statements out.
    async fn prepare(
        &self,
        deadline: Instant,
        endpoint: &Endpoint,
        templates: &[Template<'_>],
        statements: &[Statement],
    ) -> Result<(tokio::sync::SemaphorePermit<'_>, Login, Vec<Sealed>), Failure> {
        let turn = timeout_at(deadline, self.turns.acquire()).await.ok().and_then(Result::ok);
        let turn = turn.ok_or_else(|| Failure::new(SqlErrorKind::Unreachable, "the deadline passed while other queries ran"))?;
        let login = self.login(endpoint, deadline).await?;
        let statements = self.render(templates, statements, deadline).await?;
        Ok((turn, login, statements))
    }

    async fn login(&self, endpoint: &Endpoint, deadline: Instant) -> Result<Login, Failure> {
        timeout_at(deadline, Login::read(&*self.secrets, endpoint)).await.unwrap_or_else(|_| Err(Failure::no_secrets()))
    }

    async fn render(&self, templates: &[Template<'_>], statements: &[Statement], deadline: Instant) -> Result<Vec<Sealed>, Failure> {
        let mut rendered = Vec::with_capacity(statements.len());
        for (i, (template, statement)) in templates.iter().zip(statements).enumerate() {
            let mut secrets = Vec::new();
            for argument in &statement.arguments {
                if let Argument::Value(Value::Secret(reference)) = argument {
                    let value = account::secret(&*self.secrets, &reference.namespace, &reference.name, &reference.key);
                    let value = timeout_at(deadline, value).await.unwrap_or_else(|_| Err(Failure::no_secrets()))?;
                    // Where a server takes one, anybody gets in.
                    if value.reveal().is_empty() {
                        let message = format!("key {} of secret {}/{} is empty", reference.key, reference.namespace, reference.name);
                        return Err(Failure::new(SqlErrorKind::NoCredentials, message));
                    }
                    secrets.push(value);
                }
            }
            rendered.push(template.render(&statement.arguments, secrets).map_err(|failure| failure.nth(i, statements.len()))?);
        }
        Ok(rendered)
    }
}

/// Checks the texts against the arguments, and where they must only read, their shape.
fn parse(statements: &[Statement], only_reads: bool) -> Result<Vec<Template<'_>>, Failure> {
    let mut templates = Vec::with_capacity(statements.len());
    for (i, statement) in statements.iter().enumerate() {
        let shape = if only_reads { shape::reads(statement) } else { Ok(()) };
        let template = shape.and_then(|()| Template::parse(&statement.text, &statement.arguments));
        templates.push(template.map_err(|failure| failure.nth(i, statements.len()))?);
    }
    Ok(templates)
}

fn report(what: &str, address: &Address, statements: usize, started: Instant, error: Option<&SqlError>) {
    let elapsed_ms = started.elapsed().as_secs_f64() * 1e3;
    debug!(endpoint = %address, statements, elapsed_ms, error = error.map(|e| tracing::field::debug(e.kind)), "{what}");
}
