//! Snapshot: VolumeSnapshots of a DoltDB's volumes, taken on a schedule.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{CleanupPolicy, Condition, DoltDBRef, FieldError, Kind, LocalObjectReference, Object, parse_duration};

/// Snapshots of volumes on a schedule.
pub type Snapshot = Object<SnapshotSpec>;

impl Kind for SnapshotSpec {
    const KIND: &'static str = "Snapshot";
    const PLURAL: &'static str = "snapshots";
    const SINGULAR: &'static str = "snapshot";
    type Status = SnapshotStatus;
}

/// The snapshots that are wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct SnapshotSpec {
    /// The DoltDB whose volumes are snapshotted.
    #[serde(rename = "doltDBRef")]
    pub dolt_db_ref: DoltDBRef,
    /// When to take snapshots: five fields of cron (minute, hour, day of month, month, day of week), or `@hourly`, `@daily` and the like. A
    /// prefix such as `CRON_TZ=Europe/Berlin` sets the time zone; without one it is UTC.
    pub frequency_schedule: String,
    /// Whether no new snapshots are taken. Times that pass meanwhile are made up for by one set afterwards. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// VolumeSnapshotClass of the snapshots. Default: the one of the volumes' driver; where there are several, the one that is called like the
    /// volumes' StorageClass, else the one that is marked as the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_snapshot_class_name: Option<String>,
    /// Which sets of snapshots are deleted again. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<SnapshotRetention>,
    /// What deleting this object does to the snapshots that it has taken. Default: `Skip`, they stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup_policy: Option<CleanupPolicy>,
    /// Accepted and not used: the operator takes the snapshots itself. Default: `bitnami/kubectl`.
    pub image: String,
    /// Accepted and not used, as `image`. Default: `latest`.
    pub version: String,
    /// Accepted and not used, as `image`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
}

impl Default for SnapshotSpec {
    fn default() -> Self {
        Self {
            dolt_db_ref: DoltDBRef::default(),
            frequency_schedule: String::new(),
            suspend: None,
            volume_snapshot_class_name: None,
            retention: None,
            cleanup_policy: None,
            image: "bitnami/kubectl".into(),
            version: "latest".into(),
            image_pull_secrets: Vec::new(),
        }
    }
}

impl SnapshotSpec {
    /// `suspend` with its default.
    pub fn suspended(&self) -> bool {
        self.suspend.unwrap_or(false)
    }

    /// `cleanupPolicy` with its default, which is another one than that of the objects in a database.
    pub fn cleanup_policy(&self) -> CleanupPolicy {
        self.cleanup_policy.unwrap_or(CleanupPolicy::Skip)
    }

    /// `retention.sets`; none: they are not counted.
    pub fn kept_sets(&self) -> Option<usize> {
        self.retention.as_ref().and_then(|retention| retention.sets).and_then(|sets| usize::try_from(sets).ok())
    }

    /// `retention.maxAge`; none: they may be as old as they like.
    ///
    /// # Errors
    /// Names the field and the value where it isn't a duration.
    pub fn max_age(&self) -> Result<Option<Duration>, FieldError> {
        let age = self.retention.as_ref().and_then(|retention| retention.max_age.as_deref());
        age.map(|value| parse_duration("spec.retention.maxAge", value)).transpose()
    }
}

/// Which sets of snapshots are deleted again: those that either of the two says. The newest set that can be restored from always stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct SnapshotRetention {
    /// Number of sets that stay, the newest ones. Only those that can be restored from are counted. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sets: Option<i32>,
    /// Age at which a set is deleted, as a duration such as `168h`. Default: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
}

/// What was last observed of the snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct SnapshotStatus {
    /// Conditions `Ready`, `SnapshotCronJobCreated`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the last set was begun, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<String>,
    /// When the next set is due, RFC 3339. None while suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<String>,
    /// The last set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_set: Option<SnapshotSet>,
    /// VolumeSnapshot to restore from: that of the primary in the newest set that is ready. For `spec.storage.volumeSnapshot` of a new DoltDB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_from: Option<String>,
    /// Number of sets that there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sets: Option<i32>,
}

/// Snapshots of all volumes of a DoltDB, taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSet {
    /// Value of the label `k8s.dolthub.com/snapshot-set` that all of them carry: seconds since 1970.
    pub name: String,
    /// Whether all of them have been made. Until then the operator makes those that are missing.
    pub complete: bool,
    /// Whether all of them can be restored from.
    pub ready: bool,
    /// Pod that was primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// Epoch of the replication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// The snapshots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<SetMember>,
}

/// The snapshot of one volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SetMember {
    /// Name of the VolumeSnapshot.
    pub name: String,
    /// PersistentVolumeClaim of the volume.
    pub claim: String,
    /// Whether it can be restored from.
    pub ready: bool,
    /// Size of a volume that is restored from it, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// What went wrong. The storage driver may still succeed later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
