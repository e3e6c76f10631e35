//! Snapshot: VolumeSnapshots of a DoltDB's volumes, taken on a schedule.

use serde::{Deserialize, Serialize};

use crate::{Condition, DoltDBRef, Kind, LocalObjectReference, Object};

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
    /// When to take snapshots: five fields of cron (minute, hour, day of month, month, day of week), or `@hourly`, `@daily` and the like.
    pub frequency_schedule: String,
    /// Image with `kubectl` for the jobs that take them, without a tag. Default: `bitnami/kubectl`.
    pub image: String,
    /// Tag of that image. Default: `latest`.
    pub version: String,
    /// Secrets in the same namespace with credentials for the image's registry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
}

impl Default for SnapshotSpec {
    fn default() -> Self {
        Self {
            dolt_db_ref: DoltDBRef::default(),
            frequency_schedule: String::new(),
            image: "bitnami/kubectl".into(),
            version: "latest".into(),
            image_pull_secrets: Vec::new(),
        }
    }
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
}
