//! The spec of a new cluster's pods, out of its plan. Knows nothing of what runs in them.

use doltdb::DoltDBReconciler;
use sdk::{
    Effect,
    testkit::{Fixture, run},
};
use serde_json::{Value, json};

/// The words of a command, by its place in the pods' spec. `tls` is whether clients must come by TLS, where they can.
pub(crate) fn words(place: &str, tls: Option<bool>) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/a_new_cluster_gets_all_its_children.yaml");
    let mut fixture = Fixture::load(path).unwrap();
    if let Some(required) = tls {
        fixture.object["spec"]["server"]["listener"]["tls"] = json!({"secretName": "certificates", "required": required});
    }
    let plan = run::<DoltDBReconciler>(&fixture).unwrap();
    let bodies = plan.effects.iter().filter_map(|effect| match effect {
        Effect::Apply(application) if application.object.kind == "StatefulSet" => Some(&application.body),
        _ => None,
    });
    let body: Value = serde_json::from_str(bodies.collect::<Vec<_>>().pop().unwrap()).unwrap();
    let words = body.pointer(&format!("/spec/template/spec/{place}")).unwrap().as_array().unwrap();
    words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}
