//! Finds and ends a cluster's processes. There is no record that could be stale or missing: every process carries the cluster's
//! folder in its environment. Containers don't, but they live in the pid namespace of the first process and end with it.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::MARK;

/// A process of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// As seen from here.
    pub(crate) pid: u32,
    /// As seen in the cluster; none for the process that waits for the first one.
    pub(crate) inner: Option<u32>,
    /// Program and arguments.
    pub(crate) command: Vec<String>,
}

/// Every process that carries the folder, in no order.
pub(crate) fn of(folder: &Path) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| read(pid, folder)).collect()
}

/// The cluster's process 1.
pub(crate) fn first(folder: &Path) -> Option<Process> {
    of(folder).into_iter().find(|process| process.inner == Some(1))
}

/// Kills a process if it still is one of the cluster's.
pub(crate) fn kill(process: &Process, folder: &Path) {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else { return };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    // The handle holds on to this very process: what is checked now is what is killed.
    if read(process.pid, folder).is_some() {
        let _ = pidfd_send_signal(handle, Signal::KILL);
    }
}

fn read(pid: u32, folder: &Path) -> Option<Process> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    if !marked(&environment, folder) {
        return None;
    }
    let inner = inner(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?);
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = command.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    Some(Process { pid, inner, command: command.map(|word| String::from_utf8_lossy(word).into_owned()).collect() })
}

fn marked(environment: &[u8], folder: &Path) -> bool {
    let mark = format!("{MARK}={}", folder.display());
    environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
}

/// The pid in the innermost namespace, if that isn't ours.
fn inner(status: &str) -> Option<u32> {
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    pids.split_whitespace().skip(1).last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_folder_marks() {
        let environment = b"PATH=/bin\0DOLTDB_DEV_CLUSTER=/c/clusters/dev\0HOME=/";
        assert!(marked(environment, Path::new("/c/clusters/dev")));
        assert!(!marked(environment, Path::new("/c/clusters/de")));
        assert!(!marked(environment, Path::new("/c/clusters/dev2")));
    }

    #[test]
    fn the_inner_pid_is_the_last_of_several() {
        assert_eq!(inner("Name:\tbash\nNSpid:\t4711\t1\n"), Some(1));
        assert_eq!(inner("NSpid:\t4711\n"), None);
        assert_eq!(inner("Name:\tbash\n"), None);
    }
}
