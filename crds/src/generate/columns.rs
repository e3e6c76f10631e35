//! What `kubectl get` prints for each kind. Names, order and paths are an interface: scripts cut them.

use serde_json::{Value, json};

fn column(name: &str, type_: &str, path: &str) -> Value {
    json!({"name": name, "type": type_, "jsonPath": path})
}

fn text(name: &str, path: &str) -> Value {
    column(name, "string", path)
}

fn ready() -> [Value; 2] {
    [text("Ready", r#".status.conditions[?(@.type=="Ready")].status"#), text("Status", r#".status.conditions[?(@.type=="Ready")].message"#)]
}

fn doltdb_ref() -> Value {
    text("DoltDB", ".spec.doltDBRef.name")
}

fn age() -> Value {
    column("Age", "date", ".metadata.creationTimestamp")
}

pub(super) fn doltdb() -> Vec<Value> {
    let [ready, status] = ready();
    vec![ready, status, text("CurrentPrimary", ".status.currentPrimary"), text("ReplicationEpoch", ".status.replicationEpoch"), age()]
}

pub(super) fn database() -> Vec<Value> {
    let [ready, status] = ready();
    let charset = [text("CharSet", ".spec.charset"), text("Collate", ".spec.collation")];
    [ready, status].into_iter().chain(charset).chain([doltdb_ref(), age(), text("Name", ".spec.name")]).collect()
}

pub(super) fn user() -> Vec<Value> {
    ready().into_iter().chain([doltdb_ref(), age()]).collect()
}

pub(super) fn grant() -> Vec<Value> {
    let grant = [
        text("Database", ".spec.database"),
        text("Table", ".spec.table"),
        text("Username", ".spec.username"),
        text("GrantOpt", ".spec.grantOption"),
    ];
    ready().into_iter().chain(grant).chain([doltdb_ref(), age()]).collect()
}

pub(super) fn snapshot() -> Vec<Value> {
    let more = [column("Last", "date", ".status.lastScheduleTime"), text("RestoreFrom", ".status.restoreFrom"), age()];
    ready().into_iter().chain([doltdb_ref()]).chain(more).collect()
}

pub(super) fn backup() -> Vec<Value> {
    let end = column("Completed", "date", ".status.completedAt");
    vec![text("Phase", ".status.phase"), doltdb_ref(), age(), text("Progress", ".status.progress"), end]
}

pub(super) fn backup_schedule() -> Vec<Value> {
    vec![
        text("Schedule", ".spec.schedule"),
        column("Suspend", "boolean", ".spec.suspend"),
        doltdb_ref(),
        column("Last Schedule", "date", ".status.lastScheduleTime"),
        age(),
        text("Next", ".status.nextScheduleTime"),
        text("Last Backup", ".status.lastBackupRef"),
        text("Ready", r#".status.conditions[?(@.type=="Ready")].status"#),
    ]
}
