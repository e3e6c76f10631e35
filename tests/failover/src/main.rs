//! Plays the scenarios and writes down what came of them. `cargo xtask bench failover` starts it inside of a cluster.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use e2e::{Cluster, ended, in_namespace, say};
use failover::{
    Measured, Run, Scenario,
    document::{About, page, random_page, row},
    fault, random,
};

/// What to measure.
#[derive(Parser)]
struct Arguments {
    /// Runs of each scenario; 0 plays none
    #[arg(long, default_value_t = 5)]
    runs: u32,
    /// Only these
    #[arg(long, value_enum)]
    scenario: Vec<Scenario>,
    /// Random faults for so long, as 90s, 30m or 2h
    #[arg(long, value_parser = time, value_name = "TIME")]
    random: Option<Duration>,
    /// Which random faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The page, which is written when every scenario was played; that of random faults is written beside it
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// The command to tell readers
    #[arg(long, default_value = "cargo xtask bench failover")]
    command: String,
    /// The commit that was measured
    #[arg(long, default_value = "unknown")]
    commit: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    ended(measure(&Arguments::parse()).await)
}

/// Whether everything was as wanted.
async fn measure(arguments: &Arguments) -> Result<bool> {
    let cluster = Cluster::connect().await?;
    let about = about(&cluster, arguments).await?;
    // An earlier run may have ended in the middle.
    fault::heal().await?;
    let scenarios = if arguments.scenario.is_empty() { Scenario::ALL.to_vec() } else { arguments.scenario.clone() };
    let mut measured = Vec::new();
    for scenario in scenarios {
        let mut runs = Vec::new();
        for round in 0..arguments.runs {
            let run = scenario.play(round).await.with_context(|| format!("{scenario}, run {}", round + 1))?;
            say(told(scenario, round, &run));
            runs.push(run);
        }
        measured.push(Measured { scenario, runs });
    }
    let random = match arguments.random {
        Some(time) => Some(play_random(time, arguments.seed).await?),
        None => None,
    };
    if arguments.runs > 0 {
        say("");
        measured.iter().for_each(|measured| say(row(measured)));
    }
    if let Some(run) = &random {
        say(format_args!("random faults: {}", run.summary()));
        run.wrong.iter().for_each(say);
    }
    let complete =
        arguments.runs > 0 && Scenario::ALL.iter().all(|scenario| measured.iter().any(|measured| measured.scenario == *scenario));
    match &arguments.document {
        Some(file) if complete => written(file, &page(&about, &measured))?,
        Some(_) => say("not every scenario was played, so the page stays as it is"),
        None => {}
    }
    if let (Some(file), Some(run)) = (&arguments.document, &random) {
        written(&file.with_file_name("random-faults.md"), &random_page(&about, run))?;
    }
    let survived = random.is_none_or(|run| run.wrong.is_empty() && run.count(|verdict| verdict.lost.len()) == 0);
    Ok(survived && measured.iter().all(|measured| measured.missed().is_empty()))
}

fn written(file: &Path, page: &str) -> Result<()> {
    fs::write(file, page).with_context(|| format!("write {}", file.display()))?;
    say(format_args!("written: {}", file.display()));
    Ok(())
}

async fn play_random(time: Duration, seed: u64) -> Result<Run> {
    let mut outcome = None;
    in_namespace("random", async |namespace| {
        outcome = Some(random::play(namespace, time, seed).await?);
        Ok(())
    })
    .await?;
    outcome.context("the random faults had no outcome")
}

/// A run in one paragraph.
fn told(scenario: Scenario, round: u32, run: &Run) -> String {
    let gap =
        run.gap.as_ref().map_or_else(|| "no gap".to_owned(), |gap| format!("gap {:.3} s {:?}", gap.length().as_secs_f64(), gap.heard));
    let mut told = format!("{scenario} {}: {gap}; {}", round + 1, run.summary());
    for line in run.notes.iter().chain(&scenario.missed(run, scenario.target().gap)) {
        told.push_str("\n    ");
        told.push_str(line);
    }
    told
}

async fn about(cluster: &Cluster, arguments: &Arguments) -> Result<About> {
    let kubernetes = cluster.version().await?;
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory: u64 = memory.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let versions = vec![("Kubernetes", kubernetes), ("Dolt", e2e::engine_version()), ("Operator", arguments.commit.clone())];
    let machine = format!("{processors} processors, {} GiB, one node with everything on it", memory.div_ceil(1 << 20));
    Ok(About { command: arguments.command.clone(), machine, versions })
}

fn time(text: &str) -> Result<Duration> {
    let (number, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
    let number: u64 = number.parse().context("begins with a whole number")?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => bail!("ends with s, m or h"),
    };
    Ok(Duration::from_secs(number * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(time("30m").unwrap(), Duration::from_secs(1800));
        assert_eq!(time("90s").unwrap(), Duration::from_secs(90));
        for wrong in ["", "30", "m", "1.5h", "3d"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
