//! The checks that need no test run: format, lints, licenses, charts, generated files.

use std::process::Command;

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::run::{run, say};
use crate::tools::{debian::find, programs};
use crate::{cargo, crds, preflight, repo};

/// Runs every check, also after one has failed, and says which failed and which were skipped.
///
/// # Errors
/// When a check fails.
pub(crate) fn lint(cache: &Cache) -> Result<()> {
    let mut failed = Vec::new();
    let mut skipped = Vec::new();
    let mut check = |name: &'static str, check: &mut dyn FnMut() -> Result<Option<String>>| -> Result<()> {
        say(format_args!("lint: {name}"));
        match check() {
            Ok(None) => {}
            Ok(Some(reason)) => skipped.push(format!("{name} ({reason})")),
            Err(error) if crate::run::interrupted() => return Err(error),
            Err(error) => {
                say(format_args!("{error:#}"));
                failed.push(name);
            }
        }
        Ok(())
    };
    check("format", &mut || run(cargo::plain().args(["fmt", "--all", "--check"])).map(|()| None))?;
    check("clippy", &mut || {
        run(cargo::product(cache).args(["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"])).map(|()| None)
    })?;
    check("generated CRDs", &mut || crds::generate(cache, true).map(|()| None))?;
    check("cargo-deny", &mut || {
        if find("cargo-deny").is_none() && run_silently("cargo-deny").is_err() {
            return Ok(Some("not installed: `cargo install cargo-deny`".into()));
        }
        run(cargo::plain().args(["deny", "--all-features", "check"])).map(|()| None)
    })?;
    check("charts", &mut || {
        if let Some(missing) = preflight::for_programs().first() {
            return Ok(Some(missing.to_string()));
        }
        let helm = programs::helm(cache)?.join("helm");
        for chart in charts()? {
            run(Command::new(&helm).args(["lint", "--quiet"]).arg(chart))?;
        }
        Ok(None)
    })?;
    for reason in &skipped {
        say(format_args!("lint: skipped {reason}"));
    }
    if failed.is_empty() {
        say("lint: all well");
        return Ok(());
    }
    bail!("lint failed: {}", failed.join(", "))
}

fn run_silently(program: &str) -> Result<String> {
    crate::run::output(Command::new(program).arg("--version"))
}

/// Every chart of the checkout.
fn charts() -> Result<Vec<std::path::PathBuf>> {
    let mut charts = Vec::new();
    for entry in std::fs::read_dir(repo::path("charts"))? {
        let chart = entry?.path();
        if chart.join("Chart.yaml").exists() {
            charts.push(chart);
        }
    }
    charts.sort();
    Ok(charts)
}
