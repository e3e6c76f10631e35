//! The scripts of a pod, out of the plan for a new cluster, as the container runtime gets them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use doltdb::DoltDBReconciler;
use sdk::{
    Effect,
    testkit::{Fixture, run},
};
use serde_json::Value;

/// The command of a container of the pods, by the place of the container in the pod's spec, with what Kubernetes makes of dollars.
pub(crate) fn command(container: &str) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/a_new_cluster_gets_all_its_children.yaml");
    let plan = run::<DoltDBReconciler>(&Fixture::load(path).unwrap()).unwrap();
    let bodies = plan.effects.iter().filter_map(|effect| match effect {
        Effect::Apply(application) if application.object.kind == "StatefulSet" => Some(&application.body),
        _ => None,
    });
    let body: Value = serde_json::from_str(bodies.collect::<Vec<_>>().pop().unwrap()).unwrap();
    let command = body.pointer(&format!("/spec/template/spec/{container}/0/command")).unwrap().as_array().unwrap();
    command.iter().map(|word| word.as_str().unwrap().replace("$$", "$")).collect()
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
