//! Modules that somebody puts into a ConfigMap: whatever bytes they are, the compiler and the loader refuse them with a message or take them,
//! and what was taken describes itself or is ended.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::PathBuf;

use fuzz::inputs;
use host::{
    runtime::{Runtime, compile},
    settings::Limits,
};

/// A module with a few bytes changed, cut, put in or doubled.
#[test]
fn a_module_of_any_bytes_is_refused_or_runs_within_its_limits() {
    let folder = PathBuf::from(std::env::var_os("MODULES_DIR").expect("MODULES_DIR is where cargo xtask guests has put the modules"));
    let whole = std::fs::read(folder.join("user.wasm")).unwrap();
    let runtime = Runtime::new(&Limits::default()).unwrap();
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    inputs(40, |u| {
        let mut bytes = whole.clone();
        for _ in 0..u.int_in_range(1..=6)? {
            let at = u.int_in_range(0..=bytes.len() - 1)?;
            match u.int_in_range(0..=5)? {
                0..=2 => bytes[at] = u.arbitrary()?,
                3 => bytes.truncate(at.max(1)),
                4 => bytes.insert(at, u.arbitrary()?),
                _ => bytes.extend_from_within(at..(at + 64).min(whole.len()).min(bytes.len())),
            }
        }
        if let Ok(code) = compile(&bytes) {
            number += 1;
            let file = folder.path().join(format!("{number}.cwasm"));
            std::fs::write(&file, code).unwrap();
            if let Ok(guest) = runtime.load(&file) {
                let _ = tokio.block_on(guest.describe());
            }
        }
        Ok(())
    });
}
