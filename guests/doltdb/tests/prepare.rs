//! The init container's script, run by a real shell with a `dolt` that only writes down what it is given: whatever a user chooses as a
//! password or as the author of commits arrives as it is, and nothing of it is run.
#![allow(clippy::unwrap_used, reason = "a test")]

mod pod;

use std::{fs, path::Path};

use rstest::rstest;

/// Runs the script in a folder that stands for the node; gives the arguments of each `dolt`, and the statements.
fn prepare(folder: &Path, user: &str, password: &str, author: &str) -> (Vec<String>, Option<String>) {
    let stub = "#!/bin/sh\nfor argument in \"$@\"; do printf '%s\\n' \"$argument\"; done >> \"$OUT/arguments\"\n[ \"$1\" = sql ] && cat > \"$OUT/statements\"\nexit 0\n";
    pod::program(folder, "dolt", stub);
    let config = folder.join("config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("demo-0.yaml"), "log_level: trace\n").unwrap();
    let mut command = pod::command("initContainers", None);
    command[2] = command[2].replace("/etc/doltdb", config.to_str().unwrap());
    let status = pod::in_pod(folder, &command)
        .env("OUT", folder)
        .env("DOLT_USERNAME", user)
        .env("DOLT_PASSWORD", password)
        .env("COMMIT_AUTHOR_NAME", author)
        .env("COMMIT_AUTHOR_EMAIL", "a@b")
        .env("METRICS_DISABLED", "false")
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(fs::read_to_string(folder.join("volume/config.yaml")).unwrap(), "log_level: trace\n");
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
