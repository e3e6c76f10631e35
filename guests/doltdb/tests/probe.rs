//! The probes' command, run by a real shell with a `dolt` that answers as it is told.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use doltdb::DoltDBReconciler;
use rstest::rstest;
use sdk::{
    Effect,
    testkit::{Fixture, run},
};
use serde_json::Value;

/// The command out of the plan for a new cluster.
fn command() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/a_new_cluster_gets_all_its_children.yaml");
    let plan = run::<DoltDBReconciler>(&Fixture::load(path).unwrap()).unwrap();
    let bodies = plan.effects.iter().filter_map(|effect| match effect {
        Effect::Apply(application) if application.object.kind == "StatefulSet" => Some(&application.body),
        _ => None,
    });
    let body: Value = serde_json::from_str(bodies.collect::<Vec<_>>().pop().unwrap()).unwrap();
    let words = body.pointer("/spec/template/spec/containers/0/livenessProbe/exec/command").unwrap().as_array().unwrap();
    words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[case::it_answers("exit 0", true)]
#[case::the_password_has_changed_since("echo \"Error 1045 (28000): Access denied for user 'admin'\" >&2; exit 1", true)]
#[case::nobody_listens("echo 'dial tcp 127.0.0.1:3306: connect: connection refused' >&2; exit 1", false)]
#[case::it_is_silent("exit 124", false)]
fn a_server_that_refuses_a_password_lives(#[case] dolt: &str, #[case] lives: bool) {
    let folder = tempfile::tempdir().unwrap();
    let stub = format!("#!/bin/sh\n[ \"$DOLT_CLI_PASSWORD\" = \"it's\" ] || exit 9\n{dolt}\n");
    fs::write(folder.path().join("dolt"), stub).unwrap();
    fs::set_permissions(folder.path().join("dolt"), fs::Permissions::from_mode(0o755)).unwrap();
    let command = command();
    let status = Command::new(&command[0])
        .args(&command[1..])
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
        .env("DOLT_USERNAME", "admin")
        .env("DOLT_PASSWORD", "it's")
        .status()
        .unwrap();
    assert_eq!(status.success(), lives);
}
