//! Clients that write as a well-behaved program does: one row after the other, with short deadlines, on a new connection as soon as something
//! went wrong with the old one. Each write that fails is given up, never repeated: a repetition would hide what became of it.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use e2e::{Sql, wait_for_at_once};
use mysql_async::{Conn, Opts, prelude::Queryable};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    history::{Attempt, History, Outcome, Row, Server},
    table::{DATABASE, insert},
};

/// How patient a client is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection, login included.
    pub connect: Duration,
    /// For the answer to a statement.
    pub statement: Duration,
    /// Between an answer and the next write.
    pub pause: Duration,
}

impl Patience {
    /// A program whose users wait for it.
    pub const SHORT: Self =
        Self { connect: Duration::from_millis(300), statement: Duration::from_secs(1), pause: Duration::from_millis(10) };

    /// One that waits for a server, however long that takes: it is still there when a frozen server goes on.
    pub const LONG: Self =
        Self { connect: Duration::from_millis(300), statement: Duration::from_secs(120), pause: Duration::from_millis(10) };
}

/// Between two tries to connect.
const RETRY: Duration = Duration::from_millis(10);

/// What all writers of one run have seen, on one clock.
#[derive(Clone, Debug)]
pub struct Log {
    beginning: Instant,
    attempts: Arc<Mutex<Vec<Attempt>>>,
}

impl Default for Log {
    fn default() -> Self {
        Self { beginning: Instant::now(), attempts: Arc::default() }
    }
}

impl Log {
    /// An empty one with the same beginning.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { beginning: self.beginning, attempts: Arc::default() }
    }

    /// The time since the beginning.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.beginning.elapsed()
    }

    /// What was seen until now.
    #[must_use]
    pub fn history(&self) -> History {
        History { attempts: self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone() }
    }

    fn note(&self, attempt: Attempt) {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
    }

    /// The acknowledgements that came after `since`: when, and by whom.
    #[must_use]
    pub fn acknowledged_since(&self, since: Duration) -> Vec<(Duration, Server)> {
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = attempts.iter().rev().take_while(|attempt| attempt.ended >= since);
        recent.filter_map(|attempt| Some((attempt.ended, attempt.acknowledged()?.clone()))).collect()
    }

    /// Waits until a write was not acknowledged.
    ///
    /// # Errors
    /// When all are.
    pub async fn fails(&self, since: Duration, limit: Duration) -> Result<()> {
        wait_for_at_once("a client is disturbed", limit, async || {
            let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            let disturbed = attempts.iter().rev().take_while(|attempt| attempt.ended >= since).any(|a| a.acknowledged().is_none());
            ensure!(disturbed, "every write is acknowledged");
            Ok(())
        })
        .await
    }

    /// Waits until writes are acknowledged again: `count` of those that end from now on.
    ///
    /// # Errors
    /// When they aren't in time.
    pub async fn flows(&self, count: usize, limit: Duration) -> Result<()> {
        let since = self.now();
        wait_for_at_once("writes are acknowledged", limit, async || {
            let acknowledged = self.acknowledged_since(since).len();
            ensure!(acknowledged >= count, "{acknowledged} of {count}");
            Ok(())
        })
        .await
    }
}

/// Clients at work. They stop when this is dropped.
#[derive(Debug)]
pub struct Writing {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Writing {
    /// Starts clients with these numbers. Each takes the servers in turn, going on to the next where it can't connect.
    #[must_use]
    pub fn start(log: &Log, clients: Range<u32>, servers: &[Sql], patience: Patience) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let servers: Vec<Opts> = servers.iter().map(|server| opts(&server.database(DATABASE))).collect();
        let client = |number| Client { log: log.clone(), number, servers: servers.clone(), patience, stop: Arc::clone(&stop) };
        let clients = clients.map(|number| tokio::spawn(client(number).write())).collect();
        Self { stop, clients }
    }

    /// Stops the clients and waits until the last of them knows what came of its last write.
    pub async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            // A client that panicked has written nothing down: its rows are missing from the history, which shows.
            let _ = client.await;
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// How a client connects: what it would ask the server for first it is told here, as a pool would know it.
fn opts(server: &Sql) -> Opts {
    server.opts().max_allowed_packet(Some(1 << 20)).wait_timeout(Some(3600)).tcp_nodelay(true).into()
}

struct Client {
    log: Log,
    number: u32,
    servers: Vec<Opts>,
    patience: Patience,
    stop: Arc<AtomicBool>,
}

impl Client {
    async fn write(self) {
        let mut connection = None;
        let (mut sequence, mut next) = (1, 0);
        while !self.stop.load(Ordering::Relaxed) {
            let row = Row { client: self.number, sequence };
            let sent = self.log.now();
            let outcome = match connection.take() {
                Some((conn, server)) => {
                    sequence += 1;
                    let (outcome, again) = self.send(conn, server, row).await;
                    connection = again;
                    outcome
                }
                None => match self.connect(&self.servers[next % self.servers.len()]).await {
                    Ok(connected) => {
                        connection = Some(connected);
                        continue;
                    }
                    Err(why) => {
                        next += 1;
                        Outcome::NotSent(why)
                    }
                },
            };
            let pause = if matches!(outcome, Outcome::Acknowledged(_)) { self.patience.pause } else { RETRY };
            self.log.note(Attempt { row, sent, ended: self.log.now(), outcome });
            sleep(pause).await;
        }
    }

    /// A connection, and who is at its other end.
    async fn connect(&self, opts: &Opts) -> Result<(Conn, Server), String> {
        let connected = timeout(self.patience.connect, Conn::new(opts.clone())).await;
        let mut conn = connected.map_err(|_| "no connection in time".to_owned())?.map_err(|error| error.to_string())?;
        let server = timeout(self.patience.statement, who(&mut conn)).await.map_err(|_| "no answer in time".to_owned())?;
        Ok((conn, server.map_err(|error| error.to_string())?))
    }

    /// Writes a row, and gives the connection back where it is as good as before.
    async fn send(&self, mut conn: Conn, server: Server, row: Row) -> (Outcome, Option<(Conn, Server)>) {
        match timeout(self.patience.statement, conn.query_drop(insert(row))).await {
            Ok(Ok(())) => (Outcome::Acknowledged(server.clone()), Some((conn, server))),
            Ok(Err(mysql_async::Error::Server(error))) => (Outcome::Refused(error.message), None),
            Ok(Err(error)) => (Outcome::Unknown(error.to_string()), None),
            Err(_) => (Outcome::Unknown("no answer in time".to_owned()), None),
        }
    }
}

/// Who is at the other end. A server without replication has no epoch and needs none: it is the only one.
async fn who(conn: &mut Conn) -> mysql_async::Result<Server> {
    let both: mysql_async::Result<Option<(String, u64)>> = conn.query_first("select @@hostname, @@global.dolt_cluster_role_epoch").await;
    let (name, epoch) = match both {
        Err(mysql_async::Error::Server(error)) if error.message.contains("Unknown system variable") => {
            (conn.query_first("select @@hostname").await?.unwrap_or_default(), 0)
        }
        other => other?.unwrap_or_default(),
    };
    Ok(Server { name, epoch })
}
