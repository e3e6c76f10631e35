//! `docs/performance.md`: a section for each measurement, which alone is written anew by it, and on which machine it was made.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{commit, document};
use crate::cache::Cache;
use crate::run::{output, say};
use crate::{cargo, guests, preflight};

/// Measures a reconcile as a component against the same code natively.
///
/// # Errors
/// When something doesn't build, or a figure is not as wanted.
pub(crate) fn reconcile(cache: &Cache, runs: usize) -> Result<()> {
    let title = "A whole reconcile, as a component and natively";
    without_cluster(cache, title, &["reconcile", "--runs", &runs.to_string()])
}

/// Measures the memory of modules at rest, of many reconciles at once, and of many swaps.
///
/// # Errors
/// As [`reconcile`].
pub(crate) fn memory(cache: &Cache) -> Result<()> {
    without_cluster(cache, "Memory of the host", &["memory"])
}

fn without_cluster(cache: &Cache, title: &str, arguments: &[&str]) -> Result<()> {
    preflight::demand("building the guests", &preflight::for_guests(), "")?;
    let modules = guests::build(cache)?;
    say("building the program bench");
    let program = cargo::program(cache, "bench")?;
    let mut bench = Command::new(program);
    bench.args(arguments).arg("--modules").arg(&modules);
    // As when it is used: without the tests' interest in everything.
    let measured = bench.output().context("start the measuring program")?;
    let text = String::from_utf8_lossy(&measured.stdout);
    println!("{text}");
    let complaints = String::from_utf8_lossy(&measured.stderr);
    // One that misses a target has figures all the same.
    ensure!(!text.trim().is_empty(), "nothing was measured: {}", complaints.trim());
    write(title, &format!("cargo xtask bench {}", arguments.join(" ")), text.trim())?;
    ensure!(measured.status.success(), "{}", complaints.trim());
    Ok(())
}

/// Writes a section of the page, in the place of the one of the same title.
///
/// # Errors
/// When it can't be written.
pub(super) fn write(title: &str, command: &str, text: &str) -> Result<()> {
    let page = document("performance.md")?;
    let old = fs::read_to_string(&page).unwrap_or_else(|_| HEAD.to_owned());
    let text = format!("`{command}` at commit {}, on {}:\n\n{text}", commit()?, machine());
    fs::write(&page, with_section(&old, title, &text)).with_context(|| format!("write {}", page.display()))?;
    say(format_args!("{} is written", page.display()));
    Ok(())
}

const HEAD: &str =
    "# Performance\n\nFigures that a command has measured and written here; each section names it. They are not edited by hand.\n";

/// The page with this section in the place of the one before, or at its end. Each measurement keeps to what stands between its own marks.
fn with_section(page: &str, title: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- begin: {title} -->\n"), format!("<!-- end: {title} -->\n"));
    let section = format!("{begin}## {title}\n\n{text}\n{end}");
    let parted = page.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    match parted {
        Some((before, after)) => format!("{before}{section}{after}"),
        None => format!("{}\n\n{section}", page.trim_end()),
    }
}

/// Processor, cores, memory, kernel, and how busy the machine was.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "an unknown processor".into());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field(&read("/proc/meminfo"), "MemTotal").and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0);
    let kernel = output(Command::new("uname").arg("-r")).unwrap_or_default();
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    format!("{processor}, {cores} cores, {} GiB, Linux {}, load {load}", memory >> 20, kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_others_stay() {
        let page = with_section(HEAD, "One", "1");
        let page = with_section(&page, "Two", "2");
        let changed = with_section(&page, "One", "3");
        assert_eq!(changed, page.replace("\n1\n", "\n3\n"));
        assert_eq!(with_section(&changed, "Two", "2"), changed);
    }
}
