//! Objects that anybody may write who may write them at all. Whatever stands in one, and whatever the servers answer: the reconciler does not
//! panic, and asks for nothing outside of its grant, for a plan with one such effect is dropped as a whole.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;

use backup::BackupReconciler;
use backupschedule::BackupScheduleReconciler;
use contract::{
    components::root,
    world::{cross, subject},
};
use database::DatabaseReconciler;
use doltdb::DoltDBReconciler;
use fuzz::{Anything, change, inputs, slot as installed};
use grant::GrantReconciler;
use host::{
    plan::{Reach, check},
    settings::{Limits, Reconciler as Slot},
};
use rstest::rstest;
use sdk::{
    Failure, Plan, Reconciler, Request, World,
    testkit::{Fixture, cases},
};
use serde_json::Value as Json;
use snapshot::SnapshotReconciler;
use user::UserReconciler;

type Function = fn(&dyn World, &Request) -> Result<Plan, Failure>;

fn keep_what_is_the_api_servers(before: &Json, object: &mut Json) {
    if !object["metadata"].is_object() {
        object["metadata"] = before.clone();
    }
    for name in ["name", "namespace", "uid", "generation", "deletionTimestamp"] {
        if let Some(own) = before.get(name) {
            object["metadata"][name] = own.clone();
        }
    }
}

#[rstest]
#[case::doltdb("doltdb", DoltDBReconciler::reconcile)]
#[case::database("database", DatabaseReconciler::reconcile)]
#[case::user("user", UserReconciler::reconcile)]
#[case::grant("grant", GrantReconciler::reconcile)]
#[case::snapshot("snapshot", SnapshotReconciler::reconcile)]
#[case::backup("backup", BackupReconciler::reconcile)]
#[case::backupschedule("backupschedule", BackupScheduleReconciler::reconcile)]
fn whatever_an_object_says_its_plan_is_within_the_grant(#[case] slot: &str, #[case] reconcile: Function) {
    let cases = cases(root().join(format!("guests/{slot}/tests/cases")));
    assert!(!cases.is_empty());
    let (reach, limits) = (Reach::new(Arc::new(serde_json::from_value::<Slot>(installed(slot)).unwrap())), Limits::default());
    let texts: Vec<String> = cases.iter().map(|case| std::fs::read_to_string(case).unwrap()).collect();
    inputs(2_000, |u| {
        let mut fixture = Fixture::parse(u.choose(&texts)?).unwrap();
        let part = *u.choose(&["spec", "spec", "status", "metadata"])?;
        let before = fixture.object[part].clone();
        if let Some(value) = fixture.object.get_mut(part) {
            change(value, u)?;
        }
        if part == "metadata" {
            keep_what_is_the_api_servers(&before, &mut fixture.object);
        }
        for object in &mut fixture.objects {
            if u.ratio(1, 8)? && object.get("status").is_some() {
                change(&mut object["status"], u)?;
            }
        }
        let request = fixture.request();
        if let Ok(plan) = reconcile(&Anything::new(&fixture, u), &request) {
            let denied = check(&cross(&plan), &subject(slot, &cross(&request)), &reach, &limits, None);
            assert_eq!(denied, Ok(()), "of {}", fixture.object);
        }
        Ok(())
    });
}
