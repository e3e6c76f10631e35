//! Backup: one backup of a DoltDB's databases, and the places it can go to.

use serde::{Deserialize, Serialize};

use crate::{Condition, DoltDBRef, Kind, LocalObjectReference, Object, ResourceRequirements, SecretKeySelector};

/// One backup. It runs once; its spec is immutable.
pub type Backup = Object<BackupSpec>;

impl Kind for BackupSpec {
    const KIND: &'static str = "Backup";
    const PLURAL: &'static str = "backups";
    const SINGULAR: &'static str = "backup";
    type Status = BackupStatus;
}

/// The backup that is wanted. Immutable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct BackupSpec {
    /// The DoltDB to back up.
    #[serde(rename = "doltDBRef")]
    pub dolt_db_ref: DoltDBRef,
    /// Where the backup goes: exactly one of `s3`, `doltHub` and `local`.
    pub storage: BackupStorage,
    /// Databases to back up, up to 100. Default: all but the server's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
    /// Attempts after which the backup counts as failed. Default: 2.
    pub backoff_limit: i32,
    /// Reserved: the server itself does the work, so this has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Reserved: the server itself does the work, so this has no effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
}

impl Default for BackupSpec {
    fn default() -> Self {
        Self {
            dolt_db_ref: DoltDBRef::default(),
            storage: BackupStorage::default(),
            databases: Vec::new(),
            backoff_limit: 2,
            resources: None,
            image_pull_secrets: Vec::new(),
        }
    }
}

/// Where a backup goes: exactly one of the three.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct BackupStorage {
    /// A bucket of Amazon S3, with a DynamoDB table beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Storage>,
    /// A repository on DoltHub or another Dolt remote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dolt_hub: Option<DoltHubStorage>,
    /// A folder in the file system of the primary's pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalStorage>,
}

/// A bucket of Amazon S3, with a DynamoDB table beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct S3Storage {
    /// Name of the bucket.
    pub bucket: String,
    /// AWS region of the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Reserved: URL of a service that speaks S3. Has no effect today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Path in the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// DynamoDB table that keeps track of the backup. Default: the name of the bucket.
    #[serde(rename = "dynamoDBTable", skip_serializing_if = "Option::is_none")]
    pub dynamo_db_table: Option<String>,
    /// Reserved: has no effect today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_path_style: Option<bool>,
    /// Access key, from a Secret in the DoltDB's namespace. Default: the cloud identity of the pods' ServiceAccount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id_secret_key_ref: Option<SecretKeySelector>,
    /// Secret access key, from a Secret in the DoltDB's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key_secret_key_ref: Option<SecretKeySelector>,
}

/// A repository on DoltHub or another Dolt remote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct DoltHubStorage {
    /// URL of the remote, taken as it stands.
    pub remote_url: String,
    /// Reserved: has no effect today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret_key_ref: Option<SecretKeySelector>,
}

/// A folder in the file system of the primary's pod. It is lost with the pod unless a volume is mounted there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct LocalStorage {
    /// Absolute path of the folder.
    pub path: String,
}

/// How far a backup has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub enum BackupPhase {
    /// Waits for its turn.
    Pending,
    /// Runs, or waits for its next attempt.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
}

/// What was last observed of the backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct BackupStatus {
    /// Conditions `Ready`, `BackupCompleted`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How far the backup has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupPhase>,
    /// Start of the first attempt, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// End, whether good or bad, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Attempts that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<i32>,
}
