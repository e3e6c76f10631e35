//! A model of Dolt servers in a cluster: what is kept on a volume, what a running server knows, and how the two change.
//!
//! It is a state machine without a clock of its own: what takes time is given back as [`Later`], and comes in again. It knows nothing of
//! Kubernetes. `tests/sql/tests/model.rs` asks real servers the same questions.

mod accounts;
mod copies;
mod databases;
mod disk;
mod hooks;
mod replicate;
mod role;
mod select;
mod sql;
mod writes;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use self::hooks::{Hook, Hooks};
pub(crate) use self::{accounts::stored, hooks::Place, sql::hash};
pub use self::{
    accounts::{Account, Name},
    copies::Copied,
    databases::Ignore,
    role::Role,
    sql::{Answer, Session},
    writes::Writes,
};
use crate::{rng::Rng, timeline::Timeline};

/// Databases that replicate like the others, but hold no data of users: accounts, and rights on branches.
const SYSTEM: [&str; 2] = ["mysql", "dolt_branch_control"];
/// For how long a primary that steps down waits for its standbys, in milliseconds. Fixed in Dolt.
pub(crate) const TRANSITION_WAIT: u64 = 10_000;
/// Between two tries to reach a standby, and between two signs of life, in milliseconds.
const TICK: u64 = 1_000;

/// What is in a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Which making of a database it goes back to: the first commit of each is another one, whatever its name.
    pub made: u64,
    /// What has been written.
    pub writes: Writes,
    /// Branches beside `main`, with their commits.
    pub branches: BTreeMap<String, String>,
    /// Character set and collation, where it was made with any.
    pub charset: (String, String),
    /// The ignore patterns.
    pub ignore: Ignore,
    /// The accounts, which only the database of accounts has.
    pub accounts: BTreeMap<Name, Account>,
}

/// What a server keeps over restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume {
    /// What the first server that started on it called it (`server_uuid`); none while it is empty.
    pub id: Option<u64>,
    /// Role and epoch; none while it is empty.
    pub state: Option<(Role, u64)>,
    /// The databases. What a standby was given is the same content, until one of both changes.
    pub databases: BTreeMap<String, Arc<Content>>,
    disk: disk::Disk,
}

/// What a server is started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The names of the other servers.
    pub peers: Vec<String>,
    /// Its role on an empty volume.
    pub bootstrap_role: Role,
    /// Its epoch on an empty volume.
    pub bootstrap_epoch: u64,
    /// Whether it has no part in a cluster: it takes writes, whatever its volume remembers, and sends them to nobody.
    pub alone: bool,
}

impl Config {
    /// Whether a server starts with it: there is no cluster of one.
    pub fn is_valid(&self) -> bool {
        self.alone || !self.peers.is_empty()
    }
}

/// A primary that is about to step down.
#[derive(Debug, Clone)]
struct Transition {
    id: u64,
    epoch: u64,
    least: u64,
    /// Databases and standbys that were seen caught up. What was seen once stays.
    caught_up: BTreeSet<Place>,
    /// Role and epoch when it began.
    began_as: (Role, u64),
}

/// A running server.
#[derive(Debug, Clone)]
struct Server {
    volume: String,
    peers: Vec<String>,
    read_only: bool,
    alone: bool,
    frozen: bool,
    hooks: Hooks,
    transition: Option<Transition>,
    /// A number of its own for each life, so that what was meant for an earlier one finds nobody.
    life: u64,
    /// Changes whenever all its connections are ended.
    connections: u64,
}

impl Volume {
    /// Whether a server on it is primary.
    fn leads(&self) -> bool {
        self.state.is_some_and(|(role, _)| role == Role::Primary)
    }
}

impl Server {
    /// Role and epoch, in a cluster.
    fn state(&self, volumes: &BTreeMap<String, Volume>) -> Option<(Role, u64)> {
        if self.alone { None } else { volumes.get(&self.volume)?.state }
    }

    fn takes_writes(&self, volumes: &BTreeMap<String, Volume>) -> bool {
        !self.frozen && !self.read_only && (self.alone || volumes.get(&self.volume).is_some_and(Volume::leads))
    }
}

/// Something that happens by itself, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Later {
    /// A primary sends what is new.
    Push {
        /// The server.
        server: String,
        /// Its life.
        life: u64,
        /// Where it sends.
        place: Place,
    },
    /// A primary tells that a database is gone.
    Drop {
        /// The server.
        server: String,
        /// Its life.
        life: u64,
        /// The database.
        database: String,
        /// The standby.
        peer: String,
    },
    /// A server's tick.
    Tick {
        /// The server.
        server: String,
        /// Its life.
        life: u64,
    },
    /// A copy of a database may be complete.
    Copied {
        /// Its number.
        copy: u64,
    },
    /// A server that steps down stops waiting for its standbys.
    GiveUp {
        /// The server.
        server: String,
        /// Which of its tries.
        transition: u64,
    },
}

/// What became of a try to step down.
pub type Stepped = Result<Vec<(bool, String, String)>, String>;

/// All servers and volumes.
#[derive(Debug, Clone)]
pub struct Dolt {
    /// The time, in milliseconds. Whoever drives the model sets it.
    pub now: u64,
    rng: Rng,
    servers: BTreeMap<String, Server>,
    volumes: BTreeMap<String, Volume>,
    /// Pairs between which nothing passes.
    cut: BTreeSet<(String, String)>,
    lives: u64,
    made: u64,
    transitions: u64,
    stepped: BTreeMap<u64, Stepped>,
    /// Tries to step down whose connections have been ended.
    unheard: BTreeSet<u64>,
    later: Timeline<Later>,
    promoted: Vec<(String, u64)>,
    ended: Vec<String>,
    copies: copies::Copies,
}

impl Dolt {
    /// No server yet. Latencies come from the seed.
    pub fn new(seed: u64) -> Self {
        Self {
            now: 0,
            rng: Rng::new(seed),
            servers: BTreeMap::new(),
            volumes: BTreeMap::new(),
            cut: BTreeSet::new(),
            lives: 0,
            made: 0,
            transitions: 0,
            stepped: BTreeMap::new(),
            unheard: BTreeSet::new(),
            later: Timeline::default(),
            promoted: Vec::new(),
            ended: Vec::new(),
            copies: copies::Copies::default(),
        }
    }

    /// Latencies come from another seed from now on.
    pub(crate) fn reseed(&mut self, seed: u64) {
        self.rng = Rng::new(seed);
    }

    /// Starts a server on a volume.
    pub fn start(&mut self, name: &str, volume: &str, config: &Config) {
        let kept = self.volumes.entry(volume.into()).or_default();
        if kept.id.is_none() {
            self.made += 1;
            kept.id = Some(self.made);
        }
        if config.alone {
            return self.start_alone(name, volume);
        }
        let (role, _) = *kept.state.get_or_insert((config.bootstrap_role, config.bootstrap_epoch));
        let databases: Vec<String> = kept.databases.keys().cloned().collect();
        self.lives += 1;
        let mut server = Server {
            volume: volume.into(),
            peers: config.peers.clone(),
            read_only: role != Role::Primary,
            alone: false,
            frozen: false,
            hooks: Hooks::default(),
            transition: None,
            life: self.lives,
            connections: 0,
        };
        for database in databases.iter().map(String::as_str).chain(SYSTEM) {
            for peer in &config.peers {
                server.hooks.insert(Arc::new((database.to_owned(), peer.clone())), Hook::default());
            }
        }
        self.servers.insert(name.into(), server);
        self.later.plan(self.now + TICK, Later::Tick { server: name.into(), life: self.lives });
        if role == Role::Primary {
            self.push_all(name);
        }
    }

    /// Without a cluster there is no role, and what the volume remembers of one stays as it is.
    fn start_alone(&mut self, name: &str, volume: &str) {
        self.lives += 1;
        let server = Server {
            volume: volume.into(),
            peers: Vec::new(),
            read_only: false,
            alone: true,
            frozen: false,
            hooks: Hooks::default(),
            transition: None,
            life: self.lives,
            connections: 0,
        };
        self.servers.insert(name.into(), server);
    }

    /// Ends a server. Its volume stays.
    pub fn stop(&mut self, name: &str) {
        let Some(server) = self.servers.remove(name) else { return };
        if let Some(transition) = server.transition {
            self.stepped.insert(transition.id, Err("the server ended".into()));
        }
        if let Some(volume) = self.volumes.get_mut(&server.volume) {
            volume.forget_what_is_not_kept();
        }
    }

    /// Stops a server in its tracks, or lets it go on.
    pub fn freeze(&mut self, name: &str, frozen: bool) {
        let Some(server) = self.servers.get_mut(name) else { return };
        server.frozen = frozen;
        let (life, tick) = (server.life, Later::Tick { server: name.into(), life: server.life });
        if !frozen {
            // What came due in the meantime.
            self.later.retain(|later| !matches!(later, Later::Tick { life: other, .. } if *other == life));
            self.later.plan(self.now + 1, tick);
        }
    }

    /// Whether nothing passes between two servers.
    pub fn cut(&mut self, a: &str, b: &str, cut: bool) {
        for pair in [(a.to_owned(), b.to_owned()), (b.to_owned(), a.to_owned())] {
            if cut {
                self.cut.insert(pair)
            } else {
                self.cut.remove(&pair)
            };
        }
    }

    /// Empties a volume.
    pub fn wipe(&mut self, volume: &str) {
        self.volumes.remove(volume);
        self.wipe_copies(volume);
    }

    /// Makes a primary that does not run come up as a standby.
    pub(crate) fn give_way(&mut self, volume: &str) {
        if let Some((role, _)) = self.volumes.get_mut(volume).and_then(|volume| volume.state.as_mut()) {
            *role = Role::Standby;
        }
    }

    /// Whether a server runs, frozen or not.
    pub fn runs(&self, name: &str) -> bool {
        self.servers.contains_key(name)
    }

    /// Whether a server runs and is not frozen.
    pub fn answers(&self, name: &str) -> bool {
        self.servers.get(name).is_some_and(|server| !server.frozen)
    }

    /// Role and epoch of a running server in a cluster.
    pub fn state(&self, name: &str) -> Option<(Role, u64)> {
        self.servers.get(name)?.state(&self.volumes)
    }

    /// The servers that a running server knows.
    pub(crate) fn peers(&self, name: &str) -> Option<&[String]> {
        self.servers.get(name).map(|server| server.peers.as_slice())
    }

    /// Whether a server runs without a cluster.
    pub fn is_alone(&self, name: &str) -> bool {
        self.servers.get(name).is_some_and(|server| server.alone)
    }

    /// What is on a volume.
    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.get(name)
    }

    /// All volumes by their names.
    pub fn volumes(&self) -> impl Iterator<Item = (&String, &Volume)> {
        self.volumes.iter()
    }

    /// Names of the running servers.
    pub fn running(&self) -> impl Iterator<Item = &String> {
        self.servers.keys()
    }

    /// Which servers run, in order: which life of each, whether it answers, and whether it takes writes.
    pub(crate) fn presence(&self) -> impl Iterator<Item = (u64, bool, bool)> {
        self.servers.values().map(|server| (server.life, !server.frozen, server.takes_writes(&self.volumes)))
    }

    /// A number that changes when a server's connections are ended, by itself or with it.
    pub fn connections(&self, name: &str) -> Option<(u64, u64)> {
        self.servers.get(name).map(|server| (server.life, server.connections))
    }

    /// Whether a server takes writes now.
    pub fn takes_writes(&self, name: &str) -> bool {
        self.servers.get(name).is_some_and(|server| server.takes_writes(&self.volumes))
    }

    /// Writes to a database, which is made where it does not exist.
    ///
    /// # Errors
    /// What the server says.
    pub fn write(&mut self, name: &str, database: &str, write: u64) -> Result<(), String> {
        if !self.takes_writes(name) {
            return Err("database server is set to read only mode".into());
        }
        if self.ends_without_room(name) {
            return Err(disk::NO_SPACE.into());
        }
        let server = self.servers.get(name).ok_or("no such server")?;
        let volume = self.volumes.entry(server.volume.clone()).or_default();
        match volume.databases.get_mut(database) {
            Some(content) => Arc::make_mut(content).writes.push(write),
            None => {
                let mut content = Content::anew(&mut self.made);
                content.writes.push(write);
                volume.databases.insert(database.into(), Arc::new(content));
            }
        }
        self.changed(name, database);
        Ok(())
    }

    /// A database has something new for the standbys.
    fn changed(&mut self, name: &str, database: &str) {
        let Some(server) = self.servers.get_mut(name) else { return };
        for peer in &server.peers {
            let known = server.hooks.iter_mut().find(|(place, _)| place.0 == database && place.1 == *peer);
            let place = match known {
                Some((place, hook)) => {
                    hook.next_try = 0;
                    place.clone()
                }
                None => {
                    let place = Place::new((database.to_owned(), peer.clone()));
                    server.hooks.insert(place.clone(), Hook::default());
                    place
                }
            };
            let push = Later::Push { server: name.into(), life: server.life, place };
            self.later.plan(self.now + self.rng.within(1..15), push);
        }
    }

    /// When something happens by itself; where nothing does, later than any time.
    pub fn next(&self) -> u64 {
        self.later.first().0
    }

    /// Lets happen what is due.
    pub fn step(&mut self) {
        while self.next() <= self.now
            && let Some(later) = self.later.pop()
        {
            match later {
                Later::Push { server, life, place } => self.on_push(&server, life, &place),
                Later::Drop { server, life, database, peer } => self.on_drop(&server, life, &database, &peer),
                Later::Tick { server, life } => self.on_tick(&server, life),
                Later::Copied { copy } => self.on_copied(copy),
                Later::GiveUp { server, transition } => self.on_give_up(&server, transition),
            }
        }
    }

    /// Servers that have become primary since the last call, with their epochs.
    pub fn take_promoted(&mut self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.promoted)
    }

    /// Whether something can pass between two servers.
    fn connected(&self, (a, one): (&str, &Server), (b, other): (&str, &Server)) -> bool {
        !one.frozen && !other.frozen && (self.cut.is_empty() || !self.cut.contains(&(a.to_owned(), b.to_owned())))
    }

    /// What is in a database of a server.
    pub(crate) fn database(&self, server: &str, database: &str) -> Option<&Content> {
        self.volumes.get(&self.servers.get(server)?.volume)?.databases.get(database).map(|content| &**content)
    }

    /// Whether two servers have the same databases with the same commits.
    pub(crate) fn have_same_commits(&self, one: &str, other: &str) -> bool {
        let heads = |name: &str| -> BTreeMap<_, _> {
            let databases = self.databases(name).into_iter().filter(|(database, _)| !SYSTEM.contains(&database.as_str()));
            databases.map(|(database, content)| (database, (sql::head(&content), content.branches.clone()))).collect()
        };
        heads(one) == heads(other)
    }

    fn databases(&self, name: &str) -> BTreeMap<String, Arc<Content>> {
        self.servers
            .get(name)
            .and_then(|server| self.volumes.get(&server.volume))
            .map(|volume| volume.databases.clone())
            .unwrap_or_default()
    }
}
