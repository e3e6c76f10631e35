//! What the operator last observed of a DoltDB.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Condition;

/// What was last observed of the Dolt cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct DoltDBStatus {
    /// Conditions `Ready`, `PrimarySwitched`, `StorageResized`, `Updated`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One word for where the cluster stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Ordinal of the pod that is primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_primary_pod_index: Option<i32>,
    /// Name of the pod that is primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_primary: Option<String>,
    /// Number of servers that are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Role of each pod that could be asked: `primary`, `standby` or `not_configured`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub replication_status: BTreeMap<String, String>,
    /// Highest epoch of a primary that was ever seen or given out. It never falls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication_epoch: Option<i64>,
}

impl DoltDBStatus {
    /// The condition of a type.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        crate::object::condition(&self.conditions, type_)
    }
}

/// Values of `status.replicationStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicationRole {
    /// Takes writes.
    Primary,
    /// Follows the primary.
    Standby,
    /// Neither: its configuration is broken.
    NotConfigured,
}

impl ReplicationRole {
    /// As it stands in the status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::NotConfigured => "not_configured",
        }
    }
}
