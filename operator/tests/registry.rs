//! `module push` and the pull of the host, with a real registry between them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use host::{
    registry::{Login, Pinned, Registry, RegistryError},
    settings::Registries,
};
use registry::{Options, PASSWORD, USER};
use serde_json::Value;

/// What the operator prints with these arguments, and its status.
fn push(arguments: &[&str]) -> (String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doltdb-operator"));
    // Logins of whoever runs the test are none of its business.
    command.args(["module", "push"]).args(arguments).env("DOCKER_CONFIG", "/nonexistent");
    let output = command.output().unwrap();
    (String::from_utf8([output.stdout, output.stderr].concat()).unwrap(), output.status.code().unwrap())
}

fn shipped(slot: &str) -> PathBuf {
    let folder = std::env::var_os("MODULES_DIR").expect("MODULES_DIR is set: `cargo xtask guests` prints the folder");
    PathBuf::from(folder).join(format!("{slot}.wasm"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What the host pulls with.
fn puller(server: &registry::Registry, tls: bool) -> Registry {
    Registry::new(&Registries {
        allowed: vec![server.host()],
        plain_http: if tls { vec![] } else { vec![server.host()] },
        certificate_authorities: if tls { fs::read_to_string(server.authority()).unwrap() } else { String::new() },
        ..Registries::default()
    })
}

async fn refused(puller: &Registry, name: &str, login: Option<&Login>) -> RegistryError {
    puller.pull(&name.parse().unwrap(), login).await.unwrap_err()
}

fn login(password: &str) -> Login {
    Login { user: USER.into(), password: password.into() }
}

#[tokio::test]
async fn what_is_pushed_is_pulled_by_the_name_that_was_printed() {
    let server = registry::Registry::started(Options::default()).unwrap();
    let module = shipped("database");
    let target = format!("{}/team/database", server.host());
    let (name, status) = push(&[text(&module), &target, "--plain-http"]);
    assert_eq!(status, 0, "{name}");
    let name = name.trim();
    assert!(name.starts_with(&format!("{target}@sha256:")), "{name}");
    let wasm = fs::read(&module).unwrap();
    assert!(puller(&server, false).pull(&name.parse::<Pinned>().unwrap(), None).await.unwrap() == wasm);

    let (again, _) = push(&[text(&module), &format!("{target}:other"), "--plain-http"]);
    assert_eq!(again.trim(), name, "the same module is the same artifact");

    let (manifest, status) = push(&[text(&module), &target, "--plain-http", "--output", "config-map", "--pull-secret", "s"]);
    assert_eq!(status, 0, "{manifest}");
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!((&manifest["data"]["reference"], &manifest["data"]["pullSecret"]), (&name.into(), &"s".into()));
    assert_eq!(manifest["metadata"]["labels"]["k8s.dolthub.com/module"], "database");

    let none = format!("{target}@sha256:{}", "0".repeat(64));
    let error = refused(&puller(&server, false), &none, None).await;
    assert_eq!((error.reason(), error.is_final()), ("ArtifactNotFound", false), "{error}");
    let error = refused(&Registry::new(&Registries::default()), name, None).await;
    assert_eq!((error.reason(), error.is_final()), ("RegistryNotAllowed", true), "{error}");
    assert!(error.to_string().contains("modules.registries.allowed of the settings (none)"), "{error}");
}

#[tokio::test]
async fn behind_tls_and_a_login_it_is_for_those_who_have_both() {
    let server = registry::Registry::started(Options { tls: true, login: true }).unwrap();
    let target = format!("{}/database:1", server.host());
    let config = server.docker_config(PASSWORD).unwrap();
    let authority = server.authority();
    let module = shipped("database");
    let module = text(&module);
    let with = ["--docker-config", text(&config), "--certificate-authorities", text(&authority)];
    let (name, status) = push(&[&[module, &target], &with[..]].concat());
    assert_eq!(status, 0, "{name}");
    let name = name.trim();
    let wasm = fs::read(module).unwrap();
    let puller = puller(&server, true);
    assert!(puller.pull(&name.parse::<Pinned>().unwrap(), Some(&login(PASSWORD))).await.unwrap() == wasm);

    let (complaint, status) = push(&[module, &target, "--certificate-authorities", text(&authority)]);
    assert!(status == 2 && complaint.contains("does not let anybody without a login in"), "{status} {complaint}");
    let (complaint, status) = push(&[module, &target, "--docker-config", text(&config)]);
    assert!(status == 2 && complaint.contains("cannot be reached"), "{status} {complaint}");
    for wrong in [None, Some(login("wrong"))] {
        let error = refused(&puller, name, wrong.as_ref()).await;
        assert_eq!((error.reason(), error.is_final()), ("NotAuthorized", false), "{error}");
    }
}

#[tokio::test]
async fn a_registry_that_is_down_is_asked_again_and_one_that_lies_is_not_believed() {
    let mut server = registry::Registry::started(Options::default()).unwrap();
    let (name, _) = push(&[text(&shipped("user")), &format!("{}/user", server.host()), "--plain-http"]);
    let name = name.trim().to_owned();
    server.stop();
    let error = refused(&puller(&server, false), &name, None).await;
    assert_eq!((error.reason(), error.is_final()), ("RegistryUnreachable", false), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    server.start().unwrap();
    assert!(puller(&server, false).pull(&name.parse::<Pinned>().unwrap(), None).await.is_ok());

    server.damage_layers().unwrap();
    let error = refused(&puller(&server, false), &name, None).await;
    assert!(!error.is_final() && error.to_string().contains("digest"), "{error}");
}
