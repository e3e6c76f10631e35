//! `doltdb-operator module …` on a reconciler that is shipped, as its author calls it: no cluster anywhere.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the operator prints with these arguments, and its status.
fn module(arguments: &[&str]) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_doltdb-operator")).arg("module").args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8(text).unwrap(), output.status.code().unwrap())
}

fn shipped(slot: &str) -> String {
    let folder = std::env::var_os("MODULES_DIR").expect("MODULES_DIR is set: `cargo xtask guests` prints the folder");
    PathBuf::from(folder).join(format!("{slot}.wasm")).to_str().unwrap().to_owned()
}

/// Settings that grant the module of Database what it wants, but for what is taken away.
fn settings(folder: &Path, change: impl FnOnce(&mut Value)) -> String {
    let kind = |kind: &str, resource: &str| json!({"apiVersion": "k8s.dolthub.com/v1alpha", "kind": kind, "resource": resource});
    let servers = ["*-primary.*.svc.*", "*-0.*-internal.*.svc.*"];
    let mut settings = json!({
        "product": "test",
        "domain": "example.com",
        "modules": {"folder": "/nonexistent", "cache": "/nonexistent", "signatures": {"mode": "off"}},
        "reconcilers": {"database": {
            "reconciles": kind("Database", "databases"),
            "settings": {"resyncSeconds": 30},
            "grant": {
                "read": [kind("DoltDB", "doltdbs")],
                "label": [kind("Database", "databases")],
                "secrets": ["*/*-credentials"],
                "authorities": ["*/*"],
                "sql": {"read": servers, "write": servers},
            },
        }},
    });
    change(&mut settings);
    let file = folder.join("settings.yaml");
    fs::write(&file, settings.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// A key as `openssl genpkey -algorithm ed25519` writes it.
fn key(folder: &Path) -> String {
    let head = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let der = STANDARD.encode([head.as_slice(), &[42; 32]].concat());
    let file = folder.join("key.pem");
    fs::write(&file, format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n")).unwrap();
    file.to_str().unwrap().to_owned()
}

fn line<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[test]
fn a_module_is_shown() {
    let (text, status) = module(&["inspect", &shipped("database")]);
    assert_eq!(status, 0, "{text}");
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&shown["name"], &shown["reconciles"]), (&json!("database"), &json!("k8s.dolthub.com/v1alpha Database")));
    assert!(shown["permissions"].as_array().unwrap().contains(&json!("secret */*-credentials")), "{text}");
    assert_eq!(shown["settingsSchema"]["type"], "object");
}

#[test]
fn a_signature_is_verified_and_another_is_not() {
    let folder = TempDir::new().unwrap();
    let (text, status) = module(&["sign", &shipped("database"), "--key", &key(folder.path())]);
    assert_eq!(status, 0, "{text}");
    let (signature, public) = (line(&text, "signature"), line(&text, "public key"));
    let settings = settings(folder.path(), |s| s["modules"]["signatures"] = json!({"mode": "required", "keys": {"release": public}}));
    let verify = |module_file: &str, signature: &str| module(&["verify", module_file, "--settings", &settings, "--signature", signature]);
    let (text, status) = verify(&shipped("database"), signature);
    assert!(status == 0 && text.contains("may run in slot database"), "{text}");
    let (text, status) = verify(&shipped("database"), "AAAA");
    assert!(status == 1 && text.contains("UnknownSignature: has a signature that is by none of the keys release"), "{text}");
    let (text, status) = module(&["verify", &shipped("database"), "--settings", &settings]);
    assert!(status == 1 && text.contains("Unsigned"), "{text}");
}

#[rstest]
#[case::grant("database", |s: &mut Value| s["reconcilers"]["database"]["grant"]["secrets"] = json!([]), 1, "BeyondGrant")]
#[case::settings("database", |s: &mut Value| s["reconcilers"]["database"]["settings"] = json!({"resync": 3}), 1, "OtherSettings")]
#[case::slot("doltdb", |_: &mut Value| (), 1, "NoSuchSlot")]
#[case::fits("database", |_: &mut Value| (), 0, "may run in slot database")]
fn a_module_is_held_against_the_settings(
    #[case] slot: &str,
    #[case] change: impl FnOnce(&mut Value),
    #[case] expected: i32,
    #[case] says: &str,
) {
    let folder = TempDir::new().unwrap();
    let (text, status) = module(&["verify", &shipped(slot), "--settings", &settings(folder.path(), change)]);
    assert!(status == expected && text.contains(says), "{status}: {text}");
}

#[test]
fn the_manifest_carries_the_module_and_says_which_it_is() {
    let folder = TempDir::new().unwrap();
    let (text, status) = module(&["sign", &shipped("database"), "--key", &key(folder.path()), "--output", "config-map"]);
    assert_eq!(status, 0, "{text}");
    let manifest: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(manifest["metadata"]["name"], "module-database");
    assert_eq!(manifest["metadata"]["labels"]["k8s.dolthub.com/module"], "database");
    let packed = STANDARD.decode(manifest["binaryData"]["module.wasm.zst"].as_str().unwrap()).unwrap();
    let file = folder.path().join("packed");
    fs::write(&file, packed).unwrap();
    let (shown, _) = module(&["inspect", file.to_str().unwrap()]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["digest"], manifest["metadata"]["annotations"]["k8s.dolthub.com/module-sha256"]);
}

/// A journal of a deleted Database without a finalizer: nothing is read, and nothing is to be done.
fn journals(folder: &Path, next: Value) -> String {
    let (api_version, kind, namespace, name) = ("k8s.dolthub.com/v1alpha", "Database", "ns", "db");
    let body = json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "deletionTimestamp": "2026-03-01T12:00:00Z"},
        "spec": {"doltDBRef": {"name": "dolt"}, "name": "db"},
    });
    let header = json!({
        "api_version": api_version, "kind": kind, "namespace": namespace, "name": name, "uid": "u", "resource_version": "1",
        "generation": 1, "deleting": true, "labels": [],
    });
    let journal = json!({
        "subject": {"reconciler": "database", "uid": "u", "object": {"api_version": api_version, "kind": kind, "namespace": namespace, "name": name}},
        "module": "00",
        "request": {"object": {"header": header, "body": body.to_string()}, "settings": "{}", "last": null},
        "reads": [],
        "ending": {"Plan": {"effects": [], "events": [], "next": next}},
    });
    let file = folder.join("journals.json");
    fs::write(&file, json!([journal]).to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn the_past_is_decided_again() {
    let folder = TempDir::new().unwrap();
    let database = shipped("database");
    let (text, status) = module(&["replay", &database, "--journals", &journals(folder.path(), json!("Change"))]);
    assert!(status == 0 && text == "1 decisions are the same, 0 are not\n", "{text}");
    let otherwise = journals(folder.path(), json!({"After": 5}));
    let (text, status) = module(&["replay", &database, "--journals", &otherwise]);
    assert!(status == 1 && text.contains("Database ns/db\n  /next: {\"After\":5} became \"Change\""), "{text}");
    let (text, status) = module(&["diff", &database, &database, "--journals", &otherwise]);
    assert!(status == 0 && text == "1 decisions are the same, 0 are not\n", "{text}");
}

#[test]
fn what_cannot_be_told_is_another_status() {
    let (text, status) = module(&["inspect", "/nonexistent"]);
    assert!(status == 2 && text.starts_with("cannot read /nonexistent: "), "{text}");
}
