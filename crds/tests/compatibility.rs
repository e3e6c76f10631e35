//! `docs/compatibility.md` holds what it promises: each row says same, better or different and names tests that exist, and each weakness of
//! the Go operator is in a row or among what is not there yet.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The weaknesses are numbered from 1 to this.
const WEAKNESSES: u32 = 65;
const OPEN: &str = "## Not there yet";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The names of all functions in the Rust files of the checkout.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                functions(&path, found);
            }
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names =
                text.split("fn ").skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default());
            found.extend(names.map(ToOwned::to_owned));
        }
    }
}

/// A row of a table: its cells.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---") && !line.ends_with("| test |"));
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_row_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    let (tables, open) = page.split_once(OPEN).unwrap();
    let mut known = BTreeSet::new();
    functions(&root(), &mut known);
    let exists = |test: &str| match test.split_once("::") {
        Some((kind, case)) => root().join(format!("guests/{kind}/tests/cases/{case}.yaml")).exists(),
        None if test.contains('/') => root().join(test).exists(),
        None => known.contains(test),
    };
    let mut wrong = Vec::new();
    let rows = rows(tables);
    for row in &rows {
        let (Some(tests), Some(verdict)) = (row.last(), row.len().checked_sub(2).map(|at| row[at])) else { continue };
        let tests = quoted(tests);
        if tests.is_empty() {
            wrong.push(format!("no test: {row:?}"));
        }
        wrong.extend(tests.into_iter().filter(|test| !exists(test)).map(|test| format!("there is no test {test}: {row:?}")));
        if !["same", "better", "different"].iter().any(|word| verdict.starts_with(word)) {
            wrong.push(format!("neither same nor better nor different: {row:?}"));
        }
    }
    assert!(rows.len() > 100, "the tables were not read: {} rows", rows.len());
    let open: Vec<&str> = open.lines().filter_map(|line| line.strip_prefix("- ")).collect();
    let missing = open.iter().flat_map(|entry| quoted(entry)).filter(|test| test.contains("::") && !exists(test));
    wrong.extend(missing.map(|test| format!("there is no test {test}, which an open entry names")));
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut out = std::io::stderr();
    let _ = writeln!(out, "docs/compatibility.md: {} rows; not there yet: {}", rows.len(), open.len());
    for entry in open {
        let _ = writeln!(out, "  {entry}");
    }
}

#[test]
fn every_weakness_has_one_place() {
    let page = fs::read_to_string(root().join("docs/compatibility.md")).unwrap();
    let (tables, open) = page.split_once(OPEN).unwrap();
    let mut places: BTreeMap<u32, u32> = (1..=WEAKNESSES).map(|number| (number, 0)).collect();
    let numbered = rows(tables).into_iter().filter_map(|row| row[0].parse::<u32>().ok());
    let unfinished = open.lines().filter_map(|line| line.strip_prefix("- weakness ")?.split(':').next()?.parse::<u32>().ok());
    for number in numbered.chain(unfinished) {
        *places.entry(number).or_default() += 1;
    }
    places.retain(|_, count| *count != 1);
    assert!(places.is_empty(), "weaknesses with another number of places than one: {places:?}");
}
