//! The statements that the model answers. One that it does not know is an error that names it: a guess would prove nothing.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use host::contract::{Argument, Rows, Statement, Value};

use super::{Content, Dolt, SYSTEM, role::Called, select};

/// Every error of a procedure has this number.
pub(super) const CODE: u16 = 1105;

/// A session on a server.
#[derive(Debug, Clone)]
pub struct Session {
    pub(super) server: String,
    pub(super) connections: (u64, u64),
    pub(super) database: Option<String>,
    /// The server has changed its role in this session: it takes no further statement.
    spent: bool,
}

/// What a statement came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Rows, perhaps none.
    Rows(Rows),
    /// It has to be asked for later, by this number.
    Waits(u64),
    /// The server's error: its number and its words.
    Error(u16, String),
    /// The connection has been ended.
    Lost,
    /// The model does not know the statement.
    Unknown(String),
}

/// A statement's text with one space wherever there are several, or a line ends.
fn one_line(text: &str) -> Cow<'_, str> {
    let mut after_space = true;
    let is_one = text.bytes().all(|byte| {
        let is_twice = after_space && byte == b' ';
        after_space = byte == b' ';
        !is_twice && (after_space || !byte.is_ascii_whitespace())
    });
    if is_one && !after_space { text.into() } else { text.split_whitespace().collect::<Vec<_>>().join(" ").into() }
}

impl Dolt {
    /// A session on a server; none where it does not run.
    pub fn connect(&self, server: &str, database: Option<&str>) -> Option<Session> {
        let connections = self.connections(server)?;
        Some(Session { server: server.into(), connections, database: database.map(ToOwned::to_owned), spent: false })
    }

    /// Runs a statement.
    pub fn run(&mut self, session: &mut Session, statement: &Statement) -> Answer {
        if self.connections(&session.server) != Some(session.connections) {
            return Answer::Lost;
        }
        if session.spent {
            let words = "this server transitioned cluster roles. this connection can no longer be used. please reconnect.";
            return Answer::Error(CODE, words.into());
        }
        if let Some(database) = &session.database
            && self.database(&session.server, database).is_none()
            && !["information_schema", "mysql", "dolt_cluster"].contains(&database.as_str())
        {
            return Answer::Error(1049, format!("database not found: {database}"));
        }
        let text = one_line(&statement.text);
        if text.starts_with("SELECT") {
            return select::select(self, &session.server, session.database.as_deref(), &text, &statement.arguments);
        }
        let unknown = || Answer::Unknown(format!("{text} with {:?}", statement.arguments));
        let words: Option<Vec<String>> = statement.arguments.iter().map(word).collect();
        if let Some(words) = words {
            let (server, database) = (session.server.clone(), session.database.clone());
            let answer = self.account_statement(&server, &text, &words);
            let answer = answer.or_else(|| self.database_statement(&server, database.as_deref(), &text, &words));
            if let Some(answer) = answer {
                return answer;
            }
        }
        let Some((procedure, _)) = text.strip_prefix("CALL ").and_then(|call| call.split_once('(')) else { return unknown() };
        let called = match (procedure.to_ascii_uppercase().as_str(), statement.arguments.as_slice()) {
            ("DOLT_ASSUME_CLUSTER_ROLE", [Argument::Value(Value::Text(role)), epoch]) => match number(epoch) {
                Some(epoch) => self.assume(&session.server, role, epoch),
                None => return unknown(),
            },
            ("DOLT_CLUSTER_TRANSITION_TO_STANDBY", [epoch, least]) => match (number(epoch), number(least)) {
                (Some(epoch), Some(least)) => self.transition(&session.server, epoch, least),
                _ => return unknown(),
            },
            ("DOLT_BRANCH", [Argument::Value(Value::Text(name)), from @ ..]) if from.len() <= 1 => {
                let from = match from.first() {
                    Some(Argument::Value(Value::Text(from))) => Some(from.as_str()),
                    _ => None,
                };
                return self.branch(session, name, from);
            }
            ("DOLT_BACKUP", [Argument::Value(Value::Text(what)), Argument::Value(Value::Text(url))]) => {
                return self.backup(session, what, url);
            }
            _ => return unknown(),
        };
        match called {
            // Its own connection is the only one that stays.
            Ok(Called::Done { changed }) => {
                session.connections = self.connections(&session.server).unwrap_or_default();
                session.spent = changed;
                Answer::Rows(Rows { columns: vec!["status".into()], rows: vec![vec![Value::Signed(0)]] })
            }
            Ok(Called::Waits(id)) => {
                session.connections = self.connections(&session.server).unwrap_or_default();
                self.later_answer(session, id).unwrap_or(Answer::Waits(id))
            }
            Err(words) => {
                session.connections = self.connections(&session.server).unwrap_or_default();
                Answer::Error(CODE, words)
            }
        }
    }

    /// The answer to a statement that had to wait, once it is known.
    pub fn later_answer(&self, session: &mut Session, id: u64) -> Option<Answer> {
        if Self::is_copy(id) {
            return self.copied(session, id);
        }
        if self.is_unheard(id) {
            return Some(Answer::Lost);
        }
        let answer = match self.stepped(id)? {
            Ok(rows) => {
                session.spent = true;
                let rows = rows.iter().map(|(caught_up, database, peer)| {
                    let url = format!("http://{peer}:50051/{database}");
                    vec![Value::Signed((*caught_up).into()), Value::Text(database.clone()), Value::Text(peer.clone()), Value::Text(url)]
                });
                let columns = ["caught_up", "database", "remote", "remote_url"].map(ToOwned::to_owned).to_vec();
                Answer::Rows(Rows { columns, rows: rows.collect() })
            }
            Err(words) => Answer::Error(CODE, words.clone()),
        };
        match self.connections(&session.server) {
            Some(connections) => session.connections = connections,
            None => return Some(Answer::Lost),
        }
        Some(answer)
    }

    fn branch(&mut self, session: &Session, name: &str, from: Option<&str>) -> Answer {
        let Some(database) = session.database.as_deref() else { return Answer::Error(CODE, "no database selected".into()) };
        if !self.takes_writes(&session.server) {
            return Answer::Error(CODE, "database server is set to read only mode".into());
        }
        if self.ends_without_room(&session.server) {
            return Answer::Lost;
        }
        let Some(content) = self
            .servers
            .get(&session.server)
            .and_then(|server| self.volumes.get_mut(&server.volume))
            .and_then(|volume| volume.databases.get_mut(database))
        else {
            return Answer::Error(CODE, "no such database".into());
        };
        let content = Arc::make_mut(content);
        if content.branches.contains_key(name) {
            return Answer::Error(CODE, format!("fatal: A branch named '{name}' already exists."));
        }
        let commit = from.filter(|from| *from != "main").map_or_else(|| head(content), ToOwned::to_owned);
        content.branches.insert(name.into(), commit);
        let database = database.to_owned();
        self.changed(&session.server, &database);
        Answer::Rows(Rows { columns: vec!["status".into()], rows: vec![vec![Value::Signed(0)]] })
    }

    /// When a server was last sent something of a database, or last sent something itself.
    pub(super) fn last_heard(&self, name: &str, database: &str) -> Option<u64> {
        let hooks = self.servers.get(name)?.hooks.iter().filter(|(place, _)| place.0 == database);
        hooks.filter_map(|(_, hook)| hook.last_success).max()
    }

    /// What the volume of a server is called.
    pub(super) fn volume_id(&self, name: &str) -> Option<u64> {
        self.volumes.get(&self.servers.get(name)?.volume)?.id
    }

    /// What `dolt_cluster_status` says, in the columns that are wanted: a row for each database and standby.
    pub(super) fn status(&self, name: &str, wanted: impl Fn(&str) -> bool) -> Vec<Vec<(&'static str, Value)>> {
        let Some((server, (role, epoch))) = self.servers.get(name).zip(self.state(name)) else { return Vec::new() };
        let databases = self.volumes.get(&server.volume).map(|volume| &volume.databases);
        let text = |text: &Option<String>| text.as_ref().map_or(Value::Null, |text| Value::Text(text.clone()));
        server
            .hooks
            .iter()
            .filter(|(place, _)| !SYSTEM.contains(&place.0.as_str()))
            .map(|(place, hook)| {
                let (database, peer) = &**place;
                let caught_up = hook.is_caught_up(databases.and_then(|databases| databases.get(database)));
                let lag = || match (&hook.pushed, hook.last_success) {
                    (Some(_), _) if caught_up => Value::Signed(0),
                    (Some(_), Some(at)) => Value::Signed(i64::try_from(self.now - at).unwrap_or_default()),
                    _ => Value::Null,
                };
                let columns: [(&str, &dyn Fn() -> Value); 7] = [
                    ("database", &|| Value::Text(database.clone())),
                    ("standby_remote", &|| Value::Text(peer.clone())),
                    ("role", &|| Value::Text(role.to_string())),
                    ("epoch", &|| Value::Signed(i64::try_from(epoch).unwrap_or_default())),
                    ("replication_lag_millis", &lag),
                    ("last_update", &|| hook.last_success.map_or(Value::Null, |at| Value::Text(time(at / 1_000)))),
                    ("current_error", &|| text(&hook.error)),
                ];
                columns.iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (*name, value())).collect()
            })
            .collect()
    }
}

/// A time of a server's clock.
fn time(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    format!("2026-01-{:02} {:02}:{:02}:{:02}", hours / 24 + 1, hours % 24, minutes % 60, seconds % 60)
}

/// An argument as a word.
fn word(argument: &Argument) -> Option<String> {
    match argument {
        Argument::Identifier(name) => Some(name.clone()),
        Argument::Value(Value::Text(text)) => Some(text.clone()),
        Argument::Value(Value::Boolean(truth)) => Some(truth.to_string()),
        Argument::Value(_) => None,
    }
}

/// A number among the arguments.
fn number(argument: &Argument) -> Option<u64> {
    match argument {
        Argument::Value(Value::Unsigned(n)) => Some(*n),
        Argument::Value(Value::Signed(n)) => u64::try_from(*n).ok(),
        _ => None,
    }
}

/// A hash, in the length that Dolt's have.
pub(crate) fn hash(of: impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    format!("{:032x}", hasher.finish())
}

/// The number of writes in the last commit. Every fourth write makes one; the others are in the working set only.
fn committed(content: &Content) -> usize {
    content.writes.iter().rev().position(|write| write % 4 == 0).map_or(0, |later| content.writes.len() - later)
}

/// The commit that has so many writes.
fn commit(content: &Content, writes: usize) -> String {
    hash((content.made, content.writes.first(writes)))
}

/// The commit of `main`.
pub(super) fn head(content: &Content) -> String {
    commit(content, committed(content))
}

/// The commits of `main`, newest first.
pub(super) fn commits(content: &Content) -> Vec<String> {
    let ends = content.writes.iter().enumerate().filter(|(_, write)| write % 4 == 0).map(|(at, _)| at + 1);
    let mut commits: Vec<String> = [0].into_iter().chain(ends).map(|end| commit(content, end)).collect();
    commits.reverse();
    commits
}
