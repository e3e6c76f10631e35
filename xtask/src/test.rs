//! `cargo xtask test`: guests, then every test that needs no cluster, then the end-to-end tests on a cluster of their own.
//! Knows how tests are found and what they are given, not what they prove.
//!
//! Tests are given these variables: `MODULES_DIR` (folder of the guests' components), `DOLT_BIN` (a Dolt 1.83.2), `REGISTRY_BIN` and `HELM`.
//! End-to-end tests run inside the cluster, so its addresses and names are theirs, with `kubectl`, `helm`, `dolt` and `iptables`
//! on `PATH`, and also: `KUBECONFIG`, `OPERATOR_BIN_DIR`, `DOLT_IMAGE`, `OPERATOR_IMAGE`, `OPERATOR_NAMESPACE`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::cache::Cache;
use crate::cluster::Cluster;
use crate::deploy::{NAMESPACE, Site};
use crate::images::{Image, base, operator};
use crate::run::{self, output, say};
use crate::tools::programs;
use crate::{cargo, guests, preflight};

/// What was asked for on the command line.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// Leave the end-to-end tests out.
    pub(crate) no_cluster: bool,
    /// Leave out what needs none.
    pub(crate) end_to_end: bool,
    /// Leave the cluster up afterwards.
    pub(crate) keep: bool,
    /// Only tests whose name contains this.
    pub(crate) filter: Vec<String>,
    /// End-to-end tests at a time.
    pub(crate) threads: u32,
}

/// What one part of the tests came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

/// All parts.
#[derive(Debug, Default)]
struct Tally {
    parts: Vec<(&'static str, Count)>,
    failures: Vec<String>,
    skipped: Vec<String>,
    /// End-to-end tests that failed and then passed alone.
    unsteady: Vec<String>,
}

/// Runs the tests and prints one line that sums them up.
///
/// # Errors
/// When something is missing or a test fails.
pub(crate) fn test(cache: &Cache, cluster: &Cluster, wish: &Wish) -> Result<()> {
    let started = Instant::now();
    preflight::demand("building the guests", &preflight::for_guests(), "")?;
    if !wish.no_cluster {
        let hint = "Everything that needs no cluster: cargo xtask test --no-cluster";
        preflight::demand("the tests' cluster", &preflight::for_cluster(), hint)?;
    }
    let mut tally = Tally::default();
    let outcome = parts(cache, cluster, wish, &mut tally);
    println!("{}", tally.line(started.elapsed().as_secs()));
    outcome?;
    if tally.failures.is_empty() { Ok(()) } else { bail!("failed: {}", tally.failures.join(", ")) }
}

fn parts(cache: &Cache, cluster: &Cluster, wish: &Wish, tally: &mut Tally) -> Result<()> {
    let modules = guests::build(cache)?;
    if wish.end_to_end {
        tally.skipped.push("what needs no cluster (--end-to-end)".to_owned());
    } else {
        without_cluster(cache, wish, &modules, tally)?;
    }
    if wish.no_cluster {
        tally.skipped.push("end to end (--no-cluster)".to_owned());
        return Ok(());
    }
    let binaries = end_to_end_binaries(cache)?;
    let outcome = end_to_end(cache, wish, cluster, &binaries, &modules, tally);
    if outcome.is_err() || tally.failures.iter().any(|part| part == END_TO_END) {
        // Also after an interruption: what was seen until then is worth as much.
        run::forget_interruption();
        say(format_args!("what the cluster looked like: {}", dump(cache, cluster).display()));
    }
    if wish.keep {
        say(format_args!("the cluster stays: cargo xtask cluster --name {} status", cluster.name()));
    } else {
        run::forget_interruption();
        cluster.down()?;
    }
    outcome
}

fn without_cluster(cache: &Cache, wish: &Wish, modules: &Path, tally: &mut Tally) -> Result<()> {
    let tools = match preflight::for_programs().first() {
        None => {
            let program = |folder: PathBuf, name: &str| folder.join(name);
            let registry = program(programs::registry(cache)?, "registry");
            Some((program(programs::dolt(cache)?, "dolt"), program(programs::helm(cache)?, "helm"), registry))
        }
        Some(missing) => {
            tally.skipped.push(format!("{}, which need a Dolt server, a registry or helm ({missing})", NEED_TOOLS.join(" and ")));
            None
        }
    };
    let filter = wish.filter.iter().map(String::as_str).collect::<Vec<_>>();

    say("tests of the commands");
    let mut commands = cargo::plain();
    commands.args(["test", "--quiet", "--package", "xtask", "--"]).args(&filter);
    tally.part("commands", &mut commands)?;

    say("tests that need no cluster");
    let mut units = cargo::product(cache);
    units.args(["test", "--release", "--workspace", "--exclude", "e2e", "--exclude", "xtask"]);
    match &tools {
        Some((dolt, helm, registry)) => units.env("DOLT_BIN", dolt).env("HELM", helm).env("REGISTRY_BIN", registry),
        None => units.args(NEED_TOOLS.iter().flat_map(|package| ["--exclude", package])),
    };
    if is_without_pip() {
        tally.skipped.push("the example in Python, and a backup to S3 (python3 with pip: apt-get install python3-pip)".to_owned());
        units.env("WITHOUT_PIP", "1");
    }
    units.args(["--no-fail-fast", "--"]).args(&filter).env("MODULES_DIR", modules).env("XTASK", std::env::current_exe()?);
    tally.part("no cluster", &mut units)
}

fn is_without_pip() -> bool {
    output(Command::new("python3").args(["-m", "pip", "--version"])).is_err()
}

/// The packages whose tests need a program that is built from Go modules: one starts Dolt servers, one renders the chart and starts a registry.
const NEED_TOOLS: [&str; 2] = ["sql-tests", "doltdb-operator"];

const END_TO_END: &str = "end to end";

fn end_to_end(cache: &Cache, wish: &Wish, cluster: &Cluster, binaries: &[PathBuf], modules: &Path, tally: &mut Tally) -> Result<()> {
    // Nothing of an earlier run may be seen.
    cluster.down()?;
    cluster.up()?;
    let image = operator::build(cache)?;
    cluster.load(&[&image])?;
    Site::Ours(cluster.clone()).install(image.name(), &cluster.logs().join("helm.log"))?;
    let without_pip = is_without_pip().then_some(("WITHOUT_PIP", "1"));
    for binary in binaries {
        say(format_args!("end-to-end tests: {}", binary.file_name().unwrap_or_default().to_string_lossy()));
        let mut tests = cluster.command(binary)?;
        tests.arg("--test-threads").arg(wish.threads.to_string()).args(&wish.filter);
        tests.env("MODULES_DIR", modules).env("DOLT_BIN", cluster.bin().join("dolt"));
        tests.env("REGISTRY_BIN", programs::registry(cache)?.join("registry")).env("OPERATOR_BIN_DIR", cache.target().join("release"));
        tests.env("XTASK", std::env::current_exe()?).envs(without_pip);
        tell(&mut tests, &image);
        let (status, text) = run::shown_and_kept(&mut tests)?;
        let failed = failed(&text);
        // A binary that is killed names no test.
        if status.success() || failed.is_empty() || !once_more(binary) {
            tally.add(END_TO_END, status.success(), counted(&text));
            continue;
        }
        say(format_args!("what the cluster looked like: {}", dump(cache, cluster).display()));
        let mut passed = Vec::new();
        for name in &failed {
            say(format_args!("once more, alone: {name}"));
            let mut alone = cluster.command(binary)?;
            alone.args(["--exact", name]);
            alone.envs(tests.get_envs().filter_map(|(name, value)| Some((name, value?))));
            if run::shown_and_kept(&mut alone)?.0.success() {
                passed.push((*name).to_owned());
            }
        }
        let now = u32::try_from(passed.len())?;
        let count = counted(&text);
        let count = Count { passed: count.passed + now, failed: count.failed - now, ..count };
        tally.add(END_TO_END, passed.len() == failed.len(), count);
        tally.unsteady.extend(passed);
    }
    Ok(())
}

/// Whether a test of this binary that failed may show that it passes alone: the machine may have been slow, as others build on it. Not where
/// clients were promised something: what was lost once is lost.
fn once_more(binary: &Path) -> bool {
    !binary.file_name().is_some_and(|name| name.to_string_lossy().starts_with("failover-"))
}

/// Tells a program that runs inside of a cluster what is there, and where the checkout is.
pub(crate) fn tell(program: &mut Command, operator: &Image) {
    program.env("DOLT_IMAGE", base::DOLT).env("OPERATOR_IMAGE", operator.name()).env("OPERATOR_NAMESPACE", NAMESPACE);
    program.env("CARGO_MANIFEST_DIR", crate::repo::path("tests/e2e"));
}

/// A line of cargo's JSON output; of all kinds of lines only those of test binaries have an `executable`.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    package_id: String,
    executable: Option<PathBuf>,
    #[serde(default)]
    profile: Profile,
}

#[derive(Default, Deserialize)]
struct Profile {
    #[serde(default)]
    test: bool,
}

/// Where the end-to-end tests' package is, as a package's id ends.
const END_TO_END_PACKAGE: &str = "/tests/e2e#";

fn end_to_end_binaries(cache: &Cache) -> Result<Vec<PathBuf>> {
    say("building the end-to-end tests");
    let mut build = cargo::product(cache);
    // As a part of the workspace, like the other tests: by itself the package would have dependencies of other features, built anew.
    build.args(["test", "--quiet", "--release", "--workspace", "--exclude", "xtask"]);
    build.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let binaries = binaries(&output(&mut build)?);
    if binaries.is_empty() { bail!("no end-to-end test was built") } else { Ok(binaries) }
}

fn binaries(messages: &str) -> Vec<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    messages
        .filter(|message| message.profile.test && message.package_id.contains(END_TO_END_PACKAGE))
        .filter_map(|message| message.executable)
        .collect()
}

/// Writes objects, events and logs of a cluster into a folder of the cache, as far as they can be had.
fn dump(cache: &Cache, cluster: &Cluster) -> PathBuf {
    let stamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let folder = cache.path("failures").join(format!("test-{stamp}"));
    let write = || -> Result<()> {
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let kubectl = |file: &str, arguments: &[&str]| {
            let text =
                cluster.kubectl().and_then(|mut kubectl| output(kubectl.args(arguments))).unwrap_or_else(|error| format!("{error:#}\n"));
            fs::write(folder.join(file), text)
        };
        kubectl("objects.txt", &["get", "all,pvc,configmaps,pdb,leases", "--all-namespaces", "--output", "wide"])?;
        kubectl("pods.txt", &["describe", "pods", "--all-namespaces"])?;
        kubectl("events.txt", &["get", "events", "--all-namespaces", "--sort-by", ".lastTimestamp"])?;
        let kinds = "doltdbs,databases,users,grants,snapshots,backups,backupschedules";
        kubectl("resources.yaml", &["get", kinds, "--all-namespaces", "--output", "yaml"])?;
        let logs = ["logs", "--namespace", NAMESPACE, "--selector", "app.kubernetes.io/name=doltdb-operator", "--tail", "-1", "--prefix"];
        kubectl("operator.log", &logs)?;
        kubectl("operator-previous.log", &[&logs[..], &["--previous"]].concat())?;
        let nodes = folder.join("node");
        fs::create_dir_all(&nodes)?;
        for entry in fs::read_dir(cluster.logs())?.flatten() {
            // Folders are the pods' logs; those of pods that are gone are only there.
            output(Command::new("cp").arg("-rL").arg(entry.path()).arg(&nodes)).ok();
        }
        Ok(())
    };
    if let Err(error) = write() {
        say(format_args!("not everything could be written: {error:#}"));
    }
    cache.keep_newest("failures", "test", 10);
    folder
}

impl Tally {
    /// Runs a part and counts.
    fn part(&mut self, name: &'static str, command: &mut Command) -> Result<()> {
        let (status, text) = run::shown_and_kept(command)?;
        self.add(name, status.success(), counted(&text));
        Ok(())
    }

    fn add(&mut self, name: &'static str, passed: bool, count: Count) {
        match self.parts.iter_mut().find(|(part, _)| *part == name) {
            Some((_, sum)) => *sum += count,
            None => self.parts.push((name, count)),
        }
        if !passed && !self.failures.iter().any(|part| part == name) {
            self.failures.push(name.to_owned());
        }
    }

    fn line(&self, seconds: u64) -> String {
        let mut sum = Count::default();
        self.parts.iter().for_each(|(_, count)| sum += *count);
        let parts = self.parts.iter().map(|(part, count)| format!("{part} {}", count.passed)).collect::<Vec<_>>().join(", ");
        let skipped = if self.skipped.is_empty() { String::new() } else { format!("; skipped: {}", self.skipped.join("; ")) };
        // A part also fails when it doesn't compile, or is killed: then no test of it is counted.
        let failed = if self.failures.is_empty() { String::new() } else { format!("; FAILED: {}", self.failures.join(", ")) };
        let unsteady = if self.unsteady.is_empty() { String::new() } else { format!("; PASSED ONLY ALONE: {}", self.unsteady.join(", ")) };
        let (passed, not, ignored) = (sum.passed, sum.failed, sum.ignored);
        format!("tests: {passed} passed ({parts}), {not} failed, {ignored} ignored in {seconds} s{failed}{unsteady}{skipped}")
    }
}

/// The tests that the list at the end of a binary's output names.
fn failed(text: &str) -> Vec<&str> {
    let Some((_, list)) = text.rsplit_once("\nfailures:\n") else { return Vec::new() };
    list.lines().take_while(|line| line.starts_with("    ")).map(str::trim).collect()
}

/// Adds up the lines with which each test binary ends.
fn counted(text: &str) -> Count {
    let mut sum = Count::default();
    for line in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        for part in line.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next().and_then(|word| word.parse::<u32>().ok()), words.next()) else { continue };
            match what {
                "passed" => sum.passed += number,
                "failed" => sum.failed += number,
                "ignored" => sum.ignored += number,
                _ => {}
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up() {
        let text = "running 3 tests\ntest result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                    test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1.50s\n";
        assert_eq!(counted(text), Count { passed: 4, failed: 2, ignored: 1 });
    }

    #[test]
    fn the_tests_that_failed_are_named() {
        let text = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\n    no\n\nfailures:\n    b\n    c::case_1\n\n\
                    test result: FAILED. 1 passed; 2 failed; 0 ignored\n";
        assert_eq!(failed(text), ["b", "c::case_1"]);
        assert_eq!(failed("running 0 tests\n"), [""; 0]);
    }

    #[test]
    fn a_lost_write_is_not_tried_again() {
        assert!(once_more(Path::new("/t/deps/snapshots-9fb6176edf4a184a")));
        assert!(!once_more(Path::new("/t/deps/failover-9fb6176edf4a184a")));
    }

    #[test]
    fn only_end_to_end_test_binaries_are_run() {
        let messages = r#"{"package_id":"path+file:///x/tests/e2e#0.1.0","profile":{"test":true},"executable":"/t/e2e-1"}
{"package_id":"path+file:///x/tests/e2e#0.1.0","profile":{"test":false},"executable":"/t/tool"}
{"package_id":"path+file:///x/tests/e2e#0.1.0","profile":{"test":true},"executable":null}
{"package_id":"path+file:///x/host#0.1.0","profile":{"test":true},"executable":"/t/host-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(binaries(messages), [PathBuf::from("/t/e2e-1")]);
    }

    #[test]
    fn the_line_says_what_was_left_out() {
        let tally = Tally {
            parts: vec![("no cluster", Count { passed: 5, failed: 1, ignored: 0 })],
            failures: vec!["no cluster".into()],
            skipped: vec!["end to end (--no-cluster)".into()],
            unsteady: vec!["a".into()],
        };
        assert_eq!(
            tally.line(7),
            "tests: 5 passed (no cluster 5), 1 failed, 0 ignored in 7 s; FAILED: no cluster; PASSED ONLY ALONE: a; skipped: end to end (--no-cluster)"
        );
    }
}
