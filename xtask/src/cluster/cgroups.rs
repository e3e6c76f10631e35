//! The cluster's control groups, which have no namespace and so must be made, thawed and removed by hand.
//! Knows nothing about what runs in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::run::{say, until};

const MOUNTS: &str = "/sys/fs/cgroup";

/// True where the machine has one hierarchy for all controllers.
fn unified() -> bool {
    Path::new(MOUNTS).join("cgroup.controllers").exists()
}

/// The roots of all hierarchies: one folder for each controller, or one for all.
pub(crate) fn hierarchies() -> Vec<PathBuf> {
    if unified() {
        return vec![MOUNTS.into()];
    }
    let Ok(entries) = fs::read_dir(MOUNTS) else { return Vec::new() };
    // Names like "cpu" may be links to "cpu,cpuacct".
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
    folders.filter(|folder| folder.join("cgroup.procs").exists()).collect()
}

/// The group of the node's own programs, beside that of the pods.
const SYSTEM: &str = "system";
/// What a process alone has of the processors, in the old hierarchy and in the new.
const SHARES: (&str, usize) = ("cpu.shares", 1024);
const WEIGHT: (&str, usize) = ("cpu.weight", 100);

/// Makes the group in every hierarchy: the kubelet wants to find it. The node's programs get one within it, so that pods have as much of the
/// processors as on a node of their own; otherwise all pods together would have as much as one thread of the API server.
///
/// # Errors
/// When a group can't be made.
pub(crate) fn make(name: &str) -> Result<()> {
    for root in hierarchies() {
        if unified() {
            for controller in fs::read_to_string(root.join("cgroup.controllers"))?.split_whitespace() {
                // Some can't be handed down while the root has real-time processes; the kubelet says which it misses.
                let _ = fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"));
            }
        }
        let group = root.join(name);
        fs::create_dir_all(&group).with_context(|| format!("make the control group {}", group.display()))?;
        // A new group of the old kind may use no processor and no memory until it is told which.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if !unified() && root.join(file).exists() {
                fs::write(group.join(file), fs::read(root.join(file))?)?;
            }
        }
        for (file, alone) in [SHARES, WEIGHT] {
            if group.join(file).exists() {
                let processors = std::thread::available_parallelism().map_or(1, usize::from);
                fs::write(group.join(file), (alone * processors).to_string())?;
                fs::create_dir_all(group.join(SYSTEM))?;
            }
        }
    }
    Ok(())
}

/// Lets frozen processes go on: they can't be ended otherwise.
pub(crate) fn thaw(name: &str) {
    for group in groups(name) {
        let _ = fs::write(group.join("freezer.state"), "THAWED");
        let _ = fs::write(group.join("cgroup.freeze"), "0");
    }
}

/// Removes the groups once their processes are gone.
///
/// # Errors
/// When a group is still in use after 20 s.
pub(crate) fn remove(name: &str) -> Result<()> {
    until("the control groups are empty", Duration::from_secs(20), Duration::from_millis(50), || {
        for group in groups(name) {
            if let Err(error) = fs::remove_dir(&group) {
                ensure!(error.kind() == std::io::ErrorKind::NotFound, "{}: {error}", group.display());
            }
        }
        Ok(())
    })
    .inspect_err(|error| say(format_args!("{error:#}")))
}

/// Every group of the cluster, children before parents.
fn groups(name: &str) -> Vec<PathBuf> {
    fn walk(group: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(group) else { return };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            walk(&entry.path(), found);
        }
        found.push(group.to_owned());
    }
    let mut found = Vec::new();
    for root in hierarchies() {
        walk(&root.join(name), &mut found);
    }
    found
}
