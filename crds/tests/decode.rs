//! The types read what the API server holds: every sample and example survives a round trip, what is missing gets the
//! default that the schema gives it, and an odd value fails when it is asked for and not before.

#![allow(clippy::unwrap_used, reason = "clippy does not see that these functions are part of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crds::*;
use rstest::rstest;
use serde_json::{Value, json};

#[rstest]
fn samples_survive_a_round_trip(
    #[files("tests/valid/*.yaml")]
    #[files("../examples/**/*.yaml")]
    path: PathBuf,
) {
    for sample in documents(&path) {
        if sample["apiVersion"] == API_VERSION {
            check(&sample);
        }
    }
}

fn check(sample: &Value) {
    match sample["kind"].as_str().unwrap() {
        "DoltDB" => round_trip::<DoltDBSpec>(sample),
        "Database" => round_trip::<DatabaseSpec>(sample),
        "User" => round_trip::<UserSpec>(sample),
        "Grant" => round_trip::<GrantSpec>(sample),
        "Snapshot" => round_trip::<SnapshotSpec>(sample),
        "Backup" => round_trip::<BackupSpec>(sample),
        "BackupSchedule" => round_trip::<BackupScheduleSpec>(sample),
        other => panic!("no kind {other}"),
    }
}

fn round_trip<K: Kind>(sample: &Value) {
    let object: Object<K> = serde_json::from_value(sample.clone()).unwrap();
    let encoded = serde_json::to_value(&object).unwrap();
    assert_contains(&encoded, sample, "");
    assert_eq!(serde_json::from_value::<Object<K>>(encoded).unwrap(), object);

    // The API server fills the sample up by the schema; the types must not see a difference.
    let mut defaulted = sample.clone();
    default_by(&schema(K::PLURAL), &mut defaulted);
    assert_eq!(serde_json::from_value::<Object<K>>(defaulted).unwrap(), object, "{} has other defaults than its schema", K::KIND);
}

/// Every value that the sample sets is still there. An empty list or map may have become absent.
fn assert_contains(encoded: &Value, sample: &Value, path: &str) {
    match sample {
        Value::Object(members) => {
            for (name, member) in members.iter().filter(|(_, member)| **member != json!([]) && **member != json!({})) {
                assert_contains(&encoded[name], member, &format!("{path}.{name}"));
            }
        }
        other => assert_eq!(encoded, other, "{path}"),
    }
}

/// What the API server does to an object on its way in.
fn default_by(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                if let (None, Some(default)) = (members.get(name), property.get("default")) {
                    members.insert(name.clone(), default.clone());
                }
                if let Some(member) = members.get_mut(name) {
                    default_by(property, member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| default_by(&schema["items"], item)),
        _ => {}
    }
}

/// Without a spec at all, every default is the schema's too.
#[test]
fn an_absent_server_listens_where_the_schema_says() {
    let db: DoltDB = serde_json::from_value(json!({"metadata": {"name": "a"}})).unwrap();
    assert_eq!(db.spec.server.listener, Listener { host: "0.0.0.0".into(), port: 3306, max_connections: 1024, tls: None });
    assert_eq!(db.spec.server.cluster.remotes_api.port, 50051);
    assert_eq!((db.spec.server.metrics.enabled, db.spec.server.metrics.port), (false, 11228));
    assert_eq!(db.spec.server.mcp_server, None);
    assert_eq!(db.spec.probes, None);
    assert_eq!(db.spec.replicas(), 1);
    assert_eq!(db.spec.storage.size, Quantity::from("100Gi"));
    assert_eq!(db.spec.storage.retention(), ("Retain", "Retain"));
    assert_eq!(db.spec.global_config.commit_author.email, "dolt@kubernetes.deployment");
    assert_eq!(db.spec.termination_grace_period_seconds, 60);
    assert_eq!(db.spec.update_strategy, UpdateStrategy::ReplicasFirstPrimaryLast);
}

#[rstest]
#[case(json!({}), Replication { enabled: false, pod_index: 0, automatic_failover: true, min_caught_up_standby: 1, ..Replication::default() })]
#[case(json!({"replication": {}}), Replication { enabled: false, pod_index: 0, automatic_failover: true, min_caught_up_standby: 1, ..Replication::default() })]
#[case(
    json!({"replication": {"enabled": true, "primary": {"podIndex": 2}}}),
    Replication { enabled: true, pod_index: 2, automatic_failover: true, min_caught_up_standby: 1, ..Replication::default() }
)]
#[case(
    json!({"replication": {"enabled": true, "primary": {"automaticFailover": false, "minCaughtUpStandby": 2}}}),
    Replication { enabled: true, pod_index: 0, automatic_failover: false, min_caught_up_standby: 2, ..Replication::default() }
)]
fn replication_has_defaults_at_each_level(#[case] spec: Value, #[case] expected: Replication) {
    assert_eq!(serde_json::from_value::<DoltDBSpec>(spec).unwrap().replication(), expected);
}

#[rstest]
#[case(json!({}), None)]
#[case(json!({"probes": {}}), Some((Some(15), Some(40))))]
#[case(json!({"probes": {"readinessProbe": {}}}), Some((Some(15), Some(40))))]
#[case(json!({"probes": {"livenessProbe": {"periodSeconds": 5}}}), Some((None, Some(5))))]
fn probes_have_their_default_only_when_present(#[case] spec: Value, #[case] liveness: Option<(Option<i32>, Option<i32>)>) {
    let spec: DoltDBSpec = serde_json::from_value(spec).unwrap();
    let timing = spec.probes.map(|probes| probes.liveness_probe.timing());
    assert_eq!(timing.map(|t| (t.initial_delay_seconds, t.period_seconds)), liveness);
}

#[test]
fn a_zero_of_replicas_counts_as_one() {
    assert_eq!(serde_json::from_value::<DoltDBSpec>(json!({"replicas": 0})).unwrap().replicas(), 1);
}

#[rstest]
#[case("Database", "spec.requeueInterval")]
#[case("User", "spec.requeueInterval")]
#[case("Grant", "spec.requeueInterval")]
fn a_bad_duration_decodes_and_is_named_when_asked_for(#[case] kind: &str, #[case] field: &str) {
    let object =
        json!({"metadata": {"name": "a"}, "spec": {"requeueInterval": "half an hour", "retryInterval": "5s", "cleanupPolicy": "Skip"}});
    let sql = match kind {
        "Database" => serde_json::from_value::<Database>(object).unwrap().spec.sql,
        "User" => serde_json::from_value::<User>(object).unwrap().spec.sql,
        _ => serde_json::from_value::<Grant>(object).unwrap().spec.sql,
    };
    assert_eq!(
        sql.requeue_interval().unwrap_err().to_string(),
        format!("{field}: invalid value \"half an hour\": must be a duration such as \"30s\", \"1m30s\" or \"1h\"")
    );
    assert_eq!(sql.retry_interval(), Ok(Some(Duration::from_secs(5))));
    assert_eq!(sql.cleanup_policy(), CleanupPolicy::Skip);
}

#[test]
fn absent_sql_settings_have_no_interval_and_delete() {
    let sql = SqlTemplate::default();
    assert_eq!((sql.requeue_interval(), sql.retry_interval()), (Ok(None), Ok(None)));
    assert_eq!(sql.cleanup_policy(), CleanupPolicy::Delete);
}

/// As the original left it: no observedGeneration, fields of metadata that nobody here reads, a pod that no longer exists.
#[test]
fn a_stored_object_of_the_original_decodes() {
    let stored = json!({
        "apiVersion": API_VERSION, "kind": "DoltDB",
        "metadata": {
            "name": "dolt", "namespace": "default", "uid": "1a2b-3c", "resourceVersion": "7", "generation": 3,
            "creationTimestamp": "2025-01-01T00:00:00Z", "managedFields": [{"manager": "kubectl"}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "spec": {"engineVersion": "1.57.2", "storage": {"size": "10Gi"}, "replicas": 2, "securityContext": {}},
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "reason": "StatefulSetReady", "message": "Running", "lastTransitionTime": "2025-01-01T00:00:00Z"}],
            "currentPrimary": "dolt-1", "currentPrimaryPodIndex": 1, "replicas": 2, "replicationEpoch": 4,
            "replicationStatus": {"dolt-0": "standby", "dolt-1": "primary", "dolt-7": "not_configured"},
        },
    });
    let db: DoltDB = serde_json::from_value(stored).unwrap();
    assert_eq!((db.name(), db.namespace(), db.metadata.generation), ("dolt", "default", 3));
    let status = &db.status;
    assert_eq!((status.current_primary_pod_index, status.replication_epoch), (Some(1), Some(4)));
    assert_eq!(status.condition("Ready").map(|c| (c.status, c.observed_generation)), Some((ConditionStatus::True, None)));
    assert_eq!(status.replication_status["dolt-7"], ReplicationRole::NotConfigured.as_str());
    let owner = serde_json::to_value(db.owner_reference()).unwrap();
    assert_eq!(
        owner,
        json!({
            "apiVersion": API_VERSION, "kind": "DoltDB", "name": "dolt", "uid": "1a2b-3c", "controller": true, "blockOwnerDeletion": true,
        })
    );
}

#[test]
fn a_reference_without_namespace_stays_in_its_own() {
    let refer = |value: Value| serde_json::from_value::<DoltDBRef>(value).unwrap();
    assert_eq!(refer(json!({"name": "a"})).namespace_or("own"), "own");
    assert_eq!(refer(json!({"name": "a", "namespace": ""})).namespace_or("own"), "own");
    assert_eq!(refer(json!({"name": "a", "namespace": "other"})).namespace_or("own"), "other");
}

/// The files that a cluster's tests apply say which error they expect, and belong to kinds that exist.
#[rstest]
fn refused_files_say_what_they_expect(
    #[files("tests/invalid/*.yaml")]
    #[files("tests/refused-changes/*.yaml")]
    path: PathBuf,
) {
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.lines().next().is_some_and(|line| line.strip_prefix("# expect: ").is_some_and(|want| want.len() > 10)),
        "{}",
        path.display()
    );
    let expected = if path.parent().is_some_and(|folder| folder.ends_with("invalid")) { 1 } else { 2 };
    assert_eq!(documents(&path).len(), expected);
}

/// A spec that the API server would refuse now may be stored: it decodes, so that its reconciler can say what is wrong.
#[rstest]
fn refused_doltdbs_decode(#[files("tests/invalid/doltdb-*-port*.yaml")] path: PathBuf) {
    let db: DoltDB = serde_json::from_value(documents(&path).remove(0)).unwrap();
    assert!(db.spec.mistakes().iter().any(|mistake| mistake.field.ends_with(".port")), "{:?}", db.spec.mistakes());
}

fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn schema(plural: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("generated/{plural}.yaml"));
    let crd = documents(&path).remove(0);
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}
