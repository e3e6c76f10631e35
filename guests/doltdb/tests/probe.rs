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
    assert_eq!(answered(None, dolt), lives);
}

/// Where clients can come by TLS, servers of the step before and the step after answer too, and so does one whose certificate has expired: to end it
/// would not make it valid.
#[rstest]
#[case::it_answers(false, "case \" $* \" in *' --host 127.0.0.1 '*' --no-tls '*) exit 0 ;; esac", true)]
#[case::it_answers_by_tls(
    true,
    "case \" $* \" in *' --host demo-0.demo-internal.default.svc.cluster.local '*) \
    [ \"$SSL_CERT_FILE\" = /etc/doltdb-listener-tls/ca.crt ]; exit $? ;; esac",
    true
)]
#[case::it_requires_tls_already(false, "echo 'server does not allow insecure connections, client must use SSL/TLS' >&2; exit 1", true)]
#[case::it_has_no_tls_yet(true, "echo 'TLS requested but server does not support TLS' >&2; exit 1", true)]
#[case::its_certificate_has_expired(true, "echo 'tls: failed to verify certificate: x509: certificate has expired' >&2; exit 1", true)]
#[case::the_password_has_changed_since(true, "echo \"Error 1045 (28000): Access denied for user 'admin'\" >&2; exit 1", true)]
#[case::nobody_listens(true, "echo 'dial tcp 10.0.0.1:3306: connect: connection refused' >&2; exit 1", false)]
#[case::it_is_silent(true, "exit 124", false)]
fn a_server_with_tls_lives(#[case] required: bool, #[case] dolt: &str, #[case] lives: bool) {
    assert_eq!(answered(Some(required), &format!("{dolt}\nexit 7")), lives);
}

fn answered(tls: Option<bool>, dolt: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let stub = format!("#!/bin/sh\n[ \"$DOLT_CLI_PASSWORD\" = \"it's\" ] || exit 9\n{dolt}\n");
    fs::write(folder.path().join("dolt"), stub).unwrap();
    fs::set_permissions(folder.path().join("dolt"), fs::Permissions::from_mode(0o755)).unwrap();
    let command = spec::words("containers/0/livenessProbe/exec/command", tls);
    let status = Command::new(&command[0])
        .args(&command[1..])
        .env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()))
        .env("DOLT_USERNAME", "admin")
        .env("DOLT_PASSWORD", "it's")
        .env("POD_NAME", "demo-0")
        .status()
        .unwrap();
    status.success()
}
