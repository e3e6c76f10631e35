//! The init container's script, run by a real shell with a `dolt` that only writes down what it is given: whatever a user chooses as a
//! password or as the author of commits arrives as it is, and nothing of it is run.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use doltdb::DoltDBReconciler;
use rstest::rstest;
use sdk::{
    Effect,
    testkit::{Fixture, run},
};
use serde_json::Value;

/// The script out of the plan for a new cluster.
fn script() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/a_new_cluster_gets_all_its_children.yaml");
    let plan = run::<DoltDBReconciler>(&Fixture::load(path).unwrap()).unwrap();
    let bodies = plan.effects.iter().filter_map(|effect| match effect {
        Effect::Apply(application) if application.object.kind == "StatefulSet" => Some(&application.body),
        _ => None,
    });
    let body: Value = serde_json::from_str(bodies.collect::<Vec<_>>().pop().unwrap()).unwrap();
    body.pointer("/spec/template/spec/initContainers/0/command/2").unwrap().as_str().unwrap().to_owned()
}

/// Runs the script in a folder that stands for the volume; gives the arguments of each `dolt`, and the statements.
fn prepare(folder: &Path, user: &str, password: &str, author: &str) -> (Vec<String>, Option<String>) {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let stub = "#!/bin/sh\nfor argument in \"$@\"; do printf '%s\\n' \"$argument\"; done >> \"$OUT/arguments\"\n[ \"$1\" = sql ] && cat > \"$OUT/statements\"\nexit 0\n";
    fs::write(bin.join("dolt"), stub).unwrap();
    fs::set_permissions(bin.join("dolt"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(folder.join("config")).unwrap();
    fs::write(folder.join("config/demo-0.yaml"), "log_level: trace\n").unwrap();
    let volume = folder.join("volume");
    fs::create_dir_all(&volume).unwrap();
    let config = folder.join("config");
    let status = Command::new("/bin/sh")
        .args(["-c", &script().replace("/etc/doltdb", config.to_str().unwrap())])
        .current_dir(&volume)
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .env("OUT", folder)
        .env("POD_NAME", "demo-0")
        .env("DOLT_USERNAME", user)
        .env("DOLT_PASSWORD", password)
        .env("COMMIT_AUTHOR_NAME", author)
        .env("COMMIT_AUTHOR_EMAIL", "a@b")
        .env("METRICS_DISABLED", "false")
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(fs::read_to_string(volume.join("config.yaml")).unwrap(), "log_level: trace\n");
    let arguments = fs::read_to_string(folder.join("arguments")).unwrap();
    (arguments.lines().map(ToOwned::to_owned).collect(), fs::read_to_string(folder.join("statements")).ok())
}

#[rstest]
#[case("secret", "secret")]
#[case("it's", "it''s")]
#[case(r"back\slash", r"back\\slash")]
#[case("'; drop database shop; --", "''; drop database shop; --")]
#[case("$(touch ran) `touch ran` ${HOME} %s %n", "$(touch ran) `touch ran` ${HOME} %s %n")]
fn a_password_arrives_as_it_is(#[case] password: &str, #[case] written: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (arguments, statements) = prepare(folder.path(), "root", password, password);
    let expected = format!("create user 'root' identified by '{written}'; grant all privileges on *.* to 'root' with grant option;\n");
    assert_eq!(statements.as_deref(), Some(expected.as_str()));
    assert_eq!(&arguments[..5], ["config", "--global", "--add", "user.name", password]);
    assert_eq!(arguments.last().map(String::as_str), Some("sql"), "the statements are no argument");
    assert!(!folder.path().join("volume/ran").exists(), "nothing of it is run");
}

#[test]
fn an_account_is_made_on_an_empty_volume_only() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("volume/.doltcfg")).unwrap();
    fs::write(folder.path().join("volume/.doltcfg/privileges.db"), "").unwrap();
    let (_, statements) = prepare(folder.path(), "root", "secret", "someone");
    assert_eq!(statements, None);
}
