//! One connection while it is used: from the pool or of its own, read or written through, given back or cut off.

use futures::{FutureExt, TryStreamExt};
use mysql_async::{Conn, Opts, Pool, QueryResult, Row, TextProtocol, consts::StatusFlags, prelude::Queryable};
use tokio::time::{Instant, timeout_at};

use super::{error::Failure, login::Authority, rows, text::Sealed};
use crate::contract::{Rows, SqlErrorKind, Value};

const BEGIN: &str = "START TRANSACTION READ ONLY";
const END: &str = "ROLLBACK";

/// What answers may still cost.
pub(super) struct Budget {
    /// Rows of each statement.
    pub rows: u32,
    /// Bytes of all statements.
    pub bytes: usize,
}

/// A connection as its server sees it: its number, and the address that it comes from (without a port, on some servers).
pub(super) struct Whose {
    number: u64,
    from: String,
}

/// A connection that is cut off unless it is given back.
pub(super) struct Session {
    conn: Option<Conn>,
}

impl Session {
    /// Takes a connection of the pool, or makes one for it. `way` is how the pool connects.
    pub(super) async fn pooled(pool: &Pool, way: Option<&Authority>, deadline: Instant) -> Result<Self, Failure> {
        Self::connected(pool.get_conn(), way, deadline).await
    }

    /// Makes a connection of its own, which commits each statement whatever the server's default is.
    pub(super) async fn own(opts: Opts, way: Option<&Authority>, deadline: Instant) -> Result<Self, Failure> {
        let connect = async {
            let mut conn = Conn::new(opts).await?;
            conn.query_drop("SET SESSION autocommit = 1").await?;
            Ok(conn)
        };
        Self::connected(connect, way, deadline).await
    }

    async fn connected(
        connect: impl Future<Output = mysql_async::Result<Conn>>,
        way: Option<&Authority>,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        match timeout_at(deadline, connect).await {
            Ok(Ok(conn)) => Ok(Self { conn: Some(conn) }),
            Ok(Err(error)) => Err(Failure::connecting(error, way)),
            Err(_) => Err(Failure::new(SqlErrorKind::Unreachable, "no connection before the deadline")),
        }
    }

    /// Runs statements in a read-only transaction, all with one question: most of a query's time, and of what it costs, is the way there and
    /// back. No statement has a semicolon of its own outside of a quoted value, since its text is refused otherwise.
    pub(super) async fn read(&mut self, statements: &[Sealed], budget: &mut Budget) -> Result<Vec<Rows>, Failure> {
        let of = statements.len();
        // Whether a backslash is an escape is in the answer to what has been sent before.
        let apart = statements.iter().any(|statement| statement.escapes);
        if apart {
            self.send(BEGIN).await?;
        }
        for (i, statement) in statements.iter().enumerate() {
            self.ready(statement).map_err(|failure| failure.nth(i, of))?;
        }
        let begin = (!apart).then_some(BEGIN);
        let parts = begin.into_iter().chain(statements.iter().map(|statement| statement.sql.as_str())).chain([END]);
        let question = parts.collect::<Vec<_>>().join("; ");
        let running = |error| Failure::running(error, false);
        let mut result = self.conn()?.query_iter(question).await.map_err(|error| running(error).nth(0, of))?;
        if !apart {
            result.collect::<Row>().await.map_err(running)?;
        }
        let mut answers = Vec::with_capacity(of);
        for i in 0..of {
            answers.push(one_answer(&mut result, budget, &running).await.map_err(|failure| failure.nth(i, of))?);
        }
        result.drop_result().await.map_err(running)?;
        Ok(answers)
    }

    /// The first row of a statement's answer.
    pub(super) async fn first_row(&mut self, statement: &Sealed, budget: &mut Budget) -> Result<Option<Vec<Value>>, Failure> {
        let answer = self.rows(statement, budget).await?;
        Ok(answer.rows.into_iter().next())
    }

    /// Runs statements for their effect.
    pub(super) async fn write(&mut self, statements: &[Sealed]) -> Result<(), Failure> {
        for (i, statement) in statements.iter().enumerate() {
            let sent = async {
                let conn = self.ready(statement)?;
                conn.query_drop(statement.sql.as_str()).await.map_err(|error| Failure::running(error, statement.secret))
            };
            sent.await.map_err(|failure| failure.nth(i, statements.len()))?;
        }
        Ok(())
    }

    /// Runs statements for their effect and keeps what they answer, within the budget. More is read and thrown away: that a statement took
    /// effect must not look like a failure.
    pub(super) async fn write_and_keep(&mut self, statements: &[Sealed], mut budget: Budget) -> Result<Vec<Rows>, Failure> {
        let mut answers = Vec::with_capacity(statements.len());
        for (i, statement) in statements.iter().enumerate() {
            let kept = self.keep(statement, &mut budget).await.map_err(|failure| failure.nth(i, statements.len()))?;
            answers.push(kept);
        }
        Ok(answers)
    }

    async fn keep(&mut self, statement: &Sealed, budget: &mut Budget) -> Result<Rows, Failure> {
        let running = |error| Failure::running(error, statement.secret);
        let mut result = self.ready(statement)?.query_iter(statement.sql.as_str()).await.map_err(running)?;
        let columns = result.columns().unwrap_or_else(|| [].into());
        let mut answer = Rows { columns: columns.iter().map(|c| c.name_str().into_owned()).collect(), rows: Vec::new() };
        if let Some(mut stream) = result.stream::<Row>().await.map_err(running)? {
            let mut full = false;
            while let Some(row) = stream.try_next().await.map_err(running)? {
                full = full || answer.rows.len() >= budget.rows as usize || rows::cost(&row) > budget.bytes;
                if !full {
                    budget.bytes -= rows::cost(&row);
                    answer.rows.push(rows::cells(&columns, row));
                }
            }
        }
        result.drop_result().await.map_err(running)?;
        Ok(answer)
    }

    /// Who this connection is on its server, if that says so.
    pub(super) async fn whose(&mut self, deadline: Instant) -> Option<Whose> {
        let asked = async {
            let sql = "SELECT id, host FROM information_schema.processlist WHERE id = CONNECTION_ID()";
            self.conn().ok()?.query_first::<Row, _>(sql).await.ok()?
        };
        let row = timeout_at(deadline, asked).await.ok()??;
        Some(Whose { number: row.get_opt(0)?.ok()?, from: row.get_opt(1)?.ok()? })
    }

    /// Ends another connection of the same account while it runs one of these statements. Gives whether it did.
    pub(super) async fn kill(&mut self, whose: &Whose, statements: &[Sealed]) -> Result<bool, Failure> {
        let Whose { number, from } = whose;
        let conn = self.conn()?;
        let sql = format!("SELECT host, info FROM information_schema.processlist WHERE id = {number}");
        let there: Option<Row> = conn.query_first(sql).await.map_err(|error| Failure::running(error, false))?;
        let there: Option<(String, String)> = there.and_then(|row| Some((row.get_opt(0)?.ok()?, row.get_opt(1)?.ok()?)));
        let ours = there.is_some_and(|(host, info)| host == *from && statements.iter().any(|one| one.sql.trim() == info.trim()));
        if !ours {
            return Ok(false);
        }
        conn.query_drop(format!("KILL CONNECTION {number}")).await.map_err(|error| Failure::running(error, false))?;
        Ok(true)
    }

    /// After everything went well: back into the pool, or closed in good form if it is of its own.
    pub(super) fn give_back(mut self) {
        drop(self.conn.take());
    }

    async fn rows(&mut self, statement: &Sealed, budget: &mut Budget) -> Result<Rows, Failure> {
        let running = |error| Failure::running(error, statement.secret);
        let mut result = self.ready(statement)?.query_iter(statement.sql.as_str()).await.map_err(running)?;
        let answer = one_answer(&mut result, budget, &running).await?;
        result.drop_result().await.map_err(running)?;
        Ok(answer)
    }

    async fn send(&mut self, sql: &'static str) -> Result<(), Failure> {
        let conn = self.conn()?;
        conn.query_drop(sql).await.map_err(|error| Failure::running(error, false))
    }

    /// The connection, if a statement means on it what it says.
    fn ready(&mut self, statement: &Sealed) -> Result<&mut Conn, Failure> {
        let conn = self.conn()?;
        let literal = |ok: &mysql_async::OkPacket<'_>| ok.status_flags().contains(StatusFlags::SERVER_STATUS_NO_BACKSLASH_ESCAPES);
        if statement.escapes && conn.last_ok_packet().is_some_and(literal) {
            return Err(Failure::invalid("a text has a backslash, and the server's sql_mode NO_BACKSLASH_ESCAPES would change it"));
        }
        Ok(conn)
    }

    fn conn(&mut self) -> Result<&mut Conn, Failure> {
        self.conn.as_mut().ok_or_else(|| Failure::new(SqlErrorKind::Lost, "the connection was given back"))
    }
}

/// The rows of the next part of an answer.
async fn one_answer(
    result: &mut QueryResult<'_, '_, TextProtocol>,
    budget: &mut Budget,
    running: &impl Fn(mysql_async::Error) -> Failure,
) -> Result<Rows, Failure> {
    let Some(mut stream) = result.stream::<Row>().await.map_err(running)? else {
        return Err(Failure::new(SqlErrorKind::Lost, "the server gave no answer to it"));
    };
    let columns = stream.columns();
    let mut answer = Rows { columns: columns.iter().map(|c| c.name_str().into_owned()).collect(), rows: Vec::new() };
    while let Some(row) = stream.try_next().await.map_err(running)? {
        if answer.rows.len() >= budget.rows as usize {
            return Err(Failure::new(SqlErrorKind::TooLarge, format!("the answer has more than {} rows", budget.rows)));
        }
        budget.bytes = budget
            .bytes
            .checked_sub(rows::cost(&row))
            .ok_or_else(|| Failure::new(SqlErrorKind::TooLarge, "the answers have more bytes than the host allows"))?;
        answer.rows.push(rows::cells(&columns, row));
    }
    Ok(answer)
}

impl Drop for Session {
    /// The driver would read what is left of an answer to its end before it closes or reuses a connection, however much and however long
    /// that is. Here it gets to what has arrived already; a goodbye that is begun and not finished makes it close the socket at once. (With
    /// another command in its place it would take the connection back with an answer on the way, after an answer of several parts.)
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            let _ = conn.disconnect().now_or_never();
        }
    }
}
