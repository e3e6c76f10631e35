//! Ends a cluster: processes, control groups, folder. Works from whatever state an earlier run left.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Cluster, cgroups, processes};
use crate::run::{say, until};

impl Cluster {
    /// Ends it if it runs, and removes all that it left.
    ///
    /// # Errors
    /// When a process doesn't end or a folder can't be removed.
    pub(crate) fn down(&self) -> Result<()> {
        let _lock = self.lock()?;
        let was = self.folder.exists();
        self.end()?;
        if was {
            say(format_args!("cluster {} is gone", self.name));
        }
        Ok(())
    }

    /// [`Self::down`] for who holds the lock.
    pub(super) fn end(&self) -> Result<()> {
        until("the cluster's processes end", Duration::from_secs(30), Duration::from_millis(50), || {
            cgroups::thaw(&self.cgroup());
            let mut running = processes::of(&self.folder);
            // The kernel ends everything else in the pid namespace with process 1, containers included.
            running.sort_by_key(|process| process.inner != Some(1));
            for process in &running {
                processes::kill(process, &self.folder);
            }
            ensure!(running.is_empty(), "{} still run", running.len());
            Ok(())
        })?;
        cgroups::remove(&self.cgroup())?;
        if self.folder.exists() {
            // The cluster's mounts were in its own namespace. If one is here, removing the folder would remove what is mounted.
            let mounts = fs::read_to_string("/proc/self/mounts")?;
            let below = format!("{}/", self.folder.display());
            let mounted = mounts.lines().filter_map(|line| line.split(' ').nth(1)).find(|place| format!("{place}/").starts_with(&below));
            ensure!(mounted.is_none(), "{} is mounted: unmount it first", mounted.unwrap_or_default());
            fs::remove_dir_all(&self.folder).with_context(|| format!("remove {}", self.folder.display()))?;
        }
        Ok(())
    }
}
