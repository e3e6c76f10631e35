//! What docs/write-a-reconciler.md tells its readers to type does what it says, as far as it needs no cluster.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::path::Path;

use e2e::{script, typed};

const PAGE: &str = "docs/write-a-reconciler.md";

/// As a reader has it.
const ON_PATH: &str = concat!("PATH=$(dirname '", env!("CARGO_BIN_EXE_doltdb-operator"), "'):$PATH\n");

#[tokio::test]
async fn the_rust_example_is_built_shown_verified_and_replayed() {
    let mut said = String::new();
    for block in typed(PAGE, "sh").unwrap() {
        said += &script(&format!("{ON_PATH}{block}")).await.unwrap();
    }
    for words in [
        "\"reconciles\": \"example.com/v1 Tenant\"",
        "\"needsWasi\": false",
        "may run in slot tenant",
        "1 decisions are the same, 0 are not",
    ] {
        assert!(said.contains(words), "{words} is missing: {said}");
    }
}

/// `xtask test` says when this is left out.
#[tokio::test]
async fn the_python_example_is_built_shown_verified_and_replayed() {
    if std::env::var_os("WITHOUT_PIP").is_some() {
        return;
    }
    for block in typed(PAGE, "sh python").unwrap() {
        let said = script(&format!("{ON_PATH}{block}")).await.unwrap();
        for words in ["\"needsWasi\": true", "may run in slot rendered", "2 decisions are the same, 0 are not"] {
            assert!(said.contains(words), "{words} is missing: {said}");
        }
    }
}

#[test]
fn the_examples_are_as_short_as_the_page_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join(PAGE)).unwrap();
    for (file, most) in [("tenant/src/lib.rs", 150), ("rendered/app.py", 150)] {
        let lines = std::fs::read_to_string(root.join("examples/reconcilers").join(file)).unwrap().lines().count();
        assert!(lines < most, "{file} has {lines} lines");
        assert!(
            page.contains(&format!("[{lines} lines](../examples/reconcilers/{file})")),
            "{file} has {lines} lines, and {PAGE} says otherwise"
        );
    }
}
