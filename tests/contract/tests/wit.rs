//! The contract's published versions: they stay as they were, and the next one only adds.
//!
//! To publish a version, copy the contract to its blessed folder, once:
//! `mkdir wit/blessed/VERSION && cp wit/reconciler.wit wit/blessed/VERSION/`
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{fs, path::PathBuf};

use contract::{components::root, growth::Package};
use rstest::rstest;

fn current() -> String {
    fs::read_to_string(root().join("wit/reconciler.wit")).unwrap()
}

/// Every published version with its text, oldest first.
fn published() -> Vec<(String, String)> {
    let folders = fs::read_dir(root().join("wit/blessed")).unwrap().map(|entry| entry.unwrap().path());
    let mut versions: Vec<(String, PathBuf)> =
        folders.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path.join("reconciler.wit"))).collect();
    versions.sort_by_key(|(version, _)| version.split('.').map(|n| n.parse::<u32>().unwrap()).collect::<Vec<_>>());
    versions.into_iter().map(|(version, file)| (version, fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn a_published_version_is_not_changed() {
    let text = current();
    let version = Package::parse(&text).unwrap().version;
    if let Some((_, blessed)) = published().into_iter().find(|(v, _)| *v == version) {
        assert!(text == blessed, "wit/reconciler.wit differs from wit/blessed/{version}: give it a new version");
    }
}

#[test]
fn published_versions_are_what_their_folders_say() {
    let published = published();
    assert!(!published.is_empty(), "no version is published");
    for (version, text) in published {
        assert_eq!(Package::parse(&text).unwrap().version, version);
    }
}

#[test]
fn each_version_only_adds_to_the_one_before() {
    let mut texts: Vec<String> = published().into_iter().map(|(_, text)| text).collect();
    texts.push(current());
    for pair in texts.windows(2) {
        let (before, after) = (Package::parse(&pair[0]).unwrap(), Package::parse(&pair[1]).unwrap());
        assert_eq!(after.breaks(&before), Vec::<String>::new(), "from {} to {}", before.version, after.version);
    }
}

const BEFORE: &str = "
    package a:b@0.1.0;
    interface i {
        record r { x: u32 }
        enum e { one, two }
        variant v { none, some(r) }
        f: func(x: list<option<r>>) -> result<string, e>;
    }
    world w { import i; use i.{r}; export g: func(x: r); }";

#[rstest]
#[case::nothing("", "", &[])]
#[case::field("x: u32", "x: u32, y: u32", &["i.r was record {x: u32} and is record {x: u32, y: u32}"])]
#[case::optional_field("x: u32", "x: u32, y: option<e>", &[])]
#[case::optional_field_before_others("x: u32", "y: option<e>, x: u32", &["i.r was record {x: u32} and is record {y: option<e>, x: u32}"])]
#[case::field_beside_an_optional_one(
    "x: u32",
    "x: u32, y: option<e>, z: e",
    &["i.r was record {x: u32} and is record {x: u32, y: option<e>, z: e}"]
)]
#[case::type_of_field("x: u32", "x: u64", &["i.r was record {x: u32} and is record {x: u64}"])]
#[case::case_at_the_end("one, two", "one, two, three", &[])]
#[case::case_before_others("one, two", "zero, one, two", &["i.e was [one, two] and is [zero, one, two]"])]
#[case::case_less("one, two", "one", &["i.e was [one, two] and is [one]"])]
#[case::payload("some(r)", "some(u32)", &["i.v was [none, some(r)] and is [none, some(u32)]"])]
#[case::function("f: func", "h: func() -> u32; f: func", &[])]
#[case::parameter("list<option<r>>", "list<r>", &["i.f was func(x: list<option<r>>) -> result<string, e> and is func(x: list<r>) -> result<string, e>"])]
#[case::renamed_function("f: func", "h: func", &["i.f is gone"])]
#[case::export("export g", "export h", &["world w: export g is gone"])]
#[case::more_imports("import i", "import j: interface {} import i", &[])]
fn growth_is_told_from_breakage(#[case] part: &str, #[case] becomes: &str, #[case] expected: &[&str]) {
    let after = BEFORE.replacen(part, becomes, 1);
    assert_eq!(Package::parse(&after).unwrap().breaks(&Package::parse(BEFORE).unwrap()), expected);
}
