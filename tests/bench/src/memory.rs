//! Resident memory of a host: for each module that is loaded, with 1,000 reconciles at once, and after 1,000 swaps. Modules are compiled in a
//! child, as in the operator.

use std::{fs, path::Path, sync::Arc, time::Duration, time::Instant};

use anyhow::{Context, Result, ensure};
use contract::components::root;
use host::{
    module::{Admission, Compiler, Modules, Parcel, Source},
    runtime::Runtime,
    settings::Settings,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{Report, past};

/// Modules at rest.
const MODULES: usize = 50;
/// Of each, in MiB.
const AT_REST: f64 = 0.5;
/// Reconciles at once.
const AT_ONCE: usize = 1_000;
/// Swaps, and after how many memory counts as settled.
const SWAPS: usize = 1_000;
const SETTLED: usize = 100;
/// What may have been added by the rest of the swaps, in MiB.
const GROWTH: f64 = 4.0;

/// Resident memory of this process in MiB: now, and at its highest.
fn resident() -> Result<(f64, f64)> {
    let status = fs::read_to_string("/proc/self/status")?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>().ok()
    };
    Ok((of("VmRSS").context("no VmRSS")? / 1024.0, of("VmHWM").context("no VmHWM")? / 1024.0))
}

const VALUES: &str = include_str!("../../../charts/doltdb-operator/values.yaml");

/// Settings that let the shipped module of DoltDB run: its slot is the chart's.
fn settings(folder: &Path) -> Result<Settings> {
    let values: Value = serde_saphyr::from_str(VALUES).context("the chart's values are no YAML")?;
    let mut slot = values["reconcilers"]["doltdb"].clone();
    slot["settings"] = json!({"clusterDomain": "cluster.local", "resyncSeconds": 30});
    Ok(serde_json::from_value(json!({
        "product": "bench",
        "domain": "example.com",
        "modules": {"folder": folder.join("modules"), "cache": folder.join("cache"), "signatures": {"mode": "off"}},
        "reconcilers": {"doltdb": slot},
    }))?)
}

/// The same module with another version: what is published as `@` and a version is the contract's.
fn variant(wasm: &[u8], version: &str) -> Result<Vec<u8>> {
    let own = env!("CARGO_PKG_VERSION").as_bytes();
    let at = (1..wasm.len()).find(|at| wasm[*at..].starts_with(own) && wasm[at - 1] != b'@').context("its version is not found")?;
    let mut variant = wasm.to_vec();
    variant[at..at + own.len()].copy_from_slice(version.as_bytes());
    Ok(variant)
}

pub(crate) async fn measure(modules: &Path) -> Result<Report> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("modules"))?;
    let wasm = past::component(modules, "doltdb")?;
    fs::write(folder.path().join("modules/doltdb.wasm"), &wasm)?;
    let settings = settings(folder.path())?;
    let runtime = Arc::new(Runtime::new(&settings.limits)?);
    let compiler = Compiler::new(std::env::current_exe()?, ["compile"]);
    let admission = Admission::new(&settings, runtime.clone(), compiler)?;
    let table = Modules::load(&admission).await;
    let active = table.active("doltdb").with_context(|| table.refused("doltdb").unwrap_or_default())?;
    let case = root().join("guests/doltdb/tests/cases/a_steady_cluster_hears_nothing_new_and_reads_no_clock.yaml");
    let past = Arc::new(past::Past::of(&case, "doltdb", &active.guest).await?);
    let mut report = Report::default();

    // Each from a file of its own, as different modules are: pages of one file would be shared.
    let code =
        fs::read_dir(&settings.modules.cache)?.flatten().map(|entry| entry.path()).find(|p| p.extension().is_some_and(|e| e == "cwasm"));
    let code = code.context("there is no machine code")?;
    let mut guests = Vec::new();
    for number in 0..MODULES {
        let file = folder.path().join(format!("{number}.cwasm"));
        fs::copy(&code, &file)?;
        guests.push(file);
    }
    let (before, _) = resident()?;
    let guests = guests.iter().map(|file| runtime.load(file)).collect::<Result<Vec<_>, _>>()?;
    let (loaded, _) = resident()?;
    for guest in &guests {
        guest.describe().await?;
    }
    let (described, _) = resident()?;
    let each = (loaded - before) / MODULES as f64;
    report.line(format!(
        "- A module at rest: {each:.2} MiB resident ({MODULES} of {} KiB each, loaded from files of their own; {:.2} MiB once they have \
         described themselves).",
        wasm.len() / 1024,
        (described - before) / MODULES as f64
    ));
    report.want(each < AT_REST, || format!("a module at rest costs {each:.2} MiB, less than {AT_REST} is wanted"));
    drop(guests);

    let (before, _) = resident()?;
    let started = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (past, guest) = (past.clone(), active.guest.clone());
        calls.spawn(async move {
            let gateway = Arc::new(past::Slow(past.gateway(), Duration::from_millis(20)));
            guest.reconcile(&past.subject, gateway, &past.request).await.is_ok_and(|answer| answer.is_ok())
        });
    }
    let well = calls.join_all().await.into_iter().filter(|well| *well).count();
    let (_, highest) = resident()?;
    report.line(format!(
        "- {AT_ONCE} reconciles at once, each of {} reads of 20 ms: {well} ended well after {:.1} s, with {highest:.0} MiB resident at most \
         ({before:.0} before).",
        past.reads.len(),
        started.elapsed().as_secs_f64()
    ));
    report.want(well == AT_ONCE, || format!("of {AT_ONCE} reconciles at once {well} ended well"));

    let (mut settled, mut after) = (0.0, 0.0);
    let variants = [variant(&wasm, "8.8.8")?, variant(&wasm, "9.9.9")?];
    for swap in 1..=SWAPS {
        let parcel = Parcel { bytes: variants[swap % 2].as_slice().into(), announced: None, signature: None };
        let module = admission.from_outside("doltdb", Source::ConfigMap { name: "m".into() }, &parcel).await?;
        let active = table.promote("doltdb", Some(&module)).context("it is active")?;
        let answer = active.guest.reconcile(&past.subject, past.gateway(), &past.request).await?;
        ensure!(answer.is_ok(), "the module cannot decide");
        if swap == SETTLED {
            settled = resident()?.0;
        }
        after = resident()?.0;
    }
    report.line(format!("- {SWAPS} swaps, a reconcile after each: {settled:.1} MiB resident after {SETTLED}, {after:.1} after {SWAPS}."));
    report.want(after - settled < GROWTH, || format!("{SWAPS} swaps have cost {:.1} MiB, less than {GROWTH} is wanted", after - settled));
    Ok(report)
}
