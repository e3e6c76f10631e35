//! A whole reconcile of a DoltDB: with a fresh instance of the component, and the same code compiled natively, by turns in one run, so that
//! whatever else the machine does falls on both alike.

use std::{path::Path, time::Instant};

use anyhow::{Result, ensure};
use contract::components::root;
use doltdb::DoltDBReconciler;
use host::{runtime::Runtime, settings::Limits};
use sdk::Reconciler;

use crate::{Report, past};

/// Cases of the reconciler's tests, by what they are about.
const CASES: [(&str, &str); 2] = [
    ("a new cluster", "a_new_cluster_gets_all_its_children"),
    ("a steady cluster of two", "a_steady_cluster_hears_nothing_new_and_reads_no_clock"),
];
/// As often at most as the native code, by the median.
const RATIO: f64 = 2.0;
/// At the 99th percentile, in microseconds.
const P99: f64 = 1_000.0;

pub(crate) async fn measure(modules: &Path, runs: usize) -> Result<Report> {
    let runtime = Runtime::new(&Limits::default())?;
    let folder = tempfile::tempdir()?;
    let guest = past::load(&runtime, &past::component(modules, "doltdb")?, &folder.path().join("code.cwasm"))?;
    let mut report = Report::default();
    report.line(
        "| reconcile of | reads | natively, µs (least, median, p99) | as a component, µs (least, median, p99) | ratio of least, median |",
    );
    report.line("|---|---|---|---|---|");
    for (what, case) in CASES {
        let case = root().join(format!("guests/doltdb/tests/cases/{case}.yaml"));
        let past = past::Past::of(&case, "doltdb", &guest).await?;
        let (mut native, mut component) = (Vec::with_capacity(runs), Vec::with_capacity(runs));
        for run in 0..runs + runs / 10 {
            let world = past.world();
            let started = Instant::now();
            let plan = DoltDBReconciler::reconcile(&world, &past.native_request);
            let took = started.elapsed();
            ensure!(plan.is_ok(), "the native code cannot decide");
            let gateway = past.gateway();
            let started = Instant::now();
            let plan = guest.reconcile(&past.subject, gateway, &past.request).await?;
            let took_component = started.elapsed();
            ensure!(plan.is_ok(), "the component cannot decide");
            // The first ones find nothing in any cache.
            if run >= runs / 10 {
                native.push(took.as_secs_f64() * 1e6);
                component.push(took_component.as_secs_f64() * 1e6);
            }
        }
        let (native, component) = (Times::of(native), Times::of(component));
        let (least, median) = (component.least / native.least, component.median / native.median);
        report.line(format!("| {what} | {} | {native} | {component} | {least:.2}, {median:.2} |", past.reads.len()));
        report.want(median <= RATIO, || format!("{what}: a component takes {median:.2} times as long, {RATIO} is wanted"));
        report.want(component.p99 < P99, || format!("{what}: the 99th percentile is {:.0} µs, {P99} is wanted", component.p99));
    }
    Ok(report)
}

struct Times {
    least: f64,
    median: f64,
    p99: f64,
}

impl Times {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self { least: times[0], median: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.0}, {:.0}, {:.0}", self.least, self.median, self.p99)
    }
}
