//! `cargo xtask bench`: measurements of this checkout, most on a cluster, and the pages in `docs/` that they write.
//! Knows how a measuring program is started and what it is told, not what it measures.

pub(crate) mod performance;
pub(crate) mod start;

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::Cache;
use crate::cluster::Cluster;
use crate::deploy::Site;
use crate::images::operator;
use crate::run::{self, output, say};
use crate::{cargo, preflight, repo, test};

/// What was asked for on the command line.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// Runs of each scenario.
    pub(crate) runs: u32,
    /// Only these; none means all.
    pub(crate) scenarios: Vec<String>,
    /// Time for random faults, with its unit.
    pub(crate) random: Option<String>,
    /// Which random faults.
    pub(crate) seed: u64,
}

/// Measures failovers and writes `docs/failover.md`; random faults, and writes `docs/random-faults.md`.
///
/// # Errors
/// When something is missing, doesn't build, or a figure is not as wanted.
pub(crate) fn failover(cache: &Cache, cluster: &Cluster, wish: &Wish) -> Result<()> {
    let mut arguments = wish.arguments();
    arguments.extend(["--command".to_owned(), wish.typed()]);
    measure(cache, cluster, "failover", &arguments, "failover.md")
}

/// Measures many Users and Grants, so many of each, and writes a section of `docs/performance.md`.
///
/// # Errors
/// As [`failover`].
pub(crate) fn objects(cache: &Cache, cluster: &Cluster, count: u32) -> Result<()> {
    let typed = format!("cargo xtask bench objects --count {count}");
    let arguments = ["--count".to_owned(), count.to_string(), "--command".to_owned(), typed];
    measure(cache, cluster, "objects", &arguments, "performance.md")
}

/// Runs a measuring program on a cluster with the operator, which is started for it where it doesn't run.
fn measure(cache: &Cache, cluster: &Cluster, program_name: &str, arguments: &[String], page: &str) -> Result<()> {
    preflight::demand("the cluster of the measurements", &preflight::for_cluster(), "")?;
    say(format_args!("building the program {program_name}"));
    let program = cargo::program(cache, program_name)?;
    let image = operator::build(cache)?;
    let found = cluster.running();
    cluster.up()?;
    let outcome = (|| {
        cluster.load(&[&image])?;
        Site::Ours(cluster.clone()).install(image.name(), &cluster.logs().join("helm.log"))?;
        let mut bench = cluster.command(&program)?;
        test::tell(&mut bench, &image);
        bench.args(arguments).args(["--commit", &commit()?]);
        bench.arg("--document").arg(document(page)?);
        ensure!(run::status(&mut bench)?.success(), "not everything is as wanted; what is not stands above");
        Ok(())
    })();
    if found {
        say(format_args!("cluster {} ran before, so it stays", cluster.name()));
    } else {
        run::forget_interruption();
        cluster.down()?;
    }
    outcome
}

impl Wish {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--runs".to_owned(), self.runs.to_string()];
        arguments.extend(self.scenarios.iter().flat_map(|scenario| ["--scenario".to_owned(), scenario.clone()]));
        if let Some(time) = &self.random {
            arguments.extend(["--random".to_owned(), time.clone(), "--seed".to_owned(), self.seed.to_string()]);
        }
        arguments
    }

    /// What somebody has to type to measure the same again.
    fn typed(&self) -> String {
        format!("cargo xtask bench failover {}", self.arguments().join(" "))
    }
}

/// The commit of this checkout, and whether it is all that was measured.
fn commit() -> Result<String> {
    let git = |arguments: &[&str]| output(Command::new("git").current_dir(repo::root()).args(arguments));
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).context("which commit this is")?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.trim().is_empty();
    Ok(format!("{}{}", commit.trim(), if changed { " with changes" } else { "" }))
}

fn document(name: &str) -> Result<std::path::PathBuf> {
    let folder = repo::path("docs");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let Ok(folder) = folder.canonicalize() else { bail!("{} is no folder", folder.display()) };
    Ok(folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_should_type_is_what_was_done() {
        let wish = Wish { runs: 2, scenarios: vec!["kill".into(), "scale".into()], random: Some("30m".into()), seed: 7 };
        assert_eq!(wish.typed(), "cargo xtask bench failover --runs 2 --scenario kill --scenario scale --random 30m --seed 7");
        assert_eq!(Wish { runs: 5, ..Wish::default() }.typed(), "cargo xtask bench failover --runs 5");
    }
}
