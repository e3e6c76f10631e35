//! Everything outside of the host, as one value: objects, pods, servers, clients, faults, and an agenda of what happens when.
//!
//! It is plain data. A copy of it is another run from the same moment.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use host::gateway::ObjectKey;
use serde_json::Value;

use crate::{
    agenda::Agenda,
    api::Api,
    cache::Cache,
    client::Client,
    dolt::Dolt,
    faults::Faults,
    host::FIRST,
    kube::{self, PodRun, PodStep, SnapshotStep, VolumeSnapshots},
    lease::Leases,
    oracle::{Detour, Oracle},
    rng::Rng,
    scenario::Act,
    schedule::Trouble,
};

/// The wall clock when a simulation begins: 2026-01-01T00:00:00Z.
const NEW_YEAR: u64 = 1_767_225_600_000;

/// The operator, as an end of a path.
pub(crate) const HOST: &str = "(host)";
/// The API server, as an end of a path. Kubelets and the operator always reach it.
pub(crate) const API: &str = "(api)";
/// The clients, as an end of a path.
pub(crate) const CLIENTS: &str = "(clients)";

/// What the clocks of the cluster show at a time of the simulation.
pub(crate) fn clock(now: u64) -> u64 {
    NEW_YEAR + now
}

/// Something that is going to happen.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// The cluster's controllers look at everything.
    Controllers,
    /// The host hears of a change, by its place in the history.
    Watch(usize),
    /// A pod goes on.
    Pod { uid: String, token: u64, step: PodStep },
    /// A VolumeSnapshot goes on.
    VolumeSnapshot { name: String, step: SnapshotStep },
    /// A pod's server looks whether it is cut off.
    LookOut { pod: String, life: u64 },
    /// The nodes learn which pods are behind the Services.
    Proxy,
    /// The client writes.
    Write,
    /// A write reaches a server.
    Arrive { write: u64, pod: String },
    /// An answer reaches the client.
    Answer { write: u64, pod: String, epoch: u64, connections: (u64, u64) },
    /// The client gives up waiting.
    Patience { write: u64 },
    /// Something goes wrong.
    Trouble(Trouble),
    /// A path is open again.
    Heal(String, String),
    /// A pod is no longer cut off.
    Rejoin(String),
    /// A server goes on.
    Thaw(String),
    /// There is room again on the volume of a pod.
    Room(String),
    /// The host starts, with a list that lacks so many changes.
    HostUp(usize),
    /// Nothing of a host that has lost its lease can arrive any more.
    FormerHostGone,
    /// The scenario goes on.
    Act(Act),
    /// Whether all is as it should be.
    Check,
}

/// The world.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// Milliseconds since the simulation began.
    pub(crate) now: u64,
    /// By how much the host's wall clock is off, in milliseconds.
    pub(crate) skew: i64,
    pub(crate) rng: Rng,
    pub(crate) api: Api,
    pub(crate) cache: Cache,
    pub(crate) dolt: Dolt,
    /// Pods by uid, as their kubelet knows them.
    pub(crate) pods: BTreeMap<String, PodRun>,
    /// The pods behind each Service, as the nodes know them.
    pub(crate) proxied: BTreeMap<String, Vec<String>>,
    pub(crate) volume_snapshots: VolumeSnapshots,
    pub(crate) client: Client,
    pub(crate) faults: Faults,
    pub(crate) oracle: Oracle,
    pub(crate) leases: Leases,
    /// Whether the host should run. It is started and ended by whoever drives the world.
    pub(crate) host_up: bool,
    /// Since when each server can be reached from the host.
    pub(crate) reachable: BTreeMap<String, u64>,
    /// From when until when each server could be reached that cannot be any more.
    pub(crate) reached: BTreeMap<String, (u64, u64)>,
    /// Since when each server takes writes.
    pub(crate) writable: BTreeMap<String, u64>,
    /// Since when the host runs.
    pub(crate) host_since: u64,
    /// Until when pods that were cut off wait for other servers before they start; none as long as they are cut off.
    pub(crate) waits: BTreeMap<String, Option<u64>>,
    /// When the guard of a pod's server last heard from somebody.
    pub(crate) last_contact: BTreeMap<String, u64>,
    /// Since when pods are cut off from all but clients.
    pub(crate) isolated: BTreeMap<String, u64>,
    /// When servers that stood still last went on.
    pub(crate) thawed: BTreeMap<String, u64>,
    /// When the rounds of each object in the last minute began, and how many there were at most in a minute.
    rounds: (BTreeMap<ObjectKey, VecDeque<u64>>, usize),
    /// How many rounds there were.
    pub(crate) reconciles: usize,
    /// What happened, where somebody wants to know.
    pub(crate) trace: Option<Vec<String>>,
    /// Whether the run has come to its end.
    pub(crate) finished: bool,
    /// Whether whoever drives the world has to look at it, and when they look anyway.
    pub(crate) urgent: bool,
    pub(crate) looked_at: u64,
    /// How many changes a host may lack when it starts.
    pub(crate) remembered: usize,
    /// When the scenario's last act is.
    pub(crate) acts_until: u64,
    /// The longest time that may pass without an acknowledged write, in milliseconds, if one is known.
    pub(crate) longest_gap: Option<u64>,
    /// A change that is taken back, if there is one.
    pub(crate) detour: Option<Detour>,
    /// The pod that has to be primary at the end, if one has.
    pub(crate) wanted_primary: Option<String>,
    pub(crate) agenda: Agenda,
    cut: BTreeSet<(String, String)>,
    /// How often a path was opened or closed.
    cuts: u64,
    /// The same, and which servers there were, when it was last noted who is within reach.
    noted: (u64, Vec<(u64, bool, bool)>),
    /// Changes for which a [`Event::Watch`] has been planned, and when the last of them is.
    watched: (usize, u64),
    /// The revision of each StatefulSet by its uid, with the generation that it is of.
    pub(crate) revisions: BTreeMap<String, (u64, String)>,
    controllers_due: bool,
    /// Whether anything has changed that is of concern to the cluster's controllers, since they last looked.
    pub(crate) concerns_controllers: bool,
    /// The pods behind each Service, as they last made them out.
    pub(crate) served: BTreeMap<String, Vec<String>>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: 0,
            skew: 0,
            rng: Rng::new(seed),
            api: Api::default(),
            cache: Cache::default(),
            dolt: Dolt::new(seed),
            pods: BTreeMap::new(),
            proxied: BTreeMap::new(),
            volume_snapshots: VolumeSnapshots::new(),
            client: Client::default(),
            faults: Faults::default(),
            oracle: Oracle::default(),
            leases: Leases::default(),
            host_up: false,
            reachable: BTreeMap::new(),
            reached: BTreeMap::new(),
            writable: BTreeMap::new(),
            host_since: 0,
            waits: BTreeMap::new(),
            last_contact: BTreeMap::new(),
            isolated: BTreeMap::new(),
            thawed: BTreeMap::new(),
            rounds: (BTreeMap::new(), 0),
            reconciles: 0,
            trace: None,
            finished: false,
            urgent: false,
            looked_at: 0,
            remembered: 0,
            acts_until: 0,
            longest_gap: None,
            detour: None,
            wanted_primary: None,
            agenda: Agenda::default(),
            cut: BTreeSet::new(),
            cuts: 0,
            noted: (0, Vec::new()),
            watched: (0, 0),
            revisions: BTreeMap::new(),
            controllers_due: false,
            concerns_controllers: true,
            served: BTreeMap::new(),
        }
    }

    /// The same world for another run: other latencies, nothing of the past to tell.
    pub(crate) fn branch(&self, seed: u64) -> Self {
        let mut world = self.clone();
        world.rng = Rng::new(seed);
        world.dolt.reseed(seed ^ 0xd017);
        world.agenda.retain(|event| !matches!(event, Event::Watch(_) | Event::Check));
        world.api.forget_history();
        world.watched = (0, 0);
        world.cache = Cache::default();
        world.host_up = false;
        world.finished = false;
        world.longest_gap = None;
        world.rounds = (BTreeMap::new(), 0);
        world.reconciles = 0;
        world.trace = None;
        world.faults = Faults::default();
        world.leases = Leases::default();
        world.oracle.begin_again();
        world.client.longest_gap = 0;
        world
    }

    /// Plans something.
    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.agenda.plan(self.now + delay, event);
    }

    /// The time of a random wait.
    pub(crate) fn wait(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.rng.within(range)
    }

    /// Whether something has to be done before whoever drives the world looks anyway.
    pub(crate) fn wants_driver(&self) -> bool {
        self.urgent
            || self.finished
            || self.oracle.violation.is_some()
            || self.agenda.next_news() < self.looked_at
            || self.cache.has_news()
            || self.leases.former_has_news()
    }

    /// Lets happen what is due until a time, in order.
    pub(crate) fn advance(&mut self, until: u64) {
        loop {
            let due = self.dolt.next();
            let at = self.agenda.next().min(due);
            if at > until {
                break;
            }
            self.now = self.now.max(at);
            self.dolt.now = self.now;
            // Nothing follows from what a client does without a server, nor from what a host hears.
            let mut ends_there = false;
            if due <= self.now {
                self.dolt.step();
            } else if let Some(event) = self.agenda.pop() {
                ends_there = matches!(event, Event::Write | Event::Answer { .. } | Event::Patience { .. } | Event::Watch(_));
                self.happen(event);
            }
            if !ends_there {
                self.settle();
            }
            if self.finished || self.oracle.violation.is_some() {
                return;
            }
        }
        self.now = self.now.max(until);
        self.dolt.now = self.now;
    }

    /// Follows up on what has just changed.
    pub(crate) fn settle(&mut self) {
        for pod in self.dolt.take_ended() {
            self.on_ended(&pod);
        }
        for (pod, epoch) in self.dolt.take_promoted() {
            self.say(|| format!("{pod} is primary of epoch {epoch}"));
            self.on_promoted(&pod, epoch);
        }
        self.note_copies();
        self.note_who_is_there();
        let (from, until) = (self.watched.0, self.api.changes());
        if from == until {
            return;
        }
        for at in from..until {
            self.concerns_controllers |= self.api.change(at).is_some_and(|change| kube::LOOKED_AT.contains(&change.key.kind.as_str()));
            self.on_change(at);
            let delay = self.wait(1..40) + self.faults.watch_delay(self.now);
            self.plan_watch(at, delay);
        }
        if !self.controllers_due {
            self.controllers_due = true;
            let delay = self.wait(2..30);
            self.after(delay, Event::Controllers);
        }
    }

    /// Since when each server is within reach, and takes writes. This is after each event, and seldom anything new.
    fn note_who_is_there(&mut self) {
        if self.noted.0 == self.cuts && self.noted.1.iter().copied().eq(self.dolt.presence()) {
            return;
        }
        self.noted = (self.cuts, self.dolt.presence().collect());
        let Self { dolt, cut, reachable, reached, writable, now, .. } = self;
        let is_cut = |pod: &String| !cut.is_empty() && cut.contains(&(HOST.to_owned(), pod.clone()));
        let within_reach = |pod: &String| dolt.answers(pod) && !is_cut(pod);
        for (pod, since) in reachable.extract_if(.., |pod, _| !within_reach(pod)) {
            reached.insert(pod, (since, *now));
        }
        writable.retain(|pod, _| dolt.takes_writes(pod));
        for pod in dolt.running() {
            if !reachable.contains_key(pod) && within_reach(pod) {
                reachable.insert(pod.clone(), *now);
            }
            if !writable.contains_key(pod) && dolt.takes_writes(pod) {
                writable.insert(pod.clone(), *now);
            }
        }
    }

    /// The host hears of a change, but not before it hears of the one before.
    fn plan_watch(&mut self, at: usize, delay: u64) {
        let due = (self.now + delay).max(self.watched.1);
        self.watched = (self.watched.0.max(at + 1), due);
        self.after(due - self.now, Event::Watch(at));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Controllers => {
                self.controllers_due = false;
                self.run_controllers();
            }
            Event::Watch(at) => {
                if let Some(change) = self.api.change(at).cloned() {
                    self.cache.put(&change);
                    if let Some(former) = self.former_cache() {
                        former.put(&change);
                    }
                }
                self.api.forget((at + 1).saturating_sub(self.remembered));
            }
            Event::Pod { uid, token, step } => self.on_pod(&uid, token, step),
            Event::VolumeSnapshot { name, step } => self.on_volume_snapshot(&name, step),
            Event::Proxy => self.proxied = self.endpoints(),
            Event::Write => self.on_write(),
            Event::Arrive { write, pod } => self.on_arrive(write, pod),
            Event::Answer { write, pod, epoch, connections } => self.on_answer(write, pod, epoch, connections),
            Event::Patience { write } => self.on_patience(write),
            Event::Trouble(trouble) => self.on_trouble(trouble),
            Event::LookOut { pod, life } => self.look_out(&pod, life),
            Event::Heal(a, b) => self.heal(&a, &b),
            Event::Rejoin(pod) => self.isolate(&pod, false),
            Event::Thaw(pod) => self.thaw(&pod),
            Event::Room(pod) => self.fill_volume(&pod, false),
            Event::HostUp(stale) => {
                let (cache, from) = Cache::listed(&self.api, stale);
                self.cache = cache;
                self.watched.1 = self.now;
                for at in from..self.api.changes() {
                    let delay = self.wait(300..2_000);
                    self.plan_watch(at, delay);
                }
                self.host_up = true;
                self.urgent = true;
                self.host_since = self.now;
                self.say(|| format!("the host starts, {stale} changes behind"));
            }
            Event::FormerHostGone => self.on_former_host_gone(),
            Event::Act(act) => self.act(act),
            Event::Check => self.check(),
        }
    }

    /// A round begins, and the module of this digest decides in it.
    pub(crate) fn on_round(&mut self, object: &ObjectKey, digest: &str) {
        const MINUTE: u64 = 60_000;
        self.reconciles += 1;
        if digest != FIRST {
            self.say(|| format!("a round of {} by {digest}", object.kind));
        }
        let (rounds, most) = &mut self.rounds;
        let rounds = rounds.entry(object.clone()).or_default();
        rounds.push_back(self.now);
        while rounds.front().is_some_and(|at| self.now - at >= MINUTE) {
            rounds.pop_front();
        }
        *most = rounds.len().max(*most);
    }

    /// How many rounds of one object there were at most in a minute.
    pub(crate) fn most_rounds(&self) -> usize {
        self.rounds.1
    }

    /// The host's wall clock.
    pub(crate) fn wall(&self) -> u64 {
        clock(self.now).saturating_add_signed(self.skew)
    }

    /// Tells of something, if anybody listens.
    pub(crate) fn say(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9.3} s  {}", self.now as f64 / 1_000.0, what()));
        }
    }

    /// Opens or closes the path between two parties.
    pub(crate) fn set_cut(&mut self, a: &str, b: &str, cut: bool) {
        self.say(|| format!("the path between {a} and {b} is {}", if cut { "cut" } else { "open" }));
        self.cuts += 1;
        for pair in [(a.to_owned(), b.to_owned()), (b.to_owned(), a.to_owned())] {
            if cut {
                self.cut.insert(pair)
            } else {
                self.cut.remove(&pair)
            };
        }
        self.dolt.cut(a, b, cut);
    }

    /// Opens the path between two parties again, unless one of them is cut off from the other for another reason.
    fn heal(&mut self, a: &str, b: &str) {
        let cut_off = [a, b].into_iter().any(|pod| self.isolated.contains_key(pod));
        if !cut_off || a == CLIENTS || b == CLIENTS {
            self.set_cut(a, b, false);
        }
    }

    /// Parts a pod from the operator, the API server and all other pods that there may be, or joins it again. Clients still reach it.
    pub(crate) fn isolate(&mut self, pod: &str, cut: bool) {
        let base = pod.rsplit_once('-').map_or(pod, |(base, _)| base);
        let others = (0..4).map(|ordinal| format!("{base}-{ordinal}")).filter(|other| other != pod);
        for other in others.chain([HOST.to_owned(), API.to_owned()]) {
            self.set_cut(pod, &other, cut);
        }
        if cut {
            self.isolated.entry(pod.into()).or_insert(self.now);
        } else {
            self.isolated.remove(pod);
            // What is still cut off stays so from everybody.
            for other in self.isolated.keys().cloned().collect::<Vec<_>>() {
                self.isolate(&other, true);
            }
        }
    }

    /// Whether nothing passes between two parties.
    pub(crate) fn is_cut(&self, a: &str, b: &str) -> bool {
        !self.cut.is_empty() && self.cut.contains(&(a.to_owned(), b.to_owned()))
    }

    /// The one DoltDB of the simulation.
    pub(crate) fn doltdb(&self) -> Option<(&ObjectKey, &Value)> {
        self.api.all("DoltDB").next().map(|(key, object)| (key, &object.body))
    }
}
