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
    /// Highest epoch of a primary that was ever seen, or that a server was told to be primary with. It never falls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication_epoch: Option<i64>,
    /// A change of the primary that is under way. It is written before the first thing is done for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transition: Option<Transition>,
    /// Standbys that had all but the very last data of the primary when it was last asked. Only these may take over without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caught_up_standbys: Vec<String>,
    /// Databases of the primary when it was last asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
    /// The `spec.replication.primary.podIndex` that was last acted upon. Another value there is a wish for a switchover; the same value
    /// stays a preference, whoever is primary after a failover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_primary_pod_index: Option<i32>,
    /// The value of the annotation `k8s.dolthub.com/switchover-to` that was last acted upon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_switchover: Option<String>,
    /// Since when the primary, whose pod runs, has given no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "generate", schemars(extend("format" = "date-time")))]
    pub primary_silent_since: Option<String>,
}

/// A change of the primary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// Why: `Requested`, `Eviction`, `ScaleDown`, `Update`, `Failover`, `Recovery`.
    pub reason: String,
    /// The pod that was primary before.
    pub from: String,
    /// The pod that becomes primary.
    pub to: String,
    /// The epoch that the change is made with.
    pub epoch: i64,
    /// When it began, or when its last attempt did.
    #[cfg_attr(feature = "generate", schemars(extend("format" = "date-time")))]
    pub since: String,
    /// Attempts that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<i32>,
    /// The uid of the pod that has to be gone before another becomes primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fencing: Option<String>,
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
