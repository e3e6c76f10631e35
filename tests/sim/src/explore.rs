//! Many runs: one fault at each effect of a scenario, two at each pair of them, or whatever seeds make of it; on all processors. What fails is made smaller.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use crate::{
    oracle::Violation,
    run::{Options, Outcome, run},
    scenario::Scenario,
    schedule::{Fault, Moment, Schedule, Trouble},
};

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// How many there were.
    pub runs: usize,
    /// How many were played: those, and the ones without faults with which some of them were compared.
    pub played: usize,
    /// How often a reconciler decided in them.
    pub reconciles: usize,
    /// How long they took.
    pub took: Duration,
    /// On how many processors.
    pub threads: usize,
    /// Those in which something did not hold, in the order of the schedules.
    pub failures: Vec<(Schedule, Violation)>,
    /// The longest time without an acknowledged write, over all runs, in virtual milliseconds.
    pub longest_gap: u64,
    /// The most rounds of one object in a minute, over all runs.
    pub most_rounds: usize,
}

impl Summary {
    /// How fast it was.
    pub fn rate(&self) -> String {
        let each = |count: usize| count as f64 / self.took.as_secs_f64().max(1e-9) / self.threads.max(1) as f64;
        format!("{:.0} runs and {:.0} reconciles a second and core", each(self.played), each(self.reconciles))
    }

    /// Both together, without their failures.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            played: self.played + other.played,
            reconciles: self.reconciles + other.reconciles,
            took: self.took + other.took,
            threads: self.threads.max(other.threads),
            failures: Vec::new(),
            longest_gap: self.longest_gap.max(other.longest_gap),
            most_rounds: self.most_rounds.max(other.most_rounds),
        }
    }
}

/// A quiet run, and one for each kind of fault at each effect of it.
pub fn each_effect(scenario: Scenario, seed: u64, options: &Options) -> Vec<Schedule> {
    let quiet = Schedule::quiet(scenario, seed);
    let effects = run(&quiet, options).effects;
    let mut schedules = vec![quiet];
    for at in 0..effects {
        for what in Trouble::samples() {
            let faults = vec![Fault { at: Moment::Effect(at), what }];
            schedules.push(Schedule { scenario, seed, faults });
        }
    }
    schedules
}

/// Two faults at each pair of effects of a quiet run, of a few kinds.
pub fn each_pair(scenario: Scenario, seed: u64, options: &Options) -> Vec<Schedule> {
    let effects = run(&Schedule::quiet(scenario, seed), options).effects;
    let kinds = Trouble::few_samples();
    let faults = |at: usize| kinds.iter().map(move |what| Fault { at: Moment::Effect(at), what: what.clone() });
    let mut schedules = Vec::new();
    for first in 0..effects {
        for second in first + 1..effects {
            for one in faults(first) {
                schedules.extend(faults(second).map(|other| Schedule { scenario, seed, faults: vec![one.clone(), other] }));
            }
        }
    }
    schedules
}

/// Each field of the specs, changed and changed back. Nothing goes wrong.
pub fn each_field() -> Vec<Schedule> {
    let fields_of = |scenario: Scenario| (0..scenario.fields().len() as u64).map(move |seed| Schedule::quiet(scenario, seed));
    Scenario::all().iter().flat_map(|scenario| fields_of(*scenario)).collect()
}

/// Plays all schedules.
pub fn explore(schedules: &[Schedule], options: &Options) -> Summary {
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let (mut found, mut all) = (Vec::new(), Summary::default());
        while let Some((at, schedule)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, schedules.get(at)?))) {
            let outcome = run(schedule, options);
            all = all.with(&outcome.summary());
            found.extend(outcome.violation.map(|violation| (at, schedule.clone(), violation)));
        }
        (found, all)
    };
    let parts: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a run that panics is a mistake of the simulator")).collect()
    });
    let all = parts.iter().fold(Summary::default(), |all, (_, part)| all.with(part));
    let mut failures: Vec<_> = parts.into_iter().flat_map(|(found, _)| found).collect();
    failures.sort_by_key(|(at, ..)| *at);
    let failures = failures.into_iter().map(|(_, schedule, violation)| (schedule, violation)).collect();
    Summary { took: begun.elapsed(), threads, failures, ..all }
}

impl Outcome {
    /// One run.
    fn summary(&self) -> Summary {
        Summary {
            runs: 1,
            played: self.played,
            reconciles: self.reconciles,
            longest_gap: self.longest_gap,
            most_rounds: self.most_rounds,
            ..Summary::default()
        }
    }
}

/// The same failure with as few faults as possible: those that it does not need are left out, one after the other.
pub fn shrink(schedule: &Schedule, options: &Options) -> Schedule {
    let fails_alike =
        |candidate: &Schedule, oracle: &str| run(candidate, options).violation.is_some_and(|violation| violation.oracle == oracle);
    let Some(violation) = run(schedule, options).violation else { return schedule.clone() };
    let mut smallest = schedule.clone();
    let mut at = 0;
    while at < smallest.faults.len() {
        let mut candidate = smallest.clone();
        candidate.faults.remove(at);
        if fails_alike(&candidate, violation.oracle) {
            smallest = candidate;
        } else {
            at += 1;
        }
    }
    smallest
}
