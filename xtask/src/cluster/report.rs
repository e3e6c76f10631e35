//! What people ask a cluster about: its state and its logs.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};

use super::{Cluster, processes};
use crate::run::{run, tail};

impl Cluster {
    /// Prints whether it runs, its processes, its node and its pods.
    ///
    /// # Errors
    /// When it runs but doesn't answer.
    pub(crate) fn status(&self) -> Result<()> {
        let running = processes::of(&self.folder);
        if !running.iter().any(|process| process.inner == Some(1)) {
            println!("cluster {}: down", self.name);
            return Ok(());
        }
        println!("cluster {}: up, folder {}", self.name, self.folder.display());
        for process in running.iter().filter(|process| process.inner.is_some()) {
            let program = process.command.first().map_or("?", String::as_str);
            let name = program.rsplit('/').next().unwrap_or(program);
            if !matches!(name, "bash" | "sleep" | "containerd-shim-runc-v2") {
                println!("  {:<26} pid {}", name, process.pid);
            }
        }
        run(self.kubectl()?.args(["get", "nodes", "--output=wide"]))?;
        run(self.kubectl()?.args(["get", "pods", "--all-namespaces"]))
    }

    /// Prints the end of a component's log, or of all; `follow` goes on.
    ///
    /// # Errors
    /// When there is no such log.
    pub(crate) fn show_logs(&self, component: Option<&str>, follow: bool) -> Result<()> {
        let folder = self.logs();
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            names.extend(entry.file_name().to_str().and_then(|name| name.strip_suffix(".log")).map(str::to_owned));
        }
        names.sort();
        ensure!(!names.is_empty(), "cluster {} has no logs: is it down?", self.name);
        if let Some(component) = component {
            ensure!(names.iter().any(|name| name == component), "no log of {component}; there are: {}", names.join(", "));
            names = vec![component.to_owned()];
        }
        let files = names.iter().map(|name| folder.join(format!("{name}.log"))).collect::<Vec<_>>();
        if follow {
            return run(Command::new("tail").args(["-n", "20", "-F"]).args(&files));
        }
        let limit = if files.len() == 1 { 1 << 20 } else { 3000 };
        for (name, file) in names.iter().zip(&files) {
            if files.len() > 1 {
                println!("==> {name}");
            }
            print!("{}", tail(file, limit));
        }
        Ok(())
    }
}
