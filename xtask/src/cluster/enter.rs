//! Runs commands inside a cluster's namespaces, where its addresses and names mean something.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Cluster, MARK, processes};

impl Cluster {
    /// The administrator's kubeconfig. Its address is reached from inside.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// The folder of kubectl, helm, dolt and the node's programs.
    pub(crate) fn bin(&self) -> PathBuf {
        self.folder.join("bin")
    }

    /// Where its programs write what they do.
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// A command that runs inside, in this working directory, with `KUBECONFIG` set, the cluster's programs first on `PATH`,
    /// and names resolved by the cluster's DNS.
    ///
    /// # Errors
    /// When the cluster doesn't run.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let first = processes::first(&self.folder)
            .with_context(|| format!("cluster {0} doesn't run: `cargo xtask cluster up --name {0}` starts it", self.name))?;
        let here = std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_owned());
        let path = std::env::var_os("PATH").unwrap_or_default();
        let system = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
        let path = std::env::join_paths([self.bin()].into_iter().chain(std::env::split_paths(&path)).chain(system))?;
        let mut command = Command::new("nsenter");
        command.args(["--target", &first.pid.to_string(), "--net", "--mount", "--pid", "--uts", "--root"]);
        command.arg(format!("--wdns={}", here.display())).arg("--").arg(program);
        command.env_remove(MARK).env("KUBECONFIG", self.kubeconfig()).env("PATH", path);
        Ok(command)
    }

    /// The cluster's kubectl, to be given arguments.
    ///
    /// # Errors
    /// When the cluster doesn't run.
    pub(crate) fn kubectl(&self) -> Result<Command> {
        self.command("kubectl")
    }
}
