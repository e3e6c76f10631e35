//! Tests of reconcilers from files: a [`Fixture`] is a world in YAML, a case is one file, a snapshot is the plan that comes of it.
//!
//! The same files drive a reconciler natively ([`run`]) and as a component (whoever embeds it answers the component's imports from the
//! fixture's methods), and the plans must be the same.

mod fixture;
mod mask;
mod permissions;
mod render;

pub use fixture::{Fixture, FixtureError, FixtureRows, FixtureSecret, FixtureTask, SqlAnswer, SqlFailure};
pub use render::{render, render_answer, value_from_json, value_to_json};

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::{Failure, Permission, Plan, Reconciler};

/// Runs a reconciler natively in the fixture's world.
pub fn run<R: Reconciler>(fixture: &Fixture) -> Result<Plan, Failure> {
    R::reconcile(fixture, &fixture.request())
}

/// The plan (or the failure) and the reads that led to it, readable and always in the same form.
pub fn snapshot<R: Reconciler>(fixture: &Fixture) -> Json {
    let answer = run::<R>(fixture);
    let mut shown = render_answer(&answer, &fixture.reads());
    if fixture.brief {
        render::shorten(&mut shown);
    }
    shown
}

/// Compares the permissions that a reconciler asks for with those that it makes use of in all cases of a folder: what is used and not asked for,
/// and what is asked for and not used. Both are empty where the description is exact and the cases are complete.
///
/// # Panics
/// When a case cannot be read.
pub fn permissions<R: Reconciler>(folder: impl AsRef<Path>) -> (Vec<Permission>, Vec<Permission>) {
    let asked = R::describe().permissions;
    let mut used = Vec::new();
    for path in cases(folder) {
        let fixture = Fixture::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let plan = run::<R>(&fixture);
        used.extend(fixture.used());
        used.extend(plan.iter().flat_map(|plan| permissions::of_plan(plan, &fixture.namespace())));
    }
    let missing = used.iter().filter(|used| !asked.iter().any(|asked| permissions::covers(asked, used))).cloned().collect();
    let idle = asked.iter().filter(|asked| !used.iter().any(|used| permissions::covers(asked, used))).cloned().collect();
    (missing, idle)
}

/// The cases in a folder, in the order of their names.
///
/// # Panics
/// When the folder cannot be read: a test without cases proves nothing.
pub fn cases(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let folder = folder.as_ref();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display()));
    let mut cases: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display())).path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no cases in {}", folder.display());
    cases
}

/// The tests of a reconciler by its cases: each file in `tests/cases` is a world, the snapshot beside it is what is planned in it and what was
/// read; and the description asks for what the cases use and nothing else. The caller depends on `insta`.
#[macro_export]
macro_rules! test_cases {
    ($reconciler:ty) => {
        #[test]
        fn each_case_gives_its_plan() {
            for path in $crate::testkit::cases(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases")) {
                let fixture = $crate::testkit::Fixture::load(&path).expect("a case is a fixture");
                let name = path.file_stem().expect("a case has a name").to_string_lossy().into_owned();
                let mut settings = insta::Settings::clone_current();
                settings.set_snapshot_path("snapshots");
                settings.set_prepend_module_to_snapshot(false);
                settings.set_omit_expression(true);
                settings.bind(|| insta::assert_yaml_snapshot!(name, $crate::testkit::snapshot::<$reconciler>(&fixture)));
            }
        }

        #[test]
        fn the_description_asks_for_what_is_used_and_nothing_else() {
            let (missing, idle) = $crate::testkit::permissions::<$reconciler>(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases"));
            assert!(missing.is_empty(), "used, but not asked for: {missing:?}");
            assert!(idle.is_empty(), "asked for, but used by no case: {idle:?}");
        }
    };
}
