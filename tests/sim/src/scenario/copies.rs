//! What the user asks for beside the servers: Backups, Snapshots, and schedules of both.

use serde_json::{Value, json};

use crate::{
    api::key,
    world::{World, clock},
};

use super::{NAME, NAMESPACE};

/// Kinds that make copies.
const KINDS: [&str; 3] = ["Snapshot", "BackupSchedule", "Backup"];
/// A second database of the user's.
const SECOND: &str = "stock";

fn bucket(prefix: &str) -> Value {
    json!({"s3": {"bucket": "copies", "prefix": prefix}})
}

impl World {
    fn create_copying(&mut self, kind: &str, name: &str, mut spec: Value) {
        spec["doltDBRef"] = json!({"name": NAME});
        let metadata = json!({"name": name, "namespace": NAMESPACE});
        let object = json!({"apiVersion": "k8s.dolthub.com/v1alpha", "kind": kind, "metadata": metadata, "spec": spec});
        self.api.create(object, clock(self.now));
    }

    /// There is a second database, if the server takes it.
    fn write_elsewhere(&mut self) {
        if let Some(leader) = self.leader().filter(|leader| self.dolt.database(leader, SECOND).is_none()) {
            drop(self.dolt.write(&leader, SECOND, 1));
        }
    }

    /// The user creates a Backup of all databases.
    pub(crate) fn create_backup(&mut self) {
        self.write_elsewhere();
        self.create_copying("Backup", "all", json!({"storage": bucket("by-hand"), "backoffLimit": 3}));
    }

    /// The user creates a Backup of one database to a place that is the same for each.
    pub(crate) fn create_backup_of(&mut self, name: &str, database: &str) {
        let storage = json!({"doltHub": {"remoteUrl": "http://remote:50051/one"}});
        self.create_copying("Backup", name, json!({"storage": storage, "databases": [database], "backoffLimit": 3}));
    }

    /// The user creates a BackupSchedule.
    pub(crate) fn create_backup_schedule(&mut self) {
        self.write_elsewhere();
        let spec = json!({
            "schedule": "@every 12s", "storage": bucket("scheduled"), "backoffLimit": 1, "copies": 2, "successfulHistory": 1,
            "failedHistory": 1,
        });
        self.create_copying("BackupSchedule", "often", spec);
    }

    /// The user creates a Snapshot, the snapshots of which go with it or stay.
    pub(crate) fn create_snapshot(&mut self, cleanup: &str) {
        self.create_snapshot_class();
        let spec = json!({"frequencySchedule": "@every 12s", "retention": {"sets": 2}, "cleanupPolicy": cleanup});
        self.create_copying("Snapshot", "volumes", spec);
    }

    /// The user creates a BackupSchedule and a Snapshot whose time comes on another day.
    pub(crate) fn create_rare_copies(&mut self) {
        self.create_snapshot_class();
        self.create_copying("BackupSchedule", "often", json!({"schedule": "@every 24h", "storage": bucket("scheduled")}));
        self.create_copying("Snapshot", "volumes", json!({"frequencySchedule": "@every 24h"}));
    }

    /// The user wants nothing new.
    pub(crate) fn suspend_copies(&mut self) {
        for (kind, name) in [("Snapshot", "volumes"), ("BackupSchedule", "often")] {
            self.api.modify(&key("k8s.dolthub.com/v1alpha", kind, NAMESPACE, name), |body| body["spec"]["suspend"] = true.into());
        }
    }

    /// The user deletes all that makes copies.
    pub(crate) fn delete_copies(&mut self) {
        for kind in KINDS {
            let all: Vec<_> = self.api.all(kind).map(|(key, _)| key.clone()).collect();
            for key in all {
                self.api.delete(&key, None);
            }
        }
    }
}
