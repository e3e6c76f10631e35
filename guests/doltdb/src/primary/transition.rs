//! A change of the primary that is under way, as the status keeps it. It is all that is remembered between two rounds.

use crds::names;
use sdk::{Timestamp, parse_rfc3339, rfc3339_millis};

use crate::target::Target;

/// Why a change was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The spec or an annotation names another primary.
    Requested,
    /// The primary's pod has been told to go.
    Eviction,
    /// The primary's ordinal is not wanted any more.
    ScaleDown,
    /// The primary's pod is the last of an older revision.
    Update,
    /// The primary is lost.
    Failover,
    /// There are several primaries, or none although all servers are there.
    Recovery,
    /// The server that was alone becomes the primary of others.
    ReplicationOn,
}

/// A change of the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transition {
    pub(crate) reason: Reason,
    /// The ordinal of the primary before.
    pub(crate) from: i32,
    /// The ordinal of the primary to be.
    pub(crate) to: i32,
    /// The epoch of the new primary.
    pub(crate) epoch: u64,
    /// When it, or its last attempt, began.
    pub(crate) since: Timestamp,
    /// When the old primary was told to step down, or was first seen to be lost.
    pub(crate) stopped: Option<Timestamp>,
    /// Attempts that failed.
    pub(crate) failures: i32,
    /// The uid of the pod that has to be gone before the change goes on.
    pub(crate) fencing: Option<String>,
}

const REASONS: [(Reason, &str); 7] = [
    (Reason::Requested, "Requested"),
    (Reason::Eviction, "Eviction"),
    (Reason::ScaleDown, "ScaleDown"),
    (Reason::Update, "Update"),
    (Reason::Failover, "Failover"),
    (Reason::Recovery, "Recovery"),
    (Reason::ReplicationOn, "ReplicationOn"),
];

impl Reason {
    /// As it stands in the status.
    pub(crate) fn as_str(self) -> &'static str {
        REASONS.iter().find(|(reason, _)| *reason == self).map_or("", |(_, text)| text)
    }
}

impl Transition {
    /// The one in the status. What cannot be understood counts as none: every step looks at the servers, not at what was once meant.
    pub(crate) fn of(target: &Target) -> Option<Self> {
        let there = target.status.transition.as_ref()?;
        Some(Self {
            reason: REASONS.iter().find(|(_, text)| *text == there.reason)?.0,
            from: names::ordinal(&there.from)?,
            to: names::ordinal(&there.to)?,
            epoch: u64::try_from(there.epoch).ok()?,
            since: parse_rfc3339(&there.since)?,
            stopped: there.writes_stopped.as_deref().and_then(parse_rfc3339),
            failures: there.failures.unwrap_or_default(),
            fencing: there.fencing.clone(),
        })
    }

    /// The one in the status, if its server may have been told to be primary in the place of another: that is recorded before.
    pub(crate) fn told(target: &Target) -> Option<Self> {
        Self::of(target).filter(|there| there.to != there.from && there.epoch <= target.recorded_epoch())
    }

    /// For the status.
    pub(crate) fn written(&self, target: &Target) -> crds::Transition {
        crds::Transition {
            reason: self.reason.as_str().to_owned(),
            from: target.pod(self.from),
            to: target.pod(self.to),
            epoch: i64::try_from(self.epoch).unwrap_or(i64::MAX),
            since: rfc3339_millis(self.since),
            writes_stopped: self.stopped.map(rfc3339_millis),
            failures: Some(self.failures).filter(|failures| *failures > 0),
            fencing: self.fencing.clone(),
        }
    }
}
