//! The manifest of a Backup. Its name holds the time at which it was due, so that a round that is repeated after a crash knows it again, and two
//! operators that do not know of each other yet make the same one.

use crds::{API_VERSION, Backup, BackupScheduleSpec, BackupSpec, BackupStorage, names};
use sdk::{Header, Timestamp, owner_reference};
use serde_json::{Map, Value as Json, json};

/// A Backup of the schedule, due at this time. `copy` is given where there are several.
pub(crate) fn backup(schedule: &Header, spec: &BackupScheduleSpec, storage: BackupStorage, copy: Option<i32>, due: Timestamp) -> Json {
    let spec = BackupSpec {
        dolt_db_ref: spec.dolt_db_ref.clone(),
        storage,
        databases: spec.databases.clone(),
        backoff_limit: spec.backoff_limit,
        deadline_seconds: spec.deadline_seconds,
        resources: spec.resources.clone(),
        image_pull_secrets: spec.image_pull_secrets.clone(),
    };
    let mut labels = Map::from_iter([(names::LABEL_BACKUP_SCHEDULE.to_owned(), json!(schedule.name))]);
    if let Some(copy) = copy {
        labels.insert(names::LABEL_BACKUP_COPY.to_owned(), json!(copy.to_string()));
    }
    json!({
        "apiVersion": API_VERSION,
        "kind": Backup::KIND,
        "metadata": {
            "name": names::scheduled_backup(&schedule.name, i64::try_from(due / 1_000).unwrap_or(i64::MAX)),
            "namespace": schedule.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(schedule)],
        },
        "spec": spec,
    })
}
