//! The scripts of a pod, out of the plan for a new cluster, as the container runtime gets them.

mod spec;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

/// The command of a container of the pods, by the place of the container in the pod's spec, with what Kubernetes makes of dollars.
pub(crate) fn command(container: &str, tls: Option<bool>) -> Vec<String> {
    spec::words(&format!("{container}/0/command"), tls).iter().map(|word| word.replace("$$", "$")).collect()
}

/// A program of this name for the script, which does what `text` says.
pub(crate) fn program(folder: &Path, name: &str, text: &str) {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join(name), text).unwrap();
    fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs a command of a pod in a folder that stands for the node: `volume` is the volume, `bin` holds programs, `message` is what the kubelet is told.
pub(crate) fn in_pod(folder: &Path, command: &[String]) -> Command {
    let volume = folder.join("volume");
    fs::create_dir_all(&volume).unwrap();
    let message = folder.join("message");
    let script = command[2].replace("/dev/termination-log", message.to_str().unwrap());
    let mut process = Command::new(&command[0]);
    process.arg(&command[1]).arg(script).args(&command[3..]).current_dir(&volume);
    process.env("PATH", format!("{}:/usr/bin:/bin", folder.join("bin").display()));
    process.env("DOLT_ROOT_PATH", &volume).env("POD_NAME", "demo-0").env("DOLT_USERNAME", "root").env("DOLT_PASSWORD", "secret");
    process
}
