//! Applies many Users and Grants at once, takes the time until all are ready, and then what the operator needs for them at rest.
//! `cargo xtask bench objects` starts it inside of a cluster.

mod document;

use std::{fs, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use e2e::{
    Cluster, MINUTE, Namespace, Operator, condition, credentials, ended, grant, in_namespace, password, replicated, say, seconds, user,
    wait_for,
};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// Requests to the API server at a time.
const AT_ONCE: usize = 32;
/// How long the operator's CPU is measured. Each object is looked at twice in it.
const REST: Duration = Duration::from_secs(60);
/// What the Go operator took for 200 Users and 200 Grants, from their creation until all were ready, with one worker on a busy machine.
const ORIGINAL_READY: f64 = 78.0;
/// CPU time that it took in a minute for the same 400 at rest, in seconds.
const ORIGINAL_CPU: f64 = 6.0;

/// What to measure.
#[derive(Parser)]
struct Arguments {
    /// Users, and as many Grants
    #[arg(long, default_value_t = 200)]
    count: usize,
    /// The page whose section is written
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// The command to tell readers
    #[arg(long, default_value = "cargo xtask bench objects")]
    command: String,
    /// The commit that was measured
    #[arg(long, default_value = "unknown")]
    commit: String,
}

/// What came of it.
struct Measured {
    /// From the first request until the last object was ready.
    ready: Duration,
    /// From the first request until the last one was answered.
    applied: Duration,
    /// The operator's CPU time while nothing changed, for a minute.
    cpu: Duration,
    /// Statements that it wrote in that time.
    writes: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    ended(measure(&Arguments::parse()).await)
}

/// Whether everything was as wanted.
async fn measure(arguments: &Arguments) -> Result<bool> {
    let cluster = Cluster::connect().await?;
    let mut measured = None;
    in_namespace("objects", async |namespace| {
        measured = Some(play(namespace, arguments.count).await?);
        Ok(())
    })
    .await?;
    let measured = measured.context("nothing was measured")?;
    // The Go operator's figures are for 200 of each.
    let share = arguments.count as f64 / 200.0;
    let (ready, cpu) = (ORIGINAL_READY / 5.0 * share, ORIGINAL_CPU / 10.0 * share);
    let good = measured.ready.as_secs_f64() <= ready && measured.cpu.as_secs_f64() <= cpu && measured.writes == 0;
    let kubernetes = cluster.version().await?;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let section = format!(
        "## Many Users and Grants\n\n\
         Measured by `{}` at commit {}, on {processors} processors with everything on one node, Kubernetes {kubernetes}, Dolt {}. {} Users and as many\n\
         Grants were applied at once to a DoltDB of two servers; then nothing was changed for a minute. The Go operator took {ORIGINAL_READY} s and\n\
         {ORIGINAL_CPU} CPU-seconds a minute for 200 of each.\n\n\
         | | measured | wanted |\n|---|---:|---:|\n\
         | all Ready after | {:.1} s | ≤ {ready:.1} s |\n\
         | of it, all applied after | {:.1} s | – |\n\
         | CPU at rest, in a minute | {:.2} s | ≤ {cpu:.2} s |\n\
         | statements that write, at rest | {} | 0 |\n",
        arguments.command,
        arguments.commit,
        e2e::engine_version(),
        arguments.count,
        measured.ready.as_secs_f64(),
        measured.applied.as_secs_f64(),
        measured.cpu.as_secs_f64(),
        measured.writes,
    );
    say(&section);
    if let Some(file) = &arguments.document {
        let page = fs::read_to_string(file).ok();
        fs::write(file, document::with_section(page.as_deref(), &section)).with_context(|| format!("write {}", file.display()))?;
        say(format_args!("written: {}", file.display()));
    }
    Ok(good)
}

async fn play(namespace: &Namespace, count: usize) -> Result<Measured> {
    namespace.apply(&credentials("dolt")).await?;
    namespace.apply(&replicated("dolt")).await?;
    namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
    let secrets: Vec<Value> = (0..count).map(|n| password(&format!("user-{n}"), &format!("Password-{n}"))).collect();
    apply(namespace, &secrets).await?;
    let objects: Vec<Value> = (0..count)
        .flat_map(|n| {
            let name = format!("user-{n}");
            [user(&name, "dolt", &name, &name), grant(&name, "dolt", &name, &["SELECT", "INSERT"])]
        })
        .collect();

    let start = Instant::now();
    apply(namespace, &objects).await?;
    let applied = start.elapsed();
    wait_for("all Users and Grants are Ready", 4 * MINUTE, async || {
        for kind in ["User", "Grant"] {
            let objects = namespace.list(kind).await?;
            let ready = objects.iter().filter(|object| condition(object, "Ready").is_some_and(|ready| ready.status == "True")).count();
            ensure!(ready == count, "{ready} of {count} {kind}s are");
        }
        Ok(())
    })
    .await?;
    let ready = start.elapsed();

    let operator = Operator::of(&namespace.cluster);
    let admin = operator.admin().await?;
    let written = async || writes(&admin.ask("/metrics").await?);
    // What the last round of each object noted comes to rest first: from then on nothing is written.
    let mut before = written().await?;
    wait_for("no statement is written any more", 2 * MINUTE, async || {
        let last = std::mem::replace(&mut before, written().await?);
        sleep(seconds(5)).await;
        ensure!(last == before && written().await? == before, "{before} were written and more come");
        Ok(())
    })
    .await?;
    let used = operator.cpu().await?;
    sleep(REST).await;
    let cpu = operator.cpu().await?.saturating_sub(used);
    Ok(Measured { ready, applied, cpu, writes: written().await? - before })
}

async fn apply(namespace: &Namespace, objects: &[Value]) -> Result<()> {
    stream::iter(objects).map(|object| namespace.apply(object)).buffer_unordered(AT_ONCE).try_for_each(async |_| Ok(())).await
}

/// Executions of statements that write, so far, by the operator's own count.
fn writes(metrics: &str) -> Result<u64> {
    let lines = metrics.lines().filter(|line| line.contains("effects_total{") && line.contains("effect=\"sql\""));
    lines.map(|line| Ok(line.rsplit(' ').next().context("a line without a value")?.parse::<f64>()? as u64)).sum()
}
