//! The host knows no product: what is particular to one stands in settings and reconcilers.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use contract::components::root;

/// The word that must not occur, in any case. In two halves, so that a search for it finds no test.
const WORD: &str = concat!("do", "lt");

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_host_and_the_contract_do_not_name_the_product() {
    let mut searched = 0;
    let mut found = Vec::new();
    for file in ["host", "wit", "guests/sdk"].iter().flat_map(|folder| files(&root().join(folder))) {
        searched += 1;
        let name = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).to_lowercase();
        let lines = text.lines().enumerate().filter(|(_, line)| line.contains(WORD)).map(|(i, line)| format!("{name}:{}: {line}", i + 1));
        found.extend(lines);
        if name.to_lowercase().contains(WORD) {
            found.push(name);
        }
    }
    assert!(searched > 30, "only {searched} files were searched");
    assert_eq!(found, Vec::<String>::new());
}
