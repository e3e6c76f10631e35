//! One table of cases, two ways to run them: each reconciler plans the same natively and as a component, after the same reads, and a
//! record of what it read is enough to come to the same plan again.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{path::Path, sync::Arc};

use contract::{
    components::{root, shipped},
    world::{Played, cross, subject},
};
use host::{
    gateway::{Recorder, Replay},
    runtime::{Guest, Runtime},
    settings::Limits,
};
use rstest::rstest;
use sdk::{
    Reconciler,
    testkit::{Fixture, cases, render_answer, run},
};
use serde_json::Value as Json;

/// A reconciler's component, compiled.
fn component(name: &str) -> Guest {
    let runtime = Runtime::new(&Limits::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("code.cwasm");
    std::fs::write(&code, runtime.compile(&shipped(name)).unwrap()).unwrap();
    runtime.load(&code).unwrap()
}

#[rstest]
#[case("database", run::<database::DatabaseReconciler>, database::DatabaseReconciler::describe)]
#[case("user", run::<user::UserReconciler>, user::UserReconciler::describe)]
#[case("grant", run::<grant::GrantReconciler>, grant::GrantReconciler::describe)]
#[case("snapshot", run::<snapshot::SnapshotReconciler>, snapshot::SnapshotReconciler::describe)]
#[case("backup", run::<backup::BackupReconciler>, backup::BackupReconciler::describe)]
#[case("backupschedule", run::<backupschedule::BackupScheduleReconciler>, backupschedule::BackupScheduleReconciler::describe)]
#[case("doltdb", run::<doltdb::DoltDBReconciler>, doltdb::DoltDBReconciler::describe)]
#[tokio::test]
async fn a_component_plans_what_its_code_plans(
    #[case] name: &str,
    #[case] natively: fn(&Fixture) -> Result<sdk::Plan, sdk::Failure>,
    #[case] describe: fn() -> sdk::Description,
) {
    let guest = component(name);
    assert_eq!(cross::<_, sdk::Description>(&guest.describe().await.unwrap()), describe(), "MODULES_DIR has another build of {name}");
    for path in cases(root().join(format!("guests/{name}/tests/cases"))) {
        let native = Fixture::load(&path).unwrap();
        let planned = natively(&native);
        let expected = render_answer(&planned, &once(native.reads()));

        let played = Arc::new(Played::at_once(Fixture::load(&path).unwrap()));
        let recorder = Arc::new(Recorder::new(played.clone()));
        let request = cross(&played.fixture.request());
        let subject = subject(name, &request);
        let answer = guest.reconcile(&subject, recorder.clone(), &request).await.unwrap();
        assert_same(&render_answer(&cross(&answer), &played.fixture.reads()), &expected, &path);

        let replay = Arc::new(Replay::new(recorder.take()));
        let again = guest.reconcile(&subject, replay.clone(), &request).await.unwrap();
        assert_eq!(again, answer, "{}", path.display());
        assert!(replay.divergence().is_none() && replay.unread() == 0, "{}", path.display());
    }
}

/// The host asks for the time once and then repeats it, where a fixture is asked each time.
fn once(mut reads: Vec<String>) -> Vec<String> {
    let mut asked = false;
    reads.retain(|read| read != "now" || !std::mem::replace(&mut asked, true));
    reads
}

/// Says where two plans part: in whole they are too long to compare by eye.
fn assert_same(component: &Json, native: &Json, case: &Path) {
    let lines = |json: &Json| serde_json::to_string_pretty(json).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let (component, native) = (lines(component), lines(native));
    let part = component.iter().zip(&native).position(|(a, b)| a != b).unwrap_or(component.len().min(native.len()));
    let from = part.saturating_sub(5);
    let around = |lines: &[String]| lines.iter().skip(from).take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(component == native, "{}:\nas a component\n{}\nnatively\n{}", case.display(), around(&component), around(&native));
}
