//! Plans that a reconciler could return, which may be anybody's: whatever is in one, the check gives an answer, and lets nothing through that
//! the grant does not name. What the grant names is looked up here once more, in another way.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;

use contract::{
    components::root,
    world::{cross, subject},
};
use doltdb::DoltDBReconciler;
use fuzz::{change, inputs, slot};
use host::{
    contract::{Effect, ObjectRef, Plan},
    gateway::Subject,
    plan::{Reach, check},
    settings::{Limits, Reconciler as Slot},
};
use sdk::testkit::{Fixture, cases, run};
use serde_json::{Value as Json, json};

#[test]
fn what_passes_the_check_is_granted() {
    let slot = slot("doltdb");
    let reach = Reach::new(Arc::new(serde_json::from_value::<Slot>(slot.clone()).unwrap()));
    let plans: Vec<(Subject, Json)> = cases(root().join("guests/doltdb/tests/cases"))
        .iter()
        .filter_map(|case| {
            let fixture = Fixture::load(case).unwrap();
            let plan = run::<DoltDBReconciler>(&fixture).ok()?;
            (!plan.effects.is_empty()).then(|| (subject("doltdb", &cross(&fixture.request())), serde_json::to_value(&plan).unwrap()))
        })
        .collect();
    let (mut passed, mut denied) = (0, 0);
    inputs(5_000, |u| {
        let (subject, plan) = u.choose(&plans)?;
        let mut plan = plan.clone();
        change(&mut plan["effects"], u)?;
        // What is no plan any more does not come out of a component.
        let Ok(plan) = serde_json::from_value::<Plan>(plan) else { return Ok(()) };
        match check(&plan, subject, &reach, &Limits::default(), None) {
            Ok(()) => {
                passed += 1;
                plan.effects.iter().for_each(|effect| assert!(is_granted(effect, subject, &slot["grant"]), "{effect:?}"));
            }
            Err(_) => denied += 1,
        }
        Ok(())
    });
    assert!(passed > 0 && denied > 0, "{passed} passed, {denied} were denied");
}

fn is_granted(effect: &Effect, subject: &Subject, grant: &Json) -> bool {
    let among = |verb: &str, object: &ObjectRef| {
        let kinds = grant[verb].as_array().unwrap();
        kinds.iter().any(|kind| kind["apiVersion"] == json!(object.api_version) && kind["kind"] == json!(object.kind))
            && object.namespace == subject.object.namespace
    };
    let host = |host: &str| {
        let labels: Vec<&str> = host.split('.').collect();
        // As `*.*-internal.*.svc.*` has it.
        labels.iter().any(|label| label.ends_with("-internal")) && host.contains(".svc.")
    };
    match effect {
        Effect::Apply(application) => {
            let body: Json = serde_json::from_str(&application.body).unwrap();
            among("apply", &application.object) && body["metadata"]["name"] == json!(application.object.name)
        }
        Effect::Delete(deletion) => among("delete", &deletion.object) && !deletion.uid.is_empty(),
        Effect::Label(labelling) => among("label", &labelling.object) && !labelling.uid.is_empty(),
        Effect::Sql(execution) => host(&execution.endpoint.host) && execution.endpoint.credentials.secret.ends_with("-credentials"),
        Effect::Start(task) => host(&task.execution.endpoint.host),
        Effect::GenerateSecret(_) => false,
        Effect::Finalizer(finalizer) => finalizer.name.contains('/'),
        Effect::Status(status) => serde_json::from_str::<Json>(status).is_ok_and(|status| status.is_object()),
        Effect::Forget(name) => !name.is_empty(),
    }
}
