//! Copies of databases to places outside of the servers: `dolt_backup('sync-url', …)`. A copy takes some seconds, and has what was there when it
//! began; its destination changes at the end, all at once, whatever was there before. Who ends it is whoever ends its connection.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use host::contract::{Rows, Value};

use super::{
    Content, Dolt, Later, Session, TICK,
    disk::NO_SPACE,
    sql::{Answer, CODE},
};

/// Numbers of copies begin here: those below are of those who wait for something else.
const FIRST: u64 = 1 << 32;
/// How long a copy takes, in milliseconds.
const TAKES: std::ops::Range<u64> = 1_500..6_000;
/// One in so many copies is refused by its destination.
const REFUSED: u64 = 15;

/// A copy that is being made.
#[derive(Debug, Clone)]
pub(crate) struct Copy {
    server: String,
    connections: (u64, u64),
    /// Of which database, where to.
    pub(crate) database: String,
    pub(crate) url: String,
    content: Arc<Content>,
    /// When it has begun.
    pub(crate) since: u64,
    /// Its client is gone, and its server has not heard of that.
    pub(crate) orphan: bool,
}

/// What is at a destination.
#[derive(Debug, Clone)]
pub struct Copied {
    /// Of which database.
    pub database: String,
    /// What of it.
    pub content: Arc<Content>,
    /// Whether a copy that had no client any more has put it there.
    pub(crate) by_orphan: bool,
}

/// A destination: on a volume, or elsewhere.
type Place = (Option<String>, String);

/// All copies.
#[derive(Debug, Clone, Default)]
pub(super) struct Copies {
    begun: u64,
    under_way: BTreeMap<u64, Copy>,
    ended: BTreeMap<u64, Result<(), String>>,
    places: BTreeMap<Place, Copied>,
    /// Numbers of those that have begun since somebody looked.
    news: BTreeSet<u64>,
}

impl Dolt {
    /// `dolt_backup` in a session.
    pub(super) fn backup(&mut self, session: &Session, what: &str, url: &str) -> Answer {
        let Some(database) = session.database.clone() else { return Answer::Error(CODE, "empty database name".into()) };
        if what != "sync-url" {
            return Answer::Unknown(format!("CALL dolt_backup('{what}', …)"));
        }
        let Some(content) = self.databases(&session.server).remove(&database) else { return Answer::Lost };
        let copy = Copy {
            server: session.server.clone(),
            connections: session.connections,
            database,
            url: url.into(),
            content,
            since: self.now,
            orphan: false,
        };
        self.copies.begun += 1;
        let id = FIRST + self.copies.begun;
        self.copies.under_way.insert(id, copy);
        self.copies.news.insert(id);
        let takes = self.rng.within(TAKES);
        self.later.plan(self.now + takes, Later::Copied { copy: id });
        Answer::Waits(id)
    }

    /// Whether a number is that of a copy.
    pub(crate) fn is_copy(id: u64) -> bool {
        id > FIRST
    }

    /// The answer to a copy, if there is one.
    pub(super) fn copied(&self, session: &Session, id: u64) -> Option<Answer> {
        if self.connections(&session.server) != Some(session.connections) {
            return Some(Answer::Lost);
        }
        self.copies.ended.get(&id).map(|ended| match ended {
            Ok(()) => Answer::Rows(Rows { columns: vec!["status".into()], rows: vec![vec![Value::Signed(0)]] }),
            Err(words) => Answer::Error(CODE, words.clone()),
        })
    }

    /// The client of a copy is gone. A server that hears of it ends the copy.
    pub(crate) fn hang_up(&mut self, id: u64, heard: bool) {
        let Some(copy) = self.copies.under_way.get_mut(&id) else { return };
        copy.orphan = true;
        if heard {
            self.copies.under_way.remove(&id);
        }
    }

    /// A copy may be at its end.
    pub(super) fn on_copied(&mut self, id: u64) {
        let Some(copy) = self.copies.under_way.get(&id) else { return };
        let alive = self.connections(&copy.server) == Some(copy.connections);
        if alive && !self.answers(&copy.server) {
            return self.later.plan(self.now + TICK, Later::Copied { copy: id });
        }
        let Some(copy) = self.copies.under_way.remove(&id) else { return };
        if !alive {
            return;
        }
        let refused = self.rng.once_in(REFUSED);
        let place = self.place(&copy.server, &copy.url);
        let ended = if refused {
            Err("destination refused the data: 503 service unavailable".into())
        } else if place.0.is_some() && self.has_no_room(&copy.server) {
            Err(NO_SPACE.into())
        } else {
            self.copies.places.insert(place, Copied { database: copy.database, content: copy.content, by_orphan: copy.orphan });
            Ok(())
        };
        self.copies.ended.insert(id, ended);
    }

    /// Where a URL leads to from a server. A folder is on its volume.
    fn place(&self, server: &str, url: &str) -> Place {
        let volume = self.servers.get(server).map(|server| server.volume.clone());
        (volume.filter(|_| url.starts_with("file://")), url.into())
    }

    /// What is at a destination: in the folders of a volume, or elsewhere.
    pub fn at(&self, volume: Option<&str>, url: &str) -> Option<&Copied> {
        self.copies.places.get(&(volume.map(ToOwned::to_owned), url.to_owned()))
    }

    /// The copies that are being made.
    pub(crate) fn copies(&self) -> impl Iterator<Item = (u64, &Copy)> {
        let copies = self.copies.under_way.iter().map(|(id, copy)| (*id, copy));
        copies.filter(|(_, copy)| self.connections(&copy.server) == Some(copy.connections))
    }

    /// The copies that have begun since the last call.
    pub(crate) fn take_begun(&mut self) -> Option<BTreeSet<u64>> {
        (!self.copies.news.is_empty()).then(|| std::mem::take(&mut self.copies.news))
    }

    /// What was in the folders of a volume is gone with it.
    pub(super) fn wipe_copies(&mut self, volume: &str) {
        self.copies.places.retain(|(of, _), _| of.as_deref() != Some(volume));
    }
}
