//! The parts of a DoltDB's spec about its volumes, and the disruption budget.

use serde::{Deserialize, Serialize};

use crate::{IntOrString, Quantity};

/// Size and handling of the volumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Storage {
    /// Size of each server's volume. Default: `100Gi`. It may grow and never shrink.
    pub size: Quantity,
    /// StorageClass of the volumes. Default: the cluster's. Counts when a volume is made, later changes have no effect on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// Whether a larger `size` also enlarges volumes that exist. Default: true.
    pub resize_in_use_volumes: bool,
    /// Whether the DoltDB counts as ready only once its volumes have been enlarged. Default: true.
    pub wait_for_volume_resize: bool,
    /// What becomes of the volumes when the DoltDB is deleted or has fewer replicas. Default: they are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_policy: Option<RetentionPolicy>,
    /// Name of a VolumeSnapshot in the same namespace from which new volumes are filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_snapshot: Option<String>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            size: Quantity::from("100Gi"),
            storage_class_name: None,
            resize_in_use_volumes: true,
            wait_for_volume_resize: true,
            retention_policy: None,
            volume_snapshot: None,
        }
    }
}

impl Storage {
    /// `retentionPolicy` with its defaults: when deleted, when scaled down.
    pub fn retention(&self) -> (&str, &str) {
        let policy = self.retention_policy.as_ref();
        let deleted = policy.and_then(|p| p.when_deleted.as_deref()).filter(|v| !v.is_empty());
        let scaled = policy.and_then(|p| p.when_scaled.as_deref()).filter(|v| !v.is_empty());
        (deleted.unwrap_or("Retain"), scaled.unwrap_or("Retain"))
    }
}

/// What becomes of volumes that are no longer used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct RetentionPolicy {
    /// `Retain` or `Delete` the volumes when the DoltDB is deleted. Default: `Retain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_deleted: Option<String>,
    /// `Retain` or `Delete` the volumes of servers that a smaller `replicas` removes. Default: `Retain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_scaled: Option<String>,
}

/// How many pods may be away at once while nodes are drained. Set one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct PodDisruptionBudget {
    /// Pods that must stay, as a number or a percentage such as `50%`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_available: Option<IntOrString>,
    /// Pods that may be away, as a number or a percentage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
}
