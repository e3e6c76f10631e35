//! The processes in a pod. They are among this machine's: the tests run in the cluster's namespaces.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process},
};

use crate::Namespace;

/// What the kernel counts in for `/proc`, on every Linux.
const MILLIS_PER_TICK: u64 = 10;

impl Namespace {
    /// Stops the processes of a pod where they are: it answers nothing any more, and nobody is told.
    ///
    /// # Errors
    /// When there is no such pod, or its processes aren't found.
    pub async fn freeze(&self, pod: &str) -> Result<()> {
        self.signal(pod, Signal::STOP).await
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// As [`Self::freeze`].
    pub async fn thaw(&self, pod: &str) -> Result<()> {
        self.signal(pod, Signal::CONT).await
    }

    /// What a command in a pod's container says, as `kubectl exec` would run it.
    ///
    /// # Errors
    /// When there is no such pod, or the command fails.
    pub async fn exec(&self, pod: &str, command: &[&str]) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &self.name);
        let process = processes(&pods.get(pod).await?)?.into_iter().next().with_context(|| format!("pod {pod} has no process"))?;
        let target = process.as_raw_nonzero().to_string();
        let output = Command::new("nsenter").args(["--target", &target, "--mount", "--"]).args(command).env("HOME", "/tmp").output()?;
        ensure!(output.status.success(), "{} in {pod}: {}", command.join(" "), String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn signal(&self, pod: &str, number: Signal) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &self.name);
        signal(&pods.get(pod).await?, number)
    }
}

/// Sends a signal to all processes of a pod's containers.
pub(crate) fn signal(pod: &Pod, signal: Signal) -> Result<()> {
    for process in processes(pod)? {
        match kill_process(process, signal) {
            Err(Errno::SRCH) => {}
            outcome => outcome.with_context(|| format!("cannot signal process {}", process.as_raw_nonzero()))?,
        }
    }
    Ok(())
}

/// The time on the CPU that the processes of a pod's containers have had.
pub(crate) fn cpu(pod: &Pod) -> Result<Duration> {
    let mut ticks = 0;
    for pid in processes(pod)? {
        let file = format!("/proc/{}/stat", pid.as_raw_nonzero());
        let stat = fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        // After the name, which may hold anything: the state, then numbers; of these the 11th and 12th are what the process has had.
        let numbers: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let tick = |at: usize| numbers.get(at).and_then(|number| number.parse::<u64>().ok()).with_context(|| format!("{file} is {stat:?}"));
        ticks += tick(11)? + tick(12)?;
    }
    Ok(Duration::from_millis(ticks * MILLIS_PER_TICK))
}

/// All processes of a pod's containers.
fn processes(pod: &Pod) -> Result<Vec<Pid>> {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let containers: Vec<_> =
        statuses.iter().filter_map(|status| status.container_id.as_deref()?.split_once("://").map(|(_, id)| id)).collect();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot list processes")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
        // A process may end while it is looked at.
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        if containers.iter().any(|id| groups.contains(id)) {
            found.push(pid);
        }
    }
    ensure!(!found.is_empty(), "no process of pod {} is among this machine's", pod.name_any());
    Ok(found)
}
