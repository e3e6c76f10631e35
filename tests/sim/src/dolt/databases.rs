//! Databases that come and go, and their ignore patterns with what is committed of them.

use std::{collections::BTreeMap, sync::Arc};

use host::contract::{Rows, Value};

use super::{
    Content, Dolt, Later, Role, TICK,
    accounts::ACCOUNTS,
    disk::NO_SPACE,
    sql::{Answer, CODE, hash},
};

/// What a database is made with, where its statement names nothing.
const CHARSET: &str = "utf8mb4";
const COLLATION: &str = "utf8mb4_0900_bin";
const READ_ONLY: &str = "database server is set to read only mode";

/// The table `dolt_ignore`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    /// Patterns and whether they are in force.
    pub patterns: BTreeMap<String, bool>,
    /// What of it is about to be committed.
    staged: Option<BTreeMap<String, bool>>,
    /// What is committed.
    committed: BTreeMap<String, bool>,
}

impl Ignore {
    /// Whether all of it is committed.
    pub fn is_committed(&self) -> bool {
        self.patterns == self.committed
    }

    /// The rows of `dolt_status`: whether each change is staged.
    pub(super) fn changes(&self) -> Vec<bool> {
        let staged = self.staged.as_ref().unwrap_or(&self.committed);
        let rows = [(staged != &self.committed).then_some(true), (staged != &self.patterns).then_some(false)];
        rows.into_iter().flatten().collect()
    }
}

impl Content {
    /// That of a database that is made now, where so many things were made before.
    pub(super) fn anew(made: &mut u64) -> Self {
        *made += 1;
        Self { made: *made, ..Self::default() }
    }

    /// Character set and collation.
    pub(super) fn charset(&self) -> (String, String) {
        let (charset, collation) = &self.charset;
        let or = |text: &String, other: &str| if text.is_empty() { other.to_owned() } else { text.clone() };
        (or(charset, CHARSET), or(collation, COLLATION))
    }
}

/// No rows.
pub(super) fn nothing() -> Answer {
    Answer::Rows(Rows { columns: Vec::new(), rows: Vec::new() })
}

impl Dolt {
    /// Changes what is in a database of a server that takes writes.
    pub(super) fn with_content(&mut self, server: &str, database: &str, change: impl FnOnce(&mut Content) -> Result<(), String>) -> Answer {
        if !self.takes_writes(server) {
            return Answer::Error(CODE, READ_ONLY.into());
        }
        if database != ACCOUNTS && self.ends_without_room(server) {
            return Answer::Lost;
        }
        let Some(volume) = self.servers.get(server).map(|server| server.volume.clone()) else { return Answer::Lost };
        let content = self.volumes.entry(volume).or_default().databases.entry(database.into()).or_insert_with(|| {
            // The accounts have no commits.
            Arc::new(if database == ACCOUNTS { Content::default() } else { Content::anew(&mut self.made) })
        });
        if let Err(words) = change(Arc::make_mut(content)) {
            return Answer::Error(CODE, words);
        }
        self.changed(server, database);
        nothing()
    }

    /// A statement about databases, or about the ignore patterns of the session's database; none where it is about something else.
    pub(super) fn database_statement(&mut self, server: &str, session: Option<&str>, text: &str, words: &[String]) -> Option<Answer> {
        if let Some(options) = text.strip_prefix("CREATE DATABASE IF NOT EXISTS ??") {
            let charset = match (options, words) {
                ("", [_]) => Default::default(),
                (" CHARACTER SET = ?", [_, charset]) => (charset.clone(), String::new()),
                (" COLLATE = ?", [_, collation]) => (String::new(), collation.clone()),
                (" CHARACTER SET = ? COLLATE = ?", [_, charset, collation]) => (charset.clone(), collation.clone()),
                _ => return None,
            };
            let database = words.first()?;
            if self.takes_writes(server) && self.databases(server).contains_key(database) {
                return Some(nothing());
            }
            if self.takes_writes(server) && self.has_no_room(server) {
                return Some(Answer::Error(CODE, format!("failed creating file .dolt/config.json: {NO_SPACE}")));
            }
            return Some(self.with_content(server, database, |content| {
                content.charset = charset;
                Ok(())
            }));
        }
        match (text, words) {
            ("DROP DATABASE IF EXISTS ??", [database]) => Some(self.drop_database(server, database)),
            ("INSERT INTO dolt_ignore (pattern, ignored) VALUES (?, ?) ON DUPLICATE KEY UPDATE ignored = ?", [pattern, ignored, _]) => {
                Some(self.with_content(server, session?, |content| {
                    content.ignore.patterns.insert(pattern.clone(), ignored == "true");
                    Ok(())
                }))
            }
            ("DELETE FROM dolt_ignore WHERE pattern = ?", [pattern]) => Some(self.with_content(server, session?, |content| {
                content.ignore.patterns.remove(pattern);
                Ok(())
            })),
            ("CALL DOLT_ADD(?)", [table]) if table == "dolt_ignore" => {
                let done = self.with_content(server, session?, |content| {
                    content.ignore.staged = Some(content.ignore.patterns.clone());
                    Ok(())
                });
                Some(with_row(done, "status", Value::Signed(0)))
            }
            ("CALL DOLT_COMMIT(?, ?, ?)", [skip, flag, message]) if skip == "--skip-empty" && flag == "-m" => {
                let commit = Value::Text(hash((message, self.now)));
                let mut empty = false;
                let done = self.with_content(server, session?, |content| {
                    let staged = content.ignore.staged.take().unwrap_or_else(|| content.ignore.committed.clone());
                    empty = staged == content.ignore.committed;
                    content.ignore.committed = staged;
                    Ok(())
                });
                Some(if empty { done } else { with_row(done, "hash", commit) })
            }
            _ => None,
        }
    }

    fn drop_database(&mut self, name: &str, database: &str) -> Answer {
        if !self.takes_writes(name) {
            return Answer::Error(CODE, READ_ONLY.into());
        }
        if self.ends_without_room(name) {
            return Answer::Lost;
        }
        let Some(server) = self.servers.get_mut(name) else { return Answer::Lost };
        let there = self.volumes.get_mut(&server.volume).is_some_and(|volume| volume.databases.remove(database).is_some());
        if there {
            server.hooks.forget(database);
            let life = server.life;
            for peer in server.peers.clone() {
                let drop = Later::Drop { server: name.into(), life, database: database.into(), peer };
                self.later.plan(self.now + self.rng.within(1..15), drop);
            }
        }
        nothing()
    }

    /// A standby hears that a database is gone; if not now, then a while later, as long as its primary is one.
    pub(super) fn on_drop(&mut self, name: &str, life: u64, database: &str, peer: &str) {
        let alive = self.servers.get(name).is_some_and(|server| server.life == life);
        let gone = !self.databases(name).contains_key(database);
        if !alive || !gone || self.state(name).is_none_or(|(role, _)| role != Role::Primary) {
            return;
        }
        if self.answers(name) && self.contact(name, peer).is_ok() {
            let Some(server) = self.servers.get_mut(peer) else { return };
            server.hooks.forget(database);
            if let Some(volume) = self.volumes.get_mut(&server.volume) {
                volume.databases.remove(database);
            }
            return;
        }
        let drop = Later::Drop { server: name.into(), life, database: database.into(), peer: peer.into() };
        self.later.plan(self.now + TICK, drop);
    }
}

fn with_row(answer: Answer, column: &str, value: Value) -> Answer {
    match answer {
        Answer::Rows(_) => Answer::Rows(Rows { columns: vec![column.into()], rows: vec![vec![value]] }),
        other => other,
    }
}
