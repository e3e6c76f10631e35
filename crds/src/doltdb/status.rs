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
    /// VolumeSnapshot that the volumes were filled from when this DoltDB was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_from: Option<String>,
    /// A change of the primary that is under way, or that waits while nobody leads. It is written before the first thing is done for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transition: Option<Transition>,
    /// Standbys that had all but the very last data of the primary when it was last asked. Only these may take over without it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caught_up_standbys: Vec<String>,
    /// The volume (`server_uuid`) of each server when it last led, or had the primary's data, by its pod: on another one it has lost them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, String>,
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
    /// What primaries had that others have replaced: it is kept on their volumes, before it is overwritten by what the new primary has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kept_data: Vec<KeptData>,
    /// When automatic failovers began, within the last hour before the last of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent_failovers: Vec<String>,
    /// How often the primary has changed since this DoltDB was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub switchovers: Option<i64>,
    /// The same by reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub primary_changes: Vec<PrimaryChanges>,
    /// The last change of the primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_primary_change: Option<LastPrimaryChange>,
    /// The TLS that servers offer clients at the moment; absent where none does.
    #[serde(rename = "listenerTLS", skip_serializing_if = "Option::is_none")]
    pub listener_tls: Option<ListenerTlsStatus>,
    /// How far standbys are behind the primary, by databases. A figure is the largest of 0, 1, 2, 5, 10, 30, 60, 300, 600, 3600 that it is not
    /// less than, so that it changes seldom.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replication_lag: Vec<ReplicationLag>,
}

/// The databases of a primary as they were when another one took its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct KeptData {
    /// The pod on whose volume they are.
    pub pod: String,
    /// The folder, for `dolt --data-dir`.
    pub path: String,
    /// The epoch that it was primary of.
    pub epoch: i64,
    /// When they were put there, by the node's clock.
    #[cfg_attr(feature = "generate", schemars(extend("format" = "date-time")))]
    pub since: String,
}

/// The TLS that servers offer clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ListenerTlsStatus {
    /// Secret with the certificate and its authority, of the primary if that one offers TLS.
    pub secret_name: String,
    /// Whether every server offers it. As long as one does not, the operator takes plain text from a server without it.
    pub every_server: bool,
}

/// How often the primary has changed for a reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PrimaryChanges {
    /// As in a transition, or `Other` where none was recorded.
    pub reason: String,
    /// How often.
    pub count: i64,
}

/// A change of the primary that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LastPrimaryChange {
    /// As in a transition, or `Other` where none was recorded.
    pub reason: String,
    /// The pod that was primary before.
    pub from: String,
    /// The pod that is primary.
    pub to: String,
    /// The epoch of the new primary.
    pub epoch: i64,
    /// When the new primary was seen.
    #[cfg_attr(feature = "generate", schemars(extend("format" = "date-time")))]
    pub at: String,
    /// Milliseconds without a primary, from when the old one was told to step down, or was first seen to be lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_millis: Option<i64>,
}

/// How far a standby is behind in a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReplicationLag {
    /// The standby.
    pub pod: String,
    /// The database.
    pub database: String,
    /// Seconds; absent as long as nothing has been sent since the primary's start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// Whether the last try to send something failed.
    pub failing: bool,
}

/// A change of the primary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// Why: `Requested`, `Eviction`, `ScaleDown`, `Update`, `Failover`, `Recovery`, `ReplicationOn`.
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
    /// When the old primary was told to step down, or was first seen to be lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "generate", schemars(extend("format" = "date-time")))]
    pub writes_stopped: Option<String>,
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
