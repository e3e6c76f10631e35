//! The generated files in the checkout are those that the types give now, and nothing else stands beside them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crds::generate::files;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn files_are_current() {
    let stale: Vec<_> = files()
        .unwrap()
        .into_iter()
        .filter(|file| fs::read_to_string(root().join(&file.path)).ok().as_ref() != Some(&file.content))
        .map(|file| file.path)
        .collect();
    assert!(stale.is_empty(), "run `cargo xtask crds`; out of date: {stale:?}");
}

#[test]
fn nothing_else_stands_in_the_generated_folders() {
    let expected: BTreeSet<_> =
        files().unwrap().into_iter().map(|file| file.path).filter(|path| path != "crds/kustomization.yaml").collect();
    let mut found = BTreeSet::new();
    for folder in ["crds/generated", "charts/doltdb-operator-crds/files"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            found.insert(format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy()));
        }
    }
    assert_eq!(found, expected);
}
