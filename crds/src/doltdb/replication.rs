//! The parts of a DoltDB's spec about several servers: who is primary, and in which order pods are replaced.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::parse_duration;

/// `spec.replication.primary.failoverDelay`.
pub(super) const FAILOVER_DELAY: &str = "spec.replication.primary.failoverDelay";

/// One server takes writes, the others follow it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct ReplicationSpec {
    /// Whether the servers replicate. Default: false. Needs at least 2 replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Which server takes writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<PrimarySpec>,
    /// Seconds that the primary waits for every standby to have a write before it acknowledges it, from 0. Default: 0, it does not wait.
    /// After that time the write is acknowledged all the same, with a warning. With it a failover loses nothing that was acknowledged
    /// without a warning; each write takes longer by a way to the slowest standby and back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_writes_timeout_seconds: Option<i32>,
}

/// Which server takes writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct PrimarySpec {
    /// Ordinal of the pod that should be primary, from 0. Default: 0. Changing it asks for a switchover. The operator never writes it:
    /// who is primary stands in `status.currentPrimary`, also after a failover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_index: Option<i32>,
    /// Whether a standby takes over when the primary is lost. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automatic_failover: Option<bool>,
    /// Number of standbys that must have all data before a primary steps down. Default: 1. Less than 1 counts as 1, more than there are as all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_caught_up_standby: Option<i32>,
    /// For how long a lost primary is waited for before a standby takes over, as `10s`. Default: 0s. It is counted from when the loss is seen,
    /// and holds up automatic failovers only: not a switchover, nor what a person asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover_delay: Option<String>,
    /// Automatic failovers within an hour, from 1; after that a person is asked. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failovers_per_hour: Option<i32>,
}

/// `spec.replication` with its defaults applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replication {
    /// Whether the servers replicate.
    pub enabled: bool,
    /// Ordinal of the wanted primary.
    pub pod_index: i32,
    /// Whether a standby takes over when the primary is lost.
    pub automatic_failover: bool,
    /// Number of standbys that must have all data before a primary steps down.
    pub min_caught_up_standby: i32,
    /// For how long a lost primary is waited for.
    pub failover_delay: Duration,
    /// Automatic failovers within an hour.
    pub max_failovers_per_hour: usize,
}

impl Default for Replication {
    fn default() -> Self {
        Self {
            enabled: false,
            pod_index: 0,
            automatic_failover: true,
            min_caught_up_standby: 1,
            failover_delay: Duration::ZERO,
            max_failovers_per_hour: 5,
        }
    }
}

impl ReplicationSpec {
    /// Applies the defaults.
    pub fn resolve(&self) -> Replication {
        let fallback = Replication::default();
        let primary = self.primary.clone().unwrap_or_default();
        Replication {
            enabled: self.enabled.unwrap_or(fallback.enabled),
            pod_index: primary.pod_index.unwrap_or(fallback.pod_index),
            automatic_failover: primary.automatic_failover.unwrap_or(fallback.automatic_failover),
            min_caught_up_standby: primary.min_caught_up_standby.unwrap_or(fallback.min_caught_up_standby),
            failover_delay: primary
                .failover_delay
                .and_then(|delay| parse_duration(FAILOVER_DELAY, &delay).ok())
                .unwrap_or(fallback.failover_delay),
            max_failovers_per_hour: primary
                .max_failovers_per_hour
                .and_then(|most| usize::try_from(most).ok())
                .unwrap_or(fallback.max_failovers_per_hour),
        }
    }
}

/// How servers of a cluster stay in step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub enum ReplicationStrategy {
    /// The primary pushes to its standbys.
    #[default]
    DirectStandby,
    /// Reserved.
    Remote,
}

/// Order in which pods are replaced when their template changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub enum UpdateStrategy {
    /// Standbys one by one, then a switchover, then the old primary.
    #[default]
    ReplicasFirstPrimaryLast,
    /// Kubernetes replaces them from the highest ordinal down, without a switchover.
    RollingUpdate,
    /// A pod is replaced when you delete it.
    OnDelete,
    /// The operator replaces no pod.
    Never,
}
