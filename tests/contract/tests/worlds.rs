//! Two versions of the contract on one host: the same reconciler, built for each, reads and plans the same and is checked the same; what is
//! built for another version is refused by its number.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{path::Path, sync::Arc};

use contract::{
    components::{as_of, of_both_worlds},
    world::{Played, cross, subject},
};
use host::{
    contract::{Effect, Plan, Request},
    gateway::{Ending, Journal, Recorder},
    plan::{Reach, check},
    runtime::{Guest, Runtime, RuntimeError, compile},
    settings::{Limits, Reconciler},
};
use sdk::testkit::Fixture;
use serde_json::json;

const WORLD: &str = r#"
object: { apiVersion: example.com/v1, kind: Widget, metadata: { name: w, namespace: default, uid: "1", finalizers: [x] } }
settings: { a: "ü" }
last: { done: 1, failure: { effect: 1, kind: Sql, message: m, sql: { kind: Timeout, code: 7, state: HY000, message: n } } }
now: 2026-03-01T12:00:00Z
objects:
  - { apiVersion: v1, kind: Pod, metadata: { name: some, namespace: default, labels: { app: x } }, spec: { node: "1" } }
secrets:
  - { namespace: default, name: widget-root, data: { user: root } }
sql:
  - { host: db.svc, statement: SELECT NOTHING, error: { kind: Server, code: 1105, state: HY000, message: nothing } }
  - { host: db.svc, rows: [[1, -1, 18446744073709551615, 1.5, text, null, true]] }
"#;

fn components() -> &'static [Vec<u8>; 2] {
    of_both_worlds(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap())
}

fn load(wasm: &[u8]) -> Result<Guest, RuntimeError> {
    let folder = tempfile::tempdir().unwrap();
    let code = folder.path().join("code.cwasm");
    std::fs::write(&code, compile(wasm).unwrap()).unwrap();
    Runtime::new(&Limits::default()).unwrap().load(&code)
}

async fn reconciled(guest: &Guest) -> (Plan, Vec<host::gateway::Read>, Request) {
    let played = Arc::new(Played::at_once(Fixture::parse(WORLD).unwrap()));
    let request: Request = cross(&played.fixture.request());
    let recorder = Arc::new(Recorder::new(played));
    let plan = guest.reconcile(&subject("former", &request), recorder.clone(), &request).await.unwrap().unwrap();
    (plan, recorder.take(), request)
}

#[tokio::test]
async fn a_component_of_the_world_before_reads_and_plans_as_one_of_the_present() {
    let [before, present] = components();
    let (before, present) = (load(before).unwrap(), load(present).unwrap());
    assert_eq!((before.world(), present.world()), ("0.1.0", "0.2.0"));
    assert_eq!(before.describe().await.unwrap(), present.describe().await.unwrap());

    let ((plan, reads, request), (expected, expected_reads, _)) = (reconciled(&before).await, reconciled(&present).await);
    assert_eq!((plan.effects.len(), reads.len()), (7, 5));
    assert_eq!((&plan, &reads), (&expected, &expected_reads));
    let Effect::Status(status) = &plan.effects[0] else { panic!("no status") };
    for seen in ["18446744073709551615", "HY000", "digest of root", "ü", "1772366400000"] {
        assert!(status.contains(seen), "the answers came through: {seen} is not in {status}");
    }

    // A journal of one replays on the other.
    let journal = Journal { subject: subject("former", &request), module: "0".into(), request, reads, ending: Ending::Plan(plan) };
    assert_eq!(host::swap::replay(&present, &journal).await.unwrap(), journal.ending);
    assert_eq!(host::swap::replay(&before, &journal).await.unwrap(), journal.ending);
}

#[tokio::test]
async fn the_plan_of_a_component_of_the_world_before_is_checked_as_any_other() {
    let kind = |kind: &str, resource: &str| json!({"apiVersion": "v1", "kind": kind, "resource": resource});
    let mut slot = json!({
        "reconciles": {"apiVersion": "example.com/v1", "kind": "Widget", "resource": "widgets"},
        "grant": {
            "read": [kind("Pod", "pods")], "apply": [kind("ConfigMap", "configmaps")], "delete": [kind("Pod", "pods")],
            "label": [kind("Pod", "pods")], "secrets": ["widget-*"], "generateSecrets": ["s"],
            "sql": {"read": ["db.svc"], "write": ["db.svc"]},
        },
    });
    let (plan, _, request) = reconciled(&load(&components()[0]).unwrap()).await;
    let subject = subject("former", &request);
    let judged = |slot: &serde_json::Value| {
        let slot: Reconciler = serde_json::from_value(slot.clone()).unwrap();
        check(&plan, &subject, &Reach::new(Arc::new(slot)), &Limits::default(), None)
    };
    assert_eq!(judged(&slot), Ok(()));
    slot["grant"]["sql"]["write"] = json!([]);
    assert_eq!(judged(&slot).unwrap_err().to_string(), "effect 5 (sql): writing on host db.svc is not granted");
}

#[test]
fn a_component_of_a_later_world_is_refused_by_its_number() {
    let refused = load(&as_of(&components()[1], "0.3.0")).unwrap_err();
    assert_eq!(refused.to_string(), "of version 0.3.0 of the world, and this host runs 0.2.0 and 0.1.0");
}
