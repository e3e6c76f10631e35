//! A development cluster: its name, its folder, and bringing it up to "ready".
//! Knows what a node consists of; what is deployed on it later is no concern of this room.

mod cgroups;
mod config;
mod down;
mod enter;
mod load;
mod pki;
mod processes;
mod report;

pub(crate) use cgroups::hierarchies;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::Cache;
use crate::images::{Image, base};
use crate::preflight;
use crate::run::{output, say, until};
use crate::tools::{debian, programs};

/// The environment variable that every process of a cluster carries; its value is the cluster's folder.
const MARK: &str = "DOLTDB_DEV_CLUSTER";

/// The cluster that people work with.
pub(crate) const DEV: &str = "dev";

/// The cluster that tests start and end.
pub(crate) const TEST: &str = "test";

/// The cluster of measurements, if no other is named.
pub(crate) const BENCH: &str = "bench";

/// A cluster, running or not.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    name: String,
    folder: PathBuf,
    cache: Cache,
}

impl Cluster {
    /// The cluster of that name.
    ///
    /// # Errors
    /// When the name is not a short DNS label: it is the node's name.
    pub(crate) fn named(cache: &Cache, name: &str) -> Result<Self> {
        let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=20).contains(&name.len()) && name.chars().all(label) && !name.starts_with('-') && !name.ends_with('-');
        ensure!(fits, "cluster name {name:?}: up to 20 of a-z, 0-9 and '-', neither first nor last a '-'");
        Ok(Self { name: name.to_owned(), folder: cache.path("clusters").join(name), cache: cache.clone() })
    }

    /// What `--name` calls it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its control group in every hierarchy.
    fn cgroup(&self) -> String {
        format!("doltdb-{}", self.name)
    }

    /// Whether its first process runs.
    pub(crate) fn running(&self) -> bool {
        processes::first(&self.folder).is_some()
    }

    /// Takes the right to start or end it.
    fn lock(&self) -> Result<File> {
        self.cache.lock(&format!("cluster-{}", self.name))
    }

    /// Starts it, or finds it running, and waits until the node is ready and names resolve. What an earlier run left half done is repaired.
    ///
    /// # Errors
    /// When a program or an image can't be made, or the cluster doesn't get ready.
    pub(crate) fn up(&self) -> Result<()> {
        preflight::demand("the development cluster", &preflight::for_cluster(), "")?;
        let _lock = self.lock()?;
        debian::install(&self.cache)?;
        let [provisioner, csi] = programs::csi(&self.cache)?;
        let programs = [programs::kubernetes(&self.cache)?, programs::dolt(&self.cache)?, programs::helm(&self.cache)?, provisioner, csi];
        let images = [base::pause(&self.cache)?, base::coredns(&self.cache)?, base::dolt(&self.cache)?];
        let config = config::Config::new(self, &images[1]);
        let digest = config.digest(&programs, &images)?;
        if self.running() {
            if fs::read_to_string(self.folder.join("config-digest")).is_ok_and(|running| running == digest) {
                match self.await_ready(&images) {
                    Ok(()) => return Ok(()),
                    Err(error) if crate::run::interrupted() => return Err(error),
                    Err(error) => say(format_args!("cluster {} runs but is broken, starting it afresh: {error:#}", self.name)),
                }
            } else {
                say(format_args!("cluster {} runs with another configuration: starting it afresh", self.name));
            }
        }
        self.end()?;
        say(format_args!("starting cluster {}", self.name));
        fs::create_dir_all(self.folder.join("log"))?;
        fs::create_dir_all(self.folder.join("bin"))?;
        link(&self.folder, &programs)?;
        pki::write(&self.folder.join("pki"), &self.name)?;
        config.write(&self.folder)?;
        fs::write(self.folder.join("config-digest"), &digest)?;
        cgroups::make(&self.cgroup())?;
        self.start()?;
        self.await_ready(&images)
    }

    /// Starts the first process, in namespaces of its own and in a session of its own.
    fn start(&self) -> Result<()> {
        let log = File::create(self.folder.join("log/node.log"))?;
        let mut unshare = Command::new("setsid");
        unshare.args(["--fork", "unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc", "bash"]);
        unshare.arg(self.folder.join("node.sh")).current_dir("/").env(MARK, &self.folder);
        unshare.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        crate::run::run(&mut unshare)?;
        until("the cluster's first process", Duration::from_secs(10), Duration::from_millis(20), || {
            ensure!(self.running(), "not running: {}", crate::run::tail(&self.folder.join("log/node.log"), 2000));
            Ok(())
        })
    }

    /// Waits for the API, loads the images, applies the addons, waits for the node and DNS. Does nothing twice.
    fn await_ready(&self, images: &[Image; 3]) -> Result<()> {
        let [pause, coredns, dolt] = images;
        // containerd is up long before the API server: load meanwhile.
        std::thread::scope(|scope| {
            let loading = scope.spawn(|| self.load(&[pause, coredns]).and_then(|()| self.load(&[dolt])));
            until("the Kubernetes API", Duration::from_secs(120), Duration::from_millis(250), || {
                output(self.kubectl()?.args(["get", "--raw", "/readyz"]))
            })?;
            say("the Kubernetes API answers");
            let addons = self.folder.join("addons.yaml");
            until("DNS and the storage class", Duration::from_secs(60), Duration::from_millis(500), || {
                output(self.kubectl()?.args(["apply", "-f"]).arg(&addons))
            })?;
            until("the node", Duration::from_secs(60), Duration::from_millis(250), || {
                let condition = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
                let ready = output(self.kubectl()?.args(["get", "node", &self.name, "-o", condition]))?;
                ensure!(ready == "True", "not Ready");
                Ok(())
            })?;
            say("the node is Ready");
            let mut rollout = self.kubectl()?;
            output(rollout.args(["--namespace", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s"]))
                .context("DNS")?;
            say(format_args!("names resolve; cluster {} is up", self.name));
            match loading.join() {
                // What is not needed by everybody starts now: node.sh waits for this file.
                Ok(loaded) => loaded.and_then(|()| Ok(fs::write(self.folder.join("up"), "")?)),
                Err(_) => bail!("loading the images panicked"),
            }
        })
    }
}

/// One folder with all programs of the cluster.
fn link(folder: &std::path::Path, programs: &[PathBuf]) -> Result<()> {
    for source in programs {
        for entry in fs::read_dir(source)? {
            let entry = entry?;
            symlink(entry.path(), folder.join("bin").join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_labels() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        for good in ["dev", "test", "a-1"] {
            Cluster::named(&cache, good).unwrap();
        }
        for bad in ["", "-a", "a-", "A", "a/b", "..", "a-very-long-name-for-a-cluster"] {
            assert!(Cluster::named(&cache, bad).is_err(), "{bad}");
        }
    }
}
