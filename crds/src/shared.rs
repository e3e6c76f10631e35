//! Pieces that several kinds share: references, the SQL template, conditions, and the error that names a field.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::parse_duration;

/// A value of a stored object that cannot be used, with the place where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path as a user writes it, `spec.requeueInterval`.
    pub field: String,
    /// The offending value; empty where the field is missing or the problem lies between two fields.
    pub value: String,
    /// What is wrong and what to do about it.
    pub problem: String,
}

impl FieldError {
    /// An error at `field`.
    pub fn new(field: impl Into<String>, value: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self { field: field.into(), value: value.to_string(), problem: problem.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => write!(f, "{}: {}", self.field, self.problem),
            value => write!(f, "{}: invalid value \"{value}\": {}", self.field, self.problem),
        }
    }
}

impl std::error::Error for FieldError {}

/// Names the DoltDB that this object belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct DoltDBRef {
    /// Name of the DoltDB.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Namespace of the DoltDB. Default: the namespace of this object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

impl DoltDBRef {
    /// Namespace of the DoltDB, given the namespace of the object that refers to it.
    pub fn namespace_or<'a>(&'a self, own: &'a str) -> &'a str {
        self.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or(own)
    }
}

/// Names one key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct SecretKeySelector {
    /// Name of the Secret.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Key in the Secret's `data`.
    pub key: String,
}

/// How often SQL of a Database, User or Grant runs again, and what its deletion does. Its fields stand directly in `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct SqlTemplate {
    /// Time between two checks of the server's state after a success, as a duration such as `30s` or `1m30s`. Default: the operator's
    /// setting, 30 seconds unless changed. `0s` turns the checks off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requeue_interval: Option<String>,
    /// Time until the next attempt after a failure, as a duration such as `5s`. Default: an increasing delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_interval: Option<String>,
    /// What deleting this object does on the server. Default: `Delete`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup_policy: Option<CleanupPolicy>,
}

impl SqlTemplate {
    /// `requeueInterval` as a duration; none where it is not set.
    ///
    /// # Errors
    /// Names the field and the value where it isn't a duration.
    pub fn requeue_interval(&self) -> Result<Option<Duration>, FieldError> {
        self.requeue_interval.as_deref().map(|value| parse_duration("spec.requeueInterval", value)).transpose()
    }

    /// `retryInterval` as a duration; none where it is not set.
    ///
    /// # Errors
    /// Names the field and the value where it isn't a duration.
    pub fn retry_interval(&self) -> Result<Option<Duration>, FieldError> {
        self.retry_interval.as_deref().map(|value| parse_duration("spec.retryInterval", value)).transpose()
    }

    /// `cleanupPolicy` with its default.
    pub fn cleanup_policy(&self) -> CleanupPolicy {
        self.cleanup_policy.unwrap_or_default()
    }
}

/// What deletion of a Database, User or Grant does on the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub enum CleanupPolicy {
    /// Leaves the database, user or privileges in place.
    Skip,
    /// Drops the database or user, revokes the privileges.
    #[default]
    Delete,
}

/// One observation about the object. The list holds one entry for each type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Condition {
    /// What is observed, `Ready` for instance.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Generation of the spec that was observed. An older one than `metadata.generation` means that the condition is out of date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Time at which `status` last changed, RFC 3339.
    pub last_transition_time: String,
    /// One word in CamelCase for programs.
    pub reason: String,
    /// A sentence for people. May be empty.
    pub message: String,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It could not be observed.
    #[default]
    Unknown,
}
