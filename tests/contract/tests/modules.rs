//! What may run in a slot, and how its machine code is kept.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use contract::components;
use host::{
    module::{Admission, Compiler, ModuleError, Modules},
    runtime::Runtime,
    settings::Settings,
};
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The header of a component.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A folder with modules and a cache beside it.
struct Place(TempDir);

impl Place {
    /// With the hostile reconciler in its slot.
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.0.path().join("modules")).unwrap();
        place.put("hostile", components::hostile(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()));
        place
    }

    fn put(&self, slot: &str, wasm: &[u8]) {
        fs::write(self.0.path().join(format!("modules/{slot}.wasm")), wasm).unwrap();
    }

    fn cache(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    /// Files of machine code.
    fn code(&self) -> Vec<PathBuf> {
        fs::read_dir(self.cache()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn settings(&self, change: impl FnOnce(&mut Value)) -> Settings {
        let kind = |api_version: &str, kind: &str, resource: &str| json!({"apiVersion": api_version, "kind": kind, "resource": resource});
        let mut settings = json!({
            "product": "test",
            "domain": "example.com",
            "modules": {"folder": self.0.path().join("modules"), "cache": self.cache()},
            "reconcilers": {"hostile": {
                "reconciles": kind("example.com/v1", "Widget", "widgets"),
                "settings": {"do": "echo"},
                "grant": {
                    "read": [kind("v1", "Pod", "pods")],
                    "apply": [kind("v1", "ConfigMap", "configmaps")],
                    "secrets": ["widget-*"],
                    "sql": {"read": ["*.svc"]},
                },
            }},
        });
        change(&mut settings);
        serde_json::from_value(settings).unwrap()
    }

    async fn load(&self) -> Result<Modules, ModuleError> {
        self.load_by(&own_compiler(), |_| ()).await
    }

    async fn load_by(&self, compiler: &Compiler, change: impl FnOnce(&mut Value)) -> Result<Modules, ModuleError> {
        let settings = self.settings(change);
        let runtime = Arc::new(Runtime::new(&settings.limits).unwrap());
        Ok(Modules::load(&Admission::new(&settings, runtime, compiler.clone())?).await)
    }
}

fn own_compiler() -> Compiler {
    Compiler::new(env!("CARGO_BIN_EXE_compile-module"), [""; 0])
}

/// A compiler that must not be needed.
fn no_compiler() -> Compiler {
    Compiler::new("/nonexistent/compiler", [""; 0])
}

/// Why the first slot is empty.
fn error(result: Result<Modules, ModuleError>) -> String {
    match result {
        Err(error) => error.to_string(),
        Ok(modules) => {
            let slot = modules.empty().into_iter().next().expect("a slot must be empty");
            assert!(modules.active(&slot).is_none());
            modules.refused(&slot).expect("it was refused")
        }
    }
}

#[tokio::test]
async fn a_module_is_compiled_once_and_says_what_it_is() {
    let place = Place::new();
    let active = place.load().await.unwrap().active("hostile").unwrap();
    assert_eq!((active.slot.as_str(), active.description.name.as_str(), active.digest.len()), ("hostile", "hostile", 64));
    assert_eq!(fs::metadata(place.cache()).unwrap().permissions().mode() & 0o777, 0o700);
    let code = place.code();
    assert_eq!(code.len(), 1, "the machine code and nothing else: {code:?}");

    let modules = place.load_by(&no_compiler(), |_| ()).await.unwrap();
    assert_eq!(modules.active("hostile").unwrap().digest, active.digest);
    assert!(modules.active("other").is_none());
    let report = serde_json::to_value(modules.report(true)).unwrap();
    assert_eq!(report[0]["reconciles"], "example.com/v1 Widget");
    assert_eq!(report[0]["digest"], active.digest);
    assert_eq!(report[0]["source"]["from"], "folder");
}

#[tokio::test]
async fn limits_of_the_settings_need_no_other_code() {
    let place = Place::new();
    place.load().await.unwrap();
    let other_limits = |settings: &mut Value| settings["limits"] = json!({"memoryMib": 128, "cpuMs": 5});
    place.load_by(&no_compiler(), other_limits).await.unwrap();
}

#[rstest]
#[case::changed_in_the_middle(|code: &mut Vec<u8>| { let middle = code.len() / 2; code[middle] ^= 1; })]
#[case::cut(|code: &mut Vec<u8>| code.truncate(1_000))]
#[case::emptied(|code: &mut Vec<u8>| code.clear())]
#[tokio::test]
async fn damaged_code_is_compiled_again(#[case] damage: impl Fn(&mut Vec<u8>)) {
    let place = Place::new();
    place.load().await.unwrap();
    let file = place.code().remove(0);
    let whole = fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damage(&mut damaged);
    fs::write(&file, damaged).unwrap();
    place.load().await.unwrap();
    assert_eq!(place.code(), std::slice::from_ref(&file));
    assert!(fs::read(&file).unwrap() == whole, "the same component makes the same code");
}

#[tokio::test]
async fn code_of_another_engine_is_compiled_again() {
    let place = Place::new();
    place.load().await.unwrap();
    let file = place.code().remove(0);
    // Whole and by the right name, but nothing that the engine takes.
    let digest = |bytes: &[u8]| {
        use sha2::Digest;
        hex::encode(&sha2::Sha256::digest(bytes)[..8])
    };
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let (prefix, _) = name.rsplit_once('-').unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(place.cache().join(format!("{prefix}-{}.cwasm", digest(b"not code"))), b"not code").unwrap();
    place.load().await.unwrap();
    assert_eq!(place.code(), [file]);
}

#[tokio::test]
async fn a_cache_where_others_may_write_is_not_used() {
    let place = Place::new();
    fs::create_dir(place.cache()).unwrap();
    fs::set_permissions(place.cache(), fs::Permissions::from_mode(0o777)).unwrap();
    let message = error(place.load().await);
    assert!(message.contains("others may write there") && message.contains("0700"), "{message}");
}

/// A component that imports something of its own.
fn foreign() -> Vec<u8> {
    let name = b"example:files/disk@1.0.0";
    let import = [&[1, 0, u8::try_from(name.len()).unwrap()], name.as_slice(), &[5, 0]].concat();
    // An instance type without items, and an import of it.
    [COMPONENT, &[7, 3, 1, 0x42, 0], &[10, u8::try_from(import.len()).unwrap()], &import].concat()
}

#[rstest]
#[case::text(b"hello".to_vec(), &["cannot be compiled", "not a valid component"])]
#[case::core_module(b"\0asm\x01\0\0\0".to_vec(), &["cannot be compiled", "not a valid component"])]
#[case::nothing_in_it(COMPONENT.to_vec(), &["is not a reconciler: it does not export describe, reconcile", "build it for the world"])]
#[case::foreign_import(foreign(), &["is not a reconciler: it imports example:files/disk@1.0.0", "build it for the world"])]
#[tokio::test]
async fn what_is_no_reconciler_does_not_load(#[case] wasm: Vec<u8>, #[case] message: &[&str]) {
    let place = Place::new();
    place.put("hostile", &wasm);
    let error = error(place.load().await);
    assert!(error.contains("modules/hostile.wasm"), "{error}");
    for part in message {
        assert!(error.contains(part), "{error}");
    }
}

#[rstest]
#[case::missing(
    |s: &mut Value| s["reconcilers"]["absent"] = s["reconcilers"]["hostile"].clone(),
    &["module ", "absent.wasm cannot be read", "slot absent needs its component there"]
)]
#[case::kind(
    |s: &mut Value| s["reconcilers"]["hostile"]["reconciles"]["kind"] = "Gadget".into(),
    &["hostile.wasm reconciles example.com/v1 Widget", "reconcilers.hostile.reconciles says example.com/v1 Gadget"]
)]
#[case::permissions(
    |s: &mut Value| s["reconcilers"]["hostile"]["grant"] = json!({"secrets": ["widget-a*"]}),
    &["reconcilers.hostile.grant.read: v1 Pod, reconcilers.hostile.grant.apply: v1 ConfigMap, reconcilers.hostile.grant.secrets: widget-*, \
       reconcilers.hostile.grant.sql.read: *.svc"]
)]
#[case::settings(
    |s: &mut Value| s["reconcilers"]["hostile"]["settings"] = json!({"od": "echo"}),
    &["does not take the settings of the slot: settings: do is missing"]
)]
#[tokio::test]
async fn settings_that_do_not_fit_a_module_are_told(#[case] change: impl FnOnce(&mut Value), #[case] message: &[&str]) {
    let error = error(Place::new().load_by(&own_compiler(), change).await);
    for part in message {
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_module_runs_in_a_slot_of_its_name_only() {
    let place = Place::new();
    place.put("other", components::hostile(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()));
    let rename = |s: &mut Value| {
        let slot = s["reconcilers"]["hostile"].take();
        s["reconcilers"] = json!({"other": slot});
    };
    let error = error(place.load_by(&own_compiler(), rename).await);
    assert!(error.contains("is reconciler hostile, and cannot run in slot other"), "{error}");
}

#[rstest]
#[case::slow(Compiler::new("/bin/sh", ["-c", "sleep 60"]).within(Duration::from_millis(200)), "it takes longer than 0 s")]
#[case::failing(Compiler::new("/bin/sh", ["-c", "echo no compiler today >&2; exit 3"]), "no compiler today")]
#[case::killed(Compiler::new("/bin/sh", ["-c", "kill -9 $$"]), "the compiler was ended (signal: 9 (SIGKILL)); it may use 2048 MiB")]
#[case::missing(no_compiler(), "cannot start /nonexistent/compiler")]
#[tokio::test]
async fn a_compiler_that_fails_is_told(#[case] compiler: Compiler, #[case] message: &str) {
    let place = Place::new();
    let error = error(place.load_by(&compiler, |_| ()).await);
    assert!(error.contains("cannot be compiled") && error.contains(message), "{error}");
    assert_eq!(place.code(), Vec::<PathBuf>::new(), "nothing is left behind");
}

#[tokio::test]
async fn one_bad_module_leaves_its_own_slot_empty_and_no_other() {
    let place = Place::new();
    place.put("bad", b"hello");
    let with_bad = |s: &mut Value| s["reconcilers"]["bad"] = s["reconcilers"]["hostile"].clone();
    let modules = place.load_by(&own_compiler(), with_bad).await.unwrap();
    assert_eq!(modules.empty(), ["bad"]);
    assert!(modules.active("hostile").is_some(), "it comes after the bad one");
    let report = serde_json::to_value(modules.report(false)).unwrap();
    assert!(report[0]["refused"].as_str().unwrap().contains("bad.wasm cannot be compiled: not a valid component"), "{report}");
}
