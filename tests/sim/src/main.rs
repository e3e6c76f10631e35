//! `cargo xtask sim`: plays schedules and says what did not hold.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use sim::{Mutant, Options, Scenario, Schedule, Summary, each_effect, each_field, each_pair, explore, run, shrink};

/// The operator in a simulated cluster: scenarios with faults in virtual time.
#[derive(Parser)]
#[command(name = "sim", bin_name = "cargo xtask sim", max_term_width = 120)]
struct Arguments {
    /// What is played; all scenarios if not given
    #[arg(long, value_enum)]
    scenario: Vec<Scenario>,
    /// The seed, or the first of several
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many seeds, each with faults of its own
    #[arg(long, value_name = "SEEDS")]
    random: Option<u64>,
    /// One fault of each kind at each effect
    #[arg(long, conflicts_with = "random")]
    each_effect: bool,
    /// Two faults at each pair of effects, of a few kinds
    #[arg(long, conflicts_with_all = ["random", "each_effect"])]
    each_pair: bool,
    /// Each field of the specs, changed and changed back
    #[arg(long, conflicts_with_all = ["scenario", "seed", "random", "each_effect", "each_pair"])]
    each_field: bool,
    /// A schedule from a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["random", "each_effect", "each_pair", "each_field"])]
    case: Option<PathBuf>,
    /// Show what happens
    #[arg(long)]
    trace: bool,
    /// Make this mistake
    #[arg(long, value_enum)]
    mutant: Option<Mutant>,
    /// Play with the components in the folder MODULES_DIR, not with native code
    #[arg(long)]
    components: bool,
    /// Show at most so many failures
    #[arg(long, default_value_t = 3)]
    failures: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options { trace: false, mutant: arguments.mutant, components: arguments.components };
    let scenarios = if arguments.scenario.is_empty() { Scenario::all() } else { &arguments.scenario };
    if let Some(file) = &arguments.case {
        return match read(file) {
            Ok(schedule) => code(&show(&[schedule], &arguments, &options)),
            Err(why) => {
                eprintln!("error: {}: {why}", file.display());
                ExitCode::FAILURE
            }
        };
    }
    if arguments.each_field {
        return code(&show(&each_field(), &arguments, &options));
    }
    let (mut all, mut failed) = (Summary::default(), 0);
    for scenario in scenarios {
        let schedules: Vec<Schedule> = match arguments.random {
            Some(seeds) => (arguments.seed..arguments.seed + seeds).map(|seed| Schedule::random(*scenario, seed)).collect(),
            None if arguments.each_pair => each_pair(*scenario, arguments.seed, &options),
            None if arguments.each_effect => each_effect(*scenario, arguments.seed, &options),
            None => vec![Schedule::quiet(*scenario, arguments.seed)],
        };
        let summary = show(&schedules, &arguments, &options);
        failed += summary.failures.len();
        all = all.with(&summary);
    }
    if scenarios.len() > 1 {
        println!("all: {} runs in {:.1} s ({}), {failed} failed", all.runs, all.took.as_secs_f64(), all.rate());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn code(summary: &Summary) -> ExitCode {
    if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(file: &PathBuf) -> Result<Schedule, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    serde_saphyr::from_str(&text).map_err(|error| error.to_string())
}

fn show(schedules: &[Schedule], arguments: &Arguments, options: &Options) -> Summary {
    if let ([schedule], true) = (schedules, arguments.trace) {
        run(schedule, &Options { trace: true, ..*options }).trace.iter().for_each(|line| println!("{line}"));
    }
    let summary = explore(schedules, options);
    let Summary { runs, took, failures, longest_gap, most_rounds, .. } = &summary;
    let name = schedules.first().map(|schedule| format!("{:?}", schedule.scenario)).unwrap_or_default();
    println!(
        "{name}: {runs} runs in {:.1} s ({}), {} failed; longest time without an acknowledged write {:.1} s, at most {most_rounds} rounds a minute",
        took.as_secs_f64(),
        summary.rate(),
        failures.len(),
        *longest_gap as f64 / 1_000.0
    );
    for (schedule, violation) in failures.iter().take(arguments.failures) {
        let smallest = shrink(schedule, options);
        println!("\n{}: {}\n{}", violation.oracle, violation.message, serde_saphyr::to_string(&smallest).unwrap_or_default());
        if arguments.trace {
            run(&smallest, &Options { trace: true, ..*options }).trace.iter().for_each(|line| println!("{line}"));
        }
    }
    summary
}
