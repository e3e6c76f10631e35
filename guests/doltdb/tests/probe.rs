//! The probes' command, run by a real shell with a `dolt` that answers as it is told.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "pod/spec.rs"]
mod spec;

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use rstest::rstest;

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
    let command = spec::words("containers/0/livenessProbe/exec/command");
    let status = Command::new(&command[0])
        .args(&command[1..])
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
        .env("DOLT_USERNAME", "admin")
        .env("DOLT_PASSWORD", "it's")
        .status()
        .unwrap();
    assert_eq!(status.success(), lives);
}
