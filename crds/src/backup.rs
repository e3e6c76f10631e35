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
    /// Seconds that the copy of one database may take, after which the attempt counts as failed. Default: 21600, which is six hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<i64>,
    /// Without effect: the server copies its databases itself, no pod is made. The condition `SpecHonored` says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Without effect: the server copies its databases itself, no pod is made. The condition `SpecHonored` says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
}

/// `deadlineSeconds` where none is given.
const DEADLINE_SECONDS: i64 = 6 * 60 * 60;

impl BackupSpec {
    /// Seconds that the copy of one database may take.
    pub fn deadline_seconds(&self) -> u64 {
        self.deadline_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0)
            .unwrap_or(DEADLINE_SECONDS.unsigned_abs())
    }

    /// A sentence for each field that has no effect.
    pub fn ignored(&self) -> Vec<String> {
        without_pods(self.resources.is_some(), !self.image_pull_secrets.is_empty())
    }
}

/// What is said of fields about pods, where they are set.
pub(crate) fn without_pods(resources: bool, image_pull_secrets: bool) -> Vec<String> {
    let fields = [("resources", resources), ("imagePullSecrets", image_pull_secrets)].into_iter().filter(|(_, set)| *set);
    fields.map(|(field, _)| format!("spec.{field}: has no effect: the server copies its databases itself, no pod is made")).collect()
}

impl Default for BackupSpec {
    fn default() -> Self {
        Self {
            dolt_db_ref: DoltDBRef::default(),
            storage: BackupStorage::default(),
            databases: Vec::new(),
            backoff_limit: 2,
            deadline_seconds: None,
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
    /// A folder on the data volume of the primary's pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalStorage>,
}

/// A bucket of Amazon S3, with a DynamoDB table beside it. Each database goes to a folder of its own name below the prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct S3Storage {
    /// Name of the bucket.
    pub bucket: String,
    /// AWS region of bucket and table. Where it is given, the DoltDB's `spec.env` must set `AWS_REGION` to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// URL of another service that speaks S3 and DynamoDB. Where it is given, the DoltDB's `spec.env` must set `AWS_ENDPOINT_URL` to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Path in the bucket, above the databases' folders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// DynamoDB table that keeps track of the backup. Default: the name of the bucket.
    #[serde(rename = "dynamoDBTable", skip_serializing_if = "Option::is_none")]
    pub dynamo_db_table: Option<String>,
    /// `true` is refused: Dolt puts the bucket into the name of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_path_style: Option<bool>,
    /// Access key, from a Secret in the DoltDB's namespace. Default: what the servers have, from the files in the Secret `<DoltDB>-aws` or from the
    /// cloud identity of the pods' ServiceAccount. Where it is given, the DoltDB's `spec.env` must set `AWS_ACCESS_KEY_ID` from the same key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id_secret_key_ref: Option<SecretKeySelector>,
    /// Secret access key, from a Secret in the DoltDB's namespace. Where it is given, the DoltDB's `spec.env` must set
    /// `AWS_SECRET_ACCESS_KEY` from the same key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key_secret_key_ref: Option<SecretKeySelector>,
}

/// A repository on DoltHub or another Dolt remote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct DoltHubStorage {
    /// URL of the remote. `{database}` stands for the name of the database. Without it, the URL is taken as it stands where `databases` holds
    /// one name, and else the name is appended to it as a last part.
    pub remote_url: String,
    /// Refused where it is given: Dolt takes the credentials of remotes from its own configuration only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret_key_ref: Option<SecretKeySelector>,
}

/// A folder on the data volume of the primary's pod. Each database goes to a folder of its own name in it. It helps against mistakes, not
/// against the loss of the volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct LocalStorage {
    /// Absolute path of the folder. It must be on the data volume, which is `/db`: elsewhere it would be lost with the pod.
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
    /// Conditions `Ready`, `BackupCompleted`, `SpecHonored`.
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
    /// Start of the next attempt after one that failed, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<String>,
    /// Databases that are done, of all: `1/3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// The databases, in the order in which they are copied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<DatabaseBackup>,
}

/// How far one database has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
pub enum DatabasePhase {
    /// Waits for its turn.
    #[default]
    Pending,
    /// Is being copied.
    Running,
    /// Is at the destination.
    Completed,
    /// Was dropped before its turn came.
    Dropped,
}

/// The backup of one database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct DatabaseBackup {
    /// Name of the database.
    pub name: String,
    /// How far it has come.
    pub phase: DatabasePhase,
    /// Where it goes, as Dolt's `dolt_backup('restore', …)` takes it.
    pub destination: String,
    /// Pod whose server copied it. A local destination is on this pod's volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Start of the copy, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// End of the copy, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Seconds that the copy took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,
    /// Hash of the database when the copy began, as `dolt_hashof_db()` gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Whether the database was written to while it was copied, so that the copy may be later than `hash` and `branches` say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_meanwhile: Option<bool>,
    /// Heads of the branches when the copy began: the 20 that were committed to last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<BranchHead>,
}

/// The head of a branch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct BranchHead {
    /// Name of the branch.
    pub name: String,
    /// Hash of its last commit.
    pub commit: String,
}
