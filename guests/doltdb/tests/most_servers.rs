//! As many servers as a spec may have: the configuration of all of them fits into the one ConfigMap.
#![allow(clippy::unwrap_used, reason = "a test")]

use doltdb::DoltDBReconciler;
use rstest::rstest;
use sdk::{
    Effect,
    testkit::{Fixture, run},
};
use serde_json::{Value as Json, json};

/// What the API server takes as one ConfigMap, in bytes.
const MOST: usize = 1 << 20;

#[rstest]
#[case::replicated(json!({"replicas": 50, "replication": {"enabled": true}}))]
#[case::each_on_its_own(json!({"replicas": 500, "replication": {"enabled": false}}))]
fn the_configuration_of_all_servers_fits_into_a_config_map(#[case] changes: Json) {
    let mut fixture = Fixture::load(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/a_new_cluster_gets_all_its_children.yaml")).unwrap();
    // As long as the names of Services and namespaces may be.
    let (name, namespace) = ("d".repeat(54), "n".repeat(63));
    fixture.object["metadata"]["name"] = json!(name);
    fixture.object["metadata"]["namespace"] = json!(namespace);
    fixture.secrets[0].name = format!("{name}-credentials");
    fixture.secrets[0].namespace = namespace;
    for (field, value) in changes.as_object().unwrap() {
        fixture.object["spec"][field] = value.clone();
    }
    let plan = run::<DoltDBReconciler>(&fixture).unwrap();
    let maps = plan.effects.iter().filter_map(|effect| match effect {
        Effect::Apply(application) if application.object.kind == "ConfigMap" => Some(application.body.len()),
        _ => None,
    });
    let bytes: Vec<usize> = maps.collect();
    assert_eq!(bytes.len(), 1);
    assert!(bytes[0] < MOST, "{} bytes", bytes[0]);
}
