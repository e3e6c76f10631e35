//! What happens in a run besides the ordinary: a scenario, a seed, and faults. A schedule is plain data, so a failing one is a file.

use serde::{Deserialize, Serialize};

use crate::{rng::Rng, scenario::Scenario};

/// One run, completely: the same schedule gives the same run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schedule {
    /// What the user and the cluster do.
    pub scenario: Scenario,
    /// Decides every latency.
    pub seed: u64,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// When.
    pub at: Moment,
    /// What.
    pub what: Trouble,
}

/// When a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Moment {
    /// At the effect of this place among all effects of the run that change something, from 0.
    Effect(usize),
    /// After so many milliseconds.
    After(u64),
}

/// What goes wrong. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trouble {
    /// The host dies before the effect has been sent, and is back after a time.
    CrashBefore(u64),
    /// The host dies when the effect has happened, and does not hear of it.
    CrashAfter(u64),
    /// The effect does not happen, and the host is told so.
    Refuse,
    /// The effect happens, and the host is told that it is not known.
    LoseAnswer,
    /// The host dies and is back after `down`, with a view of the cluster that is `stale` changes old and catches up within a second or two.
    Restart {
        /// For how long it is away.
        down: u64,
        /// Changes that its first list lacks.
        stale: usize,
    },
    /// What happens in the cluster is told to the host so much later, from now on for a while.
    SlowWatch {
        /// The delay.
        delay: u64,
        /// For how long.
        during: u64,
    },
    /// A pod's process and object go at once.
    Kill(Which),
    /// A server's process ends and is started again in the same pod.
    Crash(Which),
    /// A server does nothing for a while: its connections stay open.
    Freeze {
        /// The pod.
        pod: Which,
        /// For how long.
        during: u64,
    },
    /// A server's process ends and its volume is empty afterwards.
    LoseVolume(Which),
    /// A server's volume has no room: it takes in nothing, ends where it has to write, and does not start.
    FullDisk {
        /// The pod.
        pod: Which,
        /// For how long.
        during: u64,
    },
    /// Nothing passes between two parties.
    Cut {
        /// One of them.
        from: Party,
        /// The other.
        to: Party,
        /// For how long.
        during: u64,
    },
    /// A pod is parted from the operator, the API server and all other pods, but not from clients.
    Isolate {
        /// The pod.
        pod: Which,
        /// For how long.
        during: u64,
    },
    /// The wall clock jumps.
    ClockJump(i64),
    /// Another instance of each module is promoted, between two rounds or while one is under way.
    Swap,
    /// The leading host can no longer renew its lease, and another one takes it over when it has expired.
    LostLease {
        /// Whether it stands still for so long, if not, it goes on as long as it may.
        still: bool,
        /// When what it has under way arrives: at the end of standing still, or so long after it was sent.
        late: u64,
        /// Whether it hears of no changes any more.
        blind: bool,
    },
}

/// A pod, named when the fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Which {
    /// The server that is primary of the highest epoch.
    Primary,
    /// The first standby.
    Standby,
    /// By its number.
    Ordinal(i32),
}

/// An end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Party {
    /// The operator.
    Host,
    /// Those who write through the Service.
    Clients,
    /// A pod.
    Pod(Which),
}

impl Trouble {
    /// Whether it is about an effect, and so has no meaning at another moment.
    pub fn is_of_an_effect(&self) -> bool {
        matches!(self, Self::CrashBefore(_) | Self::CrashAfter(_) | Self::Refuse | Self::LoseAnswer)
    }

    /// What it is, in a few words.
    pub fn name(&self) -> String {
        let of = |which: &Which| match which {
            Which::Primary => "the primary".to_owned(),
            Which::Standby => "a standby".to_owned(),
            Which::Ordinal(ordinal) => format!("server {ordinal}"),
        };
        let party = |party: &Party| match party {
            Party::Host => "the operator".to_owned(),
            Party::Clients => "clients".to_owned(),
            Party::Pod(which) => of(which),
        };
        match self {
            Self::CrashBefore(_) => "the operator dies before an effect".into(),
            Self::CrashAfter(_) => "the operator dies after an effect".into(),
            Self::Refuse => "an effect is refused".into(),
            Self::LoseAnswer => "an answer is lost".into(),
            Self::Restart { .. } => "the operator is restarted".into(),
            Self::SlowWatch { .. } => "changes are told late".into(),
            Self::Kill(which) => format!("the pod of {} is killed", of(which)),
            Self::Crash(which) => format!("{} ends", of(which)),
            Self::Freeze { pod, .. } => format!("{} stands still", of(pod)),
            Self::LoseVolume(which) => format!("{} loses its volume", of(which)),
            Self::FullDisk { pod, .. } => format!("the volume of {} has no room", of(pod)),
            Self::Cut { from, to, .. } => format!("nothing passes between {} and {}", party(from), party(to)),
            Self::Isolate { pod, .. } => format!("{} is cut off", of(pod)),
            Self::ClockJump(_) => "the clock jumps".into(),
            Self::Swap => "the modules are swapped".into(),
            Self::LostLease { still: false, .. } => "the operator loses its lease and goes on".into(),
            Self::LostLease { still: true, .. } => "the operator stands still for longer than its lease".into(),
        }
    }

    /// One of each kind, for the enumeration at each effect.
    pub fn samples() -> Vec<Self> {
        let (primary, standby) = (Party::Pod(Which::Primary), Party::Pod(Which::Standby));
        vec![
            Self::CrashBefore(700),
            Self::CrashAfter(700),
            Self::Refuse,
            Self::LoseAnswer,
            Self::Restart { down: 300, stale: 0 },
            Self::SlowWatch { delay: 1_500, during: 6_000 },
            Self::Kill(Which::Primary),
            Self::Kill(Which::Standby),
            Self::Crash(Which::Primary),
            Self::Freeze { pod: Which::Primary, during: 4_000 },
            Self::Freeze { pod: Which::Standby, during: 4_000 },
            Self::FullDisk { pod: Which::Primary, during: 20_000 },
            Self::FullDisk { pod: Which::Standby, during: 20_000 },
            Self::Cut { from: Party::Host, to: primary, during: 8_000 },
            Self::Cut { from: Party::Host, to: standby, during: 8_000 },
            Self::Cut { from: primary, to: standby, during: 8_000 },
            Self::Cut { from: Party::Clients, to: primary, during: 8_000 },
            Self::Isolate { pod: Which::Primary, during: 20_000 },
            Self::ClockJump(-120_000),
            Self::ClockJump(3_600_000),
            Self::Swap,
            Self::LostLease { still: false, late: 4_000, blind: true },
            Self::LostLease { still: false, late: 18_000, blind: false },
            Self::LostLease { still: true, late: 20_000, blind: false },
        ]
    }

    /// The kinds that are played in pairs: those after which something has to go on from where another one left it.
    pub fn few_samples() -> Vec<Self> {
        vec![Self::CrashBefore(700), Self::CrashAfter(700), Self::LoseAnswer, Self::Kill(Which::Primary)]
    }
}

impl Schedule {
    /// A run in which nothing goes wrong.
    pub fn quiet(scenario: Scenario, seed: u64) -> Self {
        Self { scenario, seed, faults: Vec::new() }
    }

    /// A run with up to four faults, all from scenario and seed.
    pub fn random(scenario: Scenario, seed: u64) -> Self {
        let mut rng = Rng::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (scenario as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut faults: Vec<Fault> = (0..rng.within(1..5)).map(|_| Fault::random(&mut rng, scenario)).collect();
        // Drawn apart, so that what came later changes nothing of what a seed meant before.
        if rng.once_in(4) {
            let what = Trouble::random_of_the_host(&mut rng);
            faults.push(Fault { at: Moment::random(&mut rng, scenario), what });
        }
        if rng.once_in(8) {
            faults.push(Fault { at: Moment::random(&mut rng, scenario), what: Trouble::Swap });
        }
        if rng.once_in(4) {
            let what = Trouble::FullDisk { pod: Which::random(&mut rng, scenario), during: rng.within(200..60_000) };
            faults.push(Fault { at: Moment::random(&mut rng, scenario), what });
        }
        Self { scenario, seed, faults }
    }
}

impl Fault {
    fn random(rng: &mut Rng, scenario: Scenario) -> Self {
        let what = Trouble::random(rng, scenario);
        let at = if what.is_of_an_effect() { Moment::random_effect(rng) } else { Moment::random(rng, scenario) };
        Self { at, what }
    }
}

impl Moment {
    fn random(rng: &mut Rng, scenario: Scenario) -> Self {
        if rng.once_in(3) { Self::random_effect(rng) } else { Self::After(rng.within(0..scenario.last_act() + 20_000)) }
    }

    fn random_effect(rng: &mut Rng) -> Self {
        Self::Effect(usize::try_from(rng.within(0..30)).unwrap_or_default())
    }
}

impl Trouble {
    fn random_of_the_host(rng: &mut Rng) -> Self {
        let (late, blind, still) = (rng.within(0..25_000), rng.once_in(2), rng.once_in(2));
        Self::LostLease { still, late: if still { rng.within(0..40_000) } else { late }, blind }
    }

    fn random(rng: &mut Rng, scenario: Scenario) -> Self {
        let down = rng.within(50..16_000);
        let during = rng.within(200..60_000);
        match rng.within(0..15) {
            0 => Self::CrashBefore(down),
            1 => Self::CrashAfter(down),
            2 => Self::Refuse,
            3 => Self::LoseAnswer,
            // A host's first list is a consistent read: a stale one is for a schedule by hand.
            4 => Self::Restart { down, stale: 0 },
            5 => Self::SlowWatch { delay: rng.within(50..5_000), during },
            6 => Self::Kill(Which::random(rng, scenario)),
            7 => Self::Crash(Which::random(rng, scenario)),
            8 | 9 => Self::Freeze { pod: Which::random(rng, scenario), during },
            10 => Self::LoseVolume(Which::Standby),
            11 | 12 => {
                let from = Party::random(rng, scenario);
                let mut to = Party::random(rng, scenario);
                while to == from || matches!((from, to), (Party::Host, Party::Clients) | (Party::Clients, Party::Host)) {
                    to = Party::random(rng, scenario);
                }
                Self::Cut { from, to, during }
            }
            13 => Self::Isolate { pod: Which::random(rng, scenario), during },
            _ => {
                let by = i64::try_from(rng.within(0..7_200_000)).unwrap_or_default() - 3_600_000;
                Self::ClockJump(by)
            }
        }
    }
}

impl Which {
    fn random(rng: &mut Rng, scenario: Scenario) -> Self {
        match rng.within(0..4) {
            0 | 1 => Self::Primary,
            2 => Self::Standby,
            _ => Self::Ordinal(i32::try_from(rng.within(0..scenario.most_replicas())).unwrap_or_default()),
        }
    }
}

impl Party {
    fn random(rng: &mut Rng, scenario: Scenario) -> Self {
        match rng.within(0..5) {
            0 | 1 => Self::Host,
            2 => Self::Clients,
            _ => Self::Pod(Which::random(rng, scenario)),
        }
    }
}
