//! A client that writes through the primary Service, one write after the other, with a connection of its own for each, and remembers what was
//! acknowledged. It is the one whose data must not get lost.

use std::collections::{BTreeMap, BTreeSet};

use crate::world::{CLIENTS, Event, World};

/// The database that it writes to.
pub(crate) const DATABASE: &str = "app";
/// The primary Service of the one DoltDB, and its Service where it has a single server.
const SERVICES: [&str; 2] = ["db-primary", "db"];
/// For how long it waits for an answer, in milliseconds.
const PATIENCE: u64 = 1_000;

/// The client.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    /// The write that it waits for.
    waits_for: Option<u64>,
    last: u64,
    /// Acknowledged writes, each with the server and its epoch.
    pub(crate) acknowledged: BTreeMap<u64, (String, u64)>,
    /// When each of them was.
    pub(crate) acknowledged_at: BTreeMap<u64, u64>,
    /// Writes that reached a server which stood still.
    held: BTreeMap<String, Vec<u64>>,
    /// When the last write was acknowledged.
    last_answer: u64,
    /// The longest time without an acknowledged write, in milliseconds.
    pub(crate) longest_gap: u64,
}

impl World {
    /// The client begins.
    pub(crate) fn start_client(&mut self) {
        self.client.last_answer = self.now;
        self.client.longest_gap = 0;
        self.after(1, Event::Write);
    }

    /// The pods behind the primary Service; where there is none, behind that of a single server.
    pub(crate) fn behind_primary(&self) -> &[String] {
        SERVICES.iter().find_map(|service| self.proxied.get(*service)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn on_write(&mut self) {
        let pods = self.behind_primary().len();
        if pods == 0 {
            let delay = self.wait(30..120);
            return self.after(delay, Event::Write);
        }
        let one = usize::try_from(self.wait(0..pods as u64)).unwrap_or_default();
        let pod = self.behind_primary()[one].clone();
        self.client.last += 1;
        let write = self.client.last;
        self.client.waits_for = Some(write);
        self.after(PATIENCE, Event::Patience { write });
        if !self.is_cut(CLIENTS, &pod) {
            let delay = self.wait(1..4);
            self.after(delay, Event::Arrive { write, pod });
        }
    }

    pub(crate) fn on_arrive(&mut self, write: u64, pod: String) {
        if self.dolt.runs(&pod) && !self.dolt.answers(&pod) {
            return self.client.held.entry(pod).or_default().push(write);
        }
        // One that is alone is of the time of the last primary.
        let alone = self.dolt.is_alone(&pod).then(|| self.oracle.recorded());
        let epoch = self.dolt.state(&pod).map(|(_, epoch)| epoch).or(alone);
        let done = self.dolt.write(&pod, DATABASE, write);
        match (done, epoch, self.dolt.connections(&pod)) {
            (Ok(()), Some(epoch), Some(connections)) => {
                let delay = self.wait(1..4);
                self.after(delay, Event::Answer { write, pod, epoch, connections });
            }
            (done, ..) => {
                if let Err(why) = done {
                    self.say(|| format!("write {write} is refused by {pod}: {why}"));
                }
                self.next_write(write, 20..100);
            }
        }
    }

    /// What reached a server while it stood still.
    pub(crate) fn deliver_held(&mut self, pod: &str) {
        for write in self.client.held.remove(pod).unwrap_or_default() {
            self.after(1, Event::Arrive { write, pod: pod.into() });
        }
    }

    pub(crate) fn on_answer(&mut self, write: u64, pod: String, epoch: u64, connections: (u64, u64)) {
        if self.dolt.connections(&pod) != Some(connections) || self.is_cut(CLIENTS, &pod) || self.client.waits_for != Some(write) {
            return self.next_write(write, 20..100);
        }
        self.client.acknowledged_at.insert(write, self.now);
        self.client.longest_gap = self.client.longest_gap.max(self.now - self.client.last_answer);
        self.client.last_answer = self.now;
        self.say(|| format!("write {write} is acknowledged by {pod} at epoch {epoch}"));
        self.on_acknowledged(write, &pod, epoch);
        self.client.acknowledged.insert(write, (pod, epoch));
        self.next_write(write, 30..200);
    }

    pub(crate) fn on_patience(&mut self, write: u64) {
        self.next_write(write, 1..20);
    }

    fn next_write(&mut self, write: u64, pause: std::ops::Range<u64>) {
        if self.client.waits_for == Some(write) {
            self.client.waits_for = None;
            let delay = self.wait(pause);
            self.after(delay, Event::Write);
        }
    }

    /// Acknowledged writes that are in none of these.
    pub(crate) fn missing_in<'a>(&'a self, writes: &BTreeSet<u64>) -> impl Iterator<Item = (u64, &'a (String, u64))> {
        let missing: Vec<_> =
            self.client.acknowledged.iter().filter(|(write, _)| !writes.contains(write)).map(|(write, by)| (*write, by)).collect();
        missing.into_iter()
    }

    /// All that is on a server's volume in the client's database.
    pub(crate) fn written(&self, volume: &str) -> BTreeSet<u64> {
        let content = self.dolt.volume(volume).and_then(|volume| volume.databases.get(DATABASE));
        content.map(|content| content.writes.iter().collect()).unwrap_or_default()
    }
}
