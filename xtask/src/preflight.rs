//! What this machine must have before anything is started, each with what to install. Changes nothing.

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::cache::RUST;
use crate::cluster::hierarchies;
use crate::run::output;
use crate::tools::debian::find;

/// The oldest Go that reads the `go` lines of `tests/cluster/programs`; newer ones are fetched by Go itself.
const GO: (u32, u32) = (1, 21);

/// Something that isn't there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    what: String,
    remedy: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.what, self.remedy)
    }
}

fn missing(what: &str, remedy: impl Into<String>) -> Option<Missing> {
    Some(Missing { what: what.to_owned(), remedy: remedy.into() })
}

/// Ends with one error that names everything of a list.
///
/// # Errors
/// When the list isn't empty.
pub(crate) fn demand(purpose: &str, list: &[Missing], hint: &str) -> Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    let lines = list.iter().map(|missing| format!("\n  - {missing}")).collect::<String>();
    bail!("{purpose} can't run on this machine; missing:{lines}\n{hint}")
}

/// What the development cluster lacks.
pub(crate) fn for_cluster() -> Vec<Missing> {
    let mut list = Vec::new();
    let root = rustix::process::geteuid().is_root();
    if !root {
        list.extend(missing(
            "root",
            "run as root (for example in a virtual machine): the cluster makes namespaces, mounts and control groups",
        ));
    }
    list.extend(debian());
    list.extend(control_groups());
    if root {
        list.extend(namespaces());
    }
    list.extend(for_programs());
    list
}

/// What building programs from their Go modules lacks.
pub(crate) fn for_programs() -> Vec<Missing> {
    let Some(go) = find("go") else {
        return missing("Go", "install Go 1.26 or newer from https://go.dev/dl/ and put its bin folder on PATH").into_iter().collect();
    };
    let version = output(Command::new(go).args(["env", "GOVERSION"])).unwrap_or_default();
    let new = go_version(&version).is_some_and(|version| version >= GO);
    if new {
        Vec::new()
    } else {
        missing("a newer Go", format!("found {:?}, install 1.26 or newer from https://go.dev/dl/", version.trim())).into_iter().collect()
    }
}

/// What building the guests lacks; adds the compiler's target itself where rustup can.
pub(crate) fn for_guests() -> Vec<Missing> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let there = || {
        let libraries = output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET])).unwrap_or_default();
        !libraries.trim().is_empty() && Path::new(libraries.trim()).is_dir()
    };
    if there() {
        return Vec::new();
    }
    let add = ["target", "add", TARGET, "--toolchain", RUST];
    if find("rustup").is_some() && crate::run::run(Command::new("rustup").args(add)).is_ok() && there() {
        return Vec::new();
    }
    let remedy =
        format!("`rustup {}` (rustup: https://rustup.rs; without it, install your Rust's standard library for that target)", add.join(" "));
    missing("the Rust target wasm32-unknown-unknown", remedy).into_iter().collect()
}

fn debian() -> Option<Missing> {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let packages = super::tools::debian::missing();
    if is_debian_12(&release) && find("apt-get").is_some() || packages.is_empty() {
        return None;
    }
    let list = packages.into_iter().collect::<Vec<_>>().join(" ");
    missing("Debian 12", format!("on another system install the equivalents of these packages yourself: {list}"))
}

fn is_debian_12(release: &str) -> bool {
    let has = |line: &str| release.lines().any(|other| other.replace('"', "") == line);
    has("ID=debian") && has("VERSION_ID=12")
}

fn control_groups() -> Option<Missing> {
    const WANTED: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];
    let roots = hierarchies();
    let unified = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let there =
        |controller: &&str| unified.split_whitespace().any(|one| one == *controller) || roots.iter().any(|root| root.ends_with(controller));
    let absent = WANTED.into_iter().filter(|controller| !there(controller)).collect::<Vec<_>>();
    if absent.is_empty() {
        return None;
    }
    missing(
        "control groups",
        format!("mount /sys/fs/cgroup with the controllers {} (in a container: run it privileged)", absent.join(", ")),
    )
}

fn namespaces() -> Option<Missing> {
    let error = output(Command::new("unshare").args(["--net", "--mount", "--pid", "--uts", "--fork", "--mount-proc", "true"])).err()?;
    missing(
        "namespaces",
        format!("root may not make network, mount and pid namespaces here ({error:#}); in a container: run it privileged"),
    )
}

fn go_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix("go")?.split(['.', 'r', '-', ' ']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions() {
        assert_eq!(go_version("go1.26.8\n"), Some((1, 26)));
        assert_eq!(go_version("go1.27rc1"), Some((1, 27)));
        assert_eq!(go_version(""), None);
    }

    #[test]
    fn only_debian_12_is_debian_12() {
        assert!(is_debian_12("PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n"));
        assert!(!is_debian_12("ID=debian\nVERSION_ID=\"13\"\n"));
        assert!(!is_debian_12("ID=ubuntu\nVERSION_ID=\"12\"\n"));
    }

    #[test]
    fn everything_missing_is_named_with_its_remedy() {
        let list = [missing("root", "run as root"), missing("Go", "install Go")].into_iter().flatten().collect::<Vec<_>>();
        let error = demand("the cluster", &list, "hint").unwrap_err().to_string();
        assert_eq!(error, "the cluster can't run on this machine; missing:\n  - root: run as root\n  - Go: install Go\nhint");
        demand("the cluster", &[], "hint").unwrap();
    }
}
