//! Executions that take long: what they answer is kept, up to a limit, and what of them still runs when their time is up is killed on the
//! server, because a connection that is gone does not stop a statement everywhere.

use std::time::Duration;

use async_trait::async_trait;
use mysql_async::Opts;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use tracing::{debug, warn};

use super::{
    ExecuteError, Sql,
    address::Address,
    error::Failure,
    login::Authority,
    parse, report,
    session::{Budget, Session, Whose},
    text::Sealed,
};
use crate::{
    contract::{Argument, Execution, Rows, SqlErrorKind, Value},
    tasks::Work,
};

/// What is kept of the answers: rows of each statement, bytes of all.
const KEPT: Budget = Budget { rows: 1_000, bytes: 64 << 10 };
/// For the connection by which a statement is killed.
const KILLING: Duration = Duration::from_millis(2_500);

#[async_trait]
impl Work for Sql {
    async fn work(&self, execution: &Execution, end: Instant, stop: oneshot::Receiver<()>) -> Result<Vec<Rows>, ExecuteError> {
        let address = Address::of(&execution.endpoint);
        let started = Instant::now();
        let result = self.long(&address, execution, started, end, stop).await;
        let error = match &result {
            Err(ExecuteError::Sql(error)) => Some(error),
            _ => None,
        };
        report("task", &address, execution.statements.len(), started, error);
        result
    }
}

impl Sql {
    async fn long(
        &self,
        address: &Address,
        execution: &Execution,
        started: Instant,
        end: Instant,
        mut stop: oneshot::Receiver<()>,
    ) -> Result<Vec<Rows>, ExecuteError> {
        let failed = |failure: Failure| ExecuteError::Sql(failure.at(address));
        let templates = parse(&execution.statements, false).map_err(failed)?;
        let guard = execution.guard.as_ref();
        let question = guard.map(|guard| std::slice::from_ref(&guard.statement)).unwrap_or_default();
        let question_templates = parse(question, true).map_err(|failure| failed(failure.of("guard")))?;
        // A task takes none of the turns of queries: there are few tasks, and they would keep them for hours.
        let soon = end.min(started + self.limits.deadline);
        let login = self.login(&execution.endpoint, soon).await.map_err(failed)?;
        let statements = self.render(&templates, &execution.statements, soon).await.map_err(failed)?;
        let question = self.render(&question_templates, question, soon).await.map_err(|failure| failed(failure.of("guard")))?;

        let (mut session, again) = self.own(address, execution.database.as_deref(), &login, soon).await.map_err(failed)?;
        let whose = session.whose(soon).await;
        let work = async {
            self.may_write(address, &mut session, guard.zip(question.first())).await?;
            session.write_and_keep(&statements, KEPT).await.map_err(failed)
        };
        let done = tokio::select! {
            // What has ended has ended, whoever wants it stopped now.
            biased;
            done = work => Some(done),
            () = tokio::time::sleep_until(end) => None,
            _ = &mut stop => None,
        };
        match done {
            Some(Ok(rows)) => {
                session.give_back();
                Ok(if carries_a_secret(execution) { Vec::new() } else { rows })
            }
            Some(Err(error)) => {
                // After an answer nothing of it runs any more; a connection that is lost says nothing of that.
                let lost = matches!(&error, ExecuteError::Sql(error) if error.kind == SqlErrorKind::Lost);
                drop(session);
                if let (true, Some(whose)) = (lost, &whose) {
                    kill(address, again, whose, &statements).await;
                }
                Err(error)
            }
            None => {
                drop(session);
                if let Some(whose) = &whose {
                    kill(address, again, whose, &statements).await;
                }
                let message = format!("the task was ended after {} s", started.elapsed().as_secs());
                Err(failed(Failure::new(SqlErrorKind::Timeout, message)))
            }
        }
    }
}

/// A server gives a secret back where a later statement asks for it.
fn carries_a_secret(execution: &Execution) -> bool {
    let mut arguments = execution.statements.iter().flat_map(|statement| &statement.arguments);
    arguments.any(|argument| matches!(argument, Argument::Value(Value::Secret(_))))
}

/// Ends a connection on its server, if it still runs one of the statements there. The address may lead to another server by now, where its
/// number is somebody else's: so it must also come from where it came from, and do what it did.
async fn kill(address: &Address, again: (Opts, Option<&Authority>), whose: &Whose, statements: &[Sealed]) {
    let killing = async {
        let mut session = Session::own(again.0, again.1, Instant::now() + KILLING).await?;
        let found = session.kill(whose, statements).await?;
        session.give_back();
        Ok::<bool, Failure>(found)
    };
    match timeout(KILLING, killing).await {
        Ok(Ok(true)) => debug!(endpoint = %address, "what still ran of a task was killed"),
        Ok(Ok(false)) => {}
        Ok(Err(failure)) => {
            warn!(endpoint = %address, error = %failure.at(address).message, "a task was given up, and may still run there")
        }
        Err(_) => warn!(endpoint = %address, "a task was given up, and may still run there: nobody answers"),
    }
}
