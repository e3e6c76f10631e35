//! `cargo xtask bench start`: how long the operator takes from its start until it is ready, by what it logs itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::performance;
use crate::cache::Cache;
use crate::cluster::Cluster;
use crate::deploy::{NAMESPACE, Site};
use crate::images::operator;
use crate::preflight;
use crate::run::{self, output, say, until};

/// From the start of the process to its modules being loaded: what the project promises, beside the caches' sync.
const WANTED: u64 = 1_000;

/// Milliseconds from the start of a process.
#[derive(Clone, Copy, Debug)]
struct Start {
    modules: u64,
    leading: u64,
    ready: u64,
}

/// Starts the operator's pod anew `runs` times and writes a section of `docs/performance.md`.
///
/// # Errors
/// When something is missing, doesn't build, or takes longer than wanted.
pub(crate) fn start(cache: &Cache, cluster: &Cluster, runs: usize) -> Result<()> {
    preflight::demand("the cluster of the measurements", &preflight::for_cluster(), "")?;
    let image = operator::build(cache)?;
    let found = cluster.running();
    cluster.up()?;
    let outcome = (|| {
        cluster.load(&[&image])?;
        let site = Site::Ours(cluster.clone());
        site.install(image.name(), &cluster.logs().join("helm.log"))?;
        (0..runs).map(|_| again(&site)).collect::<Result<Vec<_>>>()
    })();
    if found {
        say(format_args!("cluster {} ran before, so it stays", cluster.name()));
    } else {
        run::forget_interruption();
        cluster.down()?;
    }
    let starts = outcome?;
    let of = |what: fn(&Start) -> u64| {
        let mut times: Vec<u64> = starts.iter().map(what).collect();
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() - 1])
    };
    let (modules, leading, ready) = (of(|s| s.modules), of(|s| s.leading), of(|s| s.ready));
    let row = |what: &str, (median, worst): (u64, u64)| format!("| {what} | {median} | {worst} |");
    let text = [
        format!("{runs} new pods, each with an empty cache; the machine code of the modules is in the image. Milliseconds from the start of the process."),
        String::new(),
        "| until | median | worst |".to_owned(),
        "|---|---|---|".to_owned(),
        row("all modules are loaded, and may run", modules),
        row("it leads", leading),
        row("every kind is watched, and it is ready", ready),
    ]
    .join("\n");
    println!("{text}");
    performance::write("From start to ready", &format!("cargo xtask bench start --runs {runs}"), &text)?;
    ensure!(modules.1 < WANTED, "it took up to {} ms to load the modules, less than {WANTED} is wanted", modules.1);
    Ok(())
}

/// Replaces the pod, and reads when its successor was how far.
fn again(site: &Site) -> Result<Start> {
    let kubectl = |arguments: &[&str]| -> Result<String> { output(site.kubectl()?.args(["--namespace", NAMESPACE]).args(arguments)) };
    const SELECTOR: &str = "app.kubernetes.io/name=doltdb-operator";
    // The kubelet ends a pod late that it has only just started, and this is about the successor.
    until("the operator has led for a while", Duration::from_secs(60), Duration::from_millis(200), || {
        let leases = site.json(&["get", "leases", "--namespace", NAMESPACE])?;
        let lease = &leases["items"][0]["spec"];
        ensure!(lease["holderIdentity"].is_string() && lease["renewTime"] != lease["acquireTime"], "its lease is {lease}");
        Ok(())
    })?;
    kubectl(&["delete", "pod", "--selector", SELECTOR, "--wait"])?;
    kubectl(&["rollout", "status", "deployment/doltdb-operator", "--timeout", "60s"])?;
    until("the operator says that it is ready", Duration::from_secs(30), Duration::from_millis(200), || {
        let log = kubectl(&["logs", "--selector", SELECTOR, "--tail", "-1"])?;
        let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let at = |message: &str| {
            let line = lines.iter().find(|line| line["message"] == message);
            line.and_then(|line| line["ms"].as_u64()).with_context(|| format!("it has not said {message:?} yet"))
        };
        Ok(Start { modules: at("modules are loaded")?, leading: at("leading")?, ready: at("ready")? })
    })
}
