//! A run: a schedule played in virtual time, from its first event to the end, or to the first thing that does not hold.

use std::sync::{Arc, OnceLock};

use tokio::time::sleep_until;

use crate::{
    cache::Cache,
    host::{Configuration, Host},
    lease::Candidate,
    moment::{Sim, time_goes_on},
    mutant::Mutant,
    oracle::Violation,
    schedule::Schedule,
    world::World,
};

/// The most virtual time that a run may take, in milliseconds.
const LONGEST: u64 = 1_800_000;

/// How a schedule is played.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether to keep what happened.
    pub trace: bool,
    /// A mistake to make.
    pub mutant: Option<Mutant>,
    /// Whether the reconcilers are the components that are shipped, and not native code.
    pub components: bool,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The first thing that did not hold.
    pub violation: Option<Violation>,
    /// Effects that changed something, or could have.
    pub effects: usize,
    /// Virtual milliseconds.
    pub time: u64,
    /// Writes that the client was told of.
    pub acknowledged: usize,
    /// The longest time without an acknowledged write, in virtual milliseconds.
    pub longest_gap: u64,
    /// How often a reconciler decided, also in the run that it was compared with, if that was played for it.
    pub reconciles: usize,
    /// How many runs were played: this one, and perhaps the other.
    pub played: usize,
    /// The most rounds in a minute.
    pub most_rounds: usize,
    /// What happened, if it was kept.
    pub trace: Vec<String>,
}

/// Plays a schedule.
pub fn run(schedule: &Schedule, options: &Options) -> Outcome {
    let mut world = to_the_end(schedule, options);
    let (churn, compared) = world.needless_churn(schedule, options);
    world.oracle.violation = world.oracle.violation.or(churn);
    Outcome {
        effects: world.faults.effects,
        time: world.now,
        acknowledged: world.client.acknowledged.len(),
        longest_gap: world.client.longest_gap,
        reconciles: world.reconciles + compared.unwrap_or_default(),
        played: 1 + usize::from(compared.is_some()),
        most_rounds: world.most_rounds(),
        violation: world.oracle.violation,
        trace: world.trace.unwrap_or_default(),
    }
}

/// Plays a schedule and gives the world at its end.
pub(crate) fn to_the_end(schedule: &Schedule, options: &Options) -> World {
    let mut world = schedule.scenario.world(schedule);
    world.trace = options.trace.then(Vec::new);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).on_thread_park(time_goes_on).build();
    let playing = play(world, schedule.seed ^ 0x4057, options);
    runtime.expect("a runtime without I/O needs nothing").block_on(playing)
}

async fn play(world: World, seed: u64, options: &Options) -> World {
    static CONFIGURATION: OnceLock<Configuration> = OnceLock::new();
    let configuration = CONFIGURATION.get_or_init(Configuration::shipped);
    let until = world.now + LONGEST;
    let sim = Arc::new(Sim::new(world, seed));
    let mut host: Option<Host> = None;
    let mut former: Option<Host> = None;
    let mut successor: Option<Candidate> = None;
    loop {
        let (next, news, former_news, lost, swapped, crashed, up) = {
            let mut world = sim.drive();
            if world.finished || world.oracle.violation.is_some() {
                break;
            }
            if world.now > until {
                world.violated("ends", "the run does not come to its end".into());
                break;
            }
            world.urgent = false;
            let former_news = world.has_former_host().then(|| world.former_cache().map(Cache::take_news).unwrap_or_default());
            let lost = std::mem::take(&mut world.leases.lost);
            let swapped = std::mem::take(&mut world.faults.swap);
            world.looked_at = world.agenda.next_news().min(until + 1);
            (world.looked_at, world.cache.take_news(), former_news, lost, swapped, world.faults.crash.take().is_some(), world.host_up)
        };
        if lost {
            former = host.take();
            successor = Some(Candidate::take_over(&sim));
        }
        match former_news {
            Some(news) => former.iter().for_each(|former| former.dispatch(news.clone())),
            None => former = None,
        }
        if crashed || !up {
            host = None;
        }
        if up {
            let start = || {
                let candidate = successor.take().unwrap_or_else(|| Candidate::stand(&sim));
                Host::start(&sim, configuration, options, candidate)
            };
            let host = host.get_or_insert_with(start);
            if swapped {
                host.promote();
            }
            host.dispatch(news);
        }
        let next = sim.instant(next);
        tokio::select! {
            biased;
            () = sim.news.notified() => {}
            () = sleep_until(next) => {}
        }
    }
    drop((host, former, successor));
    // The tasks of the host hold the world until they have been dropped.
    let mut sim = sim;
    loop {
        match Arc::try_unwrap(sim) {
            Ok(sim) => return sim.into_world(),
            Err(still) => {
                sim = still;
                tokio::task::yield_now().await;
            }
        }
    }
}
