//! Faults as they happen: those of effects are found by the effect's number, the others by their time.

use crate::{
    oracle::volume_of,
    schedule::{Fault, Moment, Party, Trouble, Which},
    world::{CLIENTS, Event, HOST, World},
};

/// What is still to go wrong, and until when what went wrong lasts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    pending: Vec<(usize, Trouble)>,
    /// Effects so far that changed something, or could have.
    pub(crate) effects: usize,
    /// Until when the last fault lasts.
    pub(crate) until: u64,
    slow_watch: Option<(u64, u64)>,
    /// The host must die now, and be back after a time with a list that lacks some changes.
    pub(crate) crash: Option<(u64, usize)>,
    /// Other instances of the modules must decide from now on.
    pub(crate) swap: bool,
}

impl Faults {
    /// By how much the host hears of a change later than usual.
    pub(crate) fn watch_delay(&self, now: u64) -> u64 {
        self.slow_watch.filter(|(_, until)| now < *until).map_or(0, |(delay, _)| delay)
    }

    /// What goes wrong at the next effect.
    pub(crate) fn at_next_effect(&self) -> bool {
        self.pending.iter().any(|(at, _)| *at == self.effects)
    }

    /// Counts an effect, and gives what goes wrong at it.
    pub(crate) fn count_effect(&mut self) -> Vec<Trouble> {
        let at = self.effects;
        self.effects += 1;
        let (due, rest) = std::mem::take(&mut self.pending).into_iter().partition(|(place, _)| *place == at);
        self.pending = rest;
        due.into_iter().map(|(_, trouble): (usize, Trouble)| trouble).collect()
    }

    fn lasts(&mut self, until: u64) {
        self.until = self.until.max(until);
    }
}

impl World {
    /// Plans the faults of a schedule, from now on.
    pub(crate) fn plan_faults(&mut self, faults: &[Fault]) {
        for fault in faults {
            match fault.at {
                Moment::Effect(at) => self.faults.pending.push((at, fault.what.clone())),
                Moment::After(time) => {
                    self.faults.lasts(self.now + time);
                    self.after(time, Event::Trouble(fault.what.clone()));
                }
            }
        }
    }

    pub(crate) fn on_trouble(&mut self, trouble: Trouble) {
        self.say(|| format!("TROUBLE: {trouble:?}"));
        self.urgent = true;
        self.faults.lasts(self.now);
        match trouble {
            Trouble::CrashBefore(down) | Trouble::CrashAfter(down) => self.crash_host(down, 0),
            Trouble::Restart { down, stale } => self.crash_host(down, stale),
            // Without an effect they mean nothing.
            Trouble::Refuse | Trouble::LoseAnswer => {}
            Trouble::SlowWatch { delay, during } => {
                self.faults.slow_watch = Some((delay, self.now + during));
                self.faults.lasts(self.now + during + delay);
            }
            Trouble::Kill(pod) => {
                let pod = self.named(pod);
                self.kill_pod(&pod);
                self.excuse_pod(&pod);
            }
            Trouble::Crash(pod) => {
                let pod = self.named(pod);
                self.crash_container(&pod);
                self.excuse_pod(&pod);
            }
            Trouble::Freeze { pod, during } => {
                let pod = self.named(pod);
                self.freeze(&pod);
                self.excuse_pod(&pod);
                // A server that does not answer for long is restarted by its kubelet.
                self.faults.lasts(self.now + during.min(75_000));
                self.after(during, Event::Thaw(pod));
            }
            Trouble::LoseVolume(pod) => {
                let pod = self.named(pod);
                // Where no standby runs, that name is the primary's.
                if self.dolt.runs(&pod) && self.leader().as_ref() != Some(&pod) {
                    self.crash_container(&pod);
                    self.excuse_pod(&pod);
                    self.excuse_volume(&pod);
                    self.on_emptied(&pod);
                    self.dolt.wipe(&volume_of(&pod));
                }
            }
            Trouble::FullDisk { pod, during } => {
                let pod = self.named(pod);
                self.fill_volume(&pod, true);
                self.excuse_pod(&pod);
                self.faults.lasts(self.now + during);
                self.after(during, Event::Room(pod));
            }
            Trouble::Cut { from, to, during } => {
                let (from, to) = (self.party(from), self.party(to));
                if from != to {
                    self.set_cut(&from, &to, true);
                    self.faults.lasts(self.now + during);
                    self.after(during, Event::Heal(from, to));
                }
            }
            Trouble::Isolate { pod, during } => {
                let pod = self.named(pod);
                self.isolate(&pod, true);
                self.excuse_pod(&pod);
                self.faults.lasts(self.now + during);
                self.after(during, Event::Rejoin(pod));
            }
            Trouble::ClockJump(by) => self.skew += by,
            Trouble::Swap => self.faults.swap = self.host_up,
            Trouble::LostLease { still, late, blind } => {
                if let Some(until) = self.lose_lease(still, late, blind) {
                    self.faults.lasts(until + 2_000);
                }
            }
        }
    }

    /// The host dies, and is back after a time.
    pub(crate) fn crash_host(&mut self, down: u64, stale: usize) {
        if self.host_up {
            self.host_up = false;
            self.faults.crash = Some((down, stale));
            self.faults.lasts(self.now + down + 2_000);
            self.after(down, Event::HostUp(stale));
        }
    }

    /// The volume of a pod has no room any more, or has some again.
    pub(crate) fn fill_volume(&mut self, pod: &str, full: bool) {
        self.say(|| format!("the volume of {pod} {}", if full { "has no room" } else { "has room again" }));
        self.dolt.fill(&volume_of(pod), full);
    }

    fn party(&self, party: Party) -> String {
        match party {
            Party::Host => HOST.into(),
            Party::Clients => CLIENTS.into(),
            Party::Pod(which) => self.named(which),
        }
    }

    /// The name of a pod.
    pub(crate) fn named(&self, which: Which) -> String {
        let name = self.doltdb().map(|(key, _)| key.name.clone()).unwrap_or_default();
        let primary = self.leader().unwrap_or_else(|| format!("{name}-0"));
        match which {
            Which::Primary => primary,
            Which::Standby => self.dolt.running().find(|pod| **pod != primary).cloned().unwrap_or_else(|| format!("{name}-1")),
            Which::Ordinal(ordinal) => format!("{name}-{ordinal}"),
        }
    }
}
