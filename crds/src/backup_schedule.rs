//! BackupSchedule: makes Backups at the times of a cron expression.

use serde::{Deserialize, Serialize};

use crate::backup::without_pods;
use crate::{BackupStorage, Condition, DoltDBRef, Kind, LocalObjectReference, Object, ResourceRequirements};

/// Makes Backups at the times of a cron expression.
pub type BackupSchedule = Object<BackupScheduleSpec>;

impl Kind for BackupScheduleSpec {
    const KIND: &'static str = "BackupSchedule";
    const PLURAL: &'static str = "backupschedules";
    const SINGULAR: &'static str = "backupschedule";
    type Status = BackupScheduleStatus;
}

/// The backups that are wanted, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct BackupScheduleSpec {
    /// The DoltDB to back up.
    #[serde(rename = "doltDBRef")]
    pub dolt_db_ref: DoltDBRef,
    /// When to back up: five fields of cron (minute, hour, day of month, month, day of week), or `@hourly`, `@daily` and the like. A
    /// prefix such as `CRON_TZ=Europe/Berlin` sets the time zone.
    pub schedule: String,
    /// Where the backups go: exactly one of `s3`, `doltHub` and `local`.
    pub storage: BackupStorage,
    /// Databases to back up, up to 100. Default: all but the server's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
    /// Whether no new Backups are made. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Attempts after which a Backup counts as failed. Default: 2.
    pub backoff_limit: i32,
    /// Seconds that the copy of one database may take, after which the attempt counts as failed. Default: 21600, which is six hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<i64>,
    /// Backups that ended well and are kept, the youngest ones, at least one. Default: 30. Older Backups are deleted, their data is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successful_history: Option<i32>,
    /// Backups that ended badly and are kept, the youngest ones. Default: 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_history: Option<i32>,
    /// Number of copies of the data that are kept, each at a place of its own: `1`, `2` and so on below the path or prefix, or in place of `{copy}` in
    /// `remoteUrl`. Each run replaces the oldest copy. Default: one copy at the place itself, which each run brings up to date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copies: Option<i32>,
    /// Copied into the Backups, where it has no effect, as the condition `SpecHonored` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Copied into the Backups, where it has no effect, as the condition `SpecHonored` says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
}

impl Default for BackupScheduleSpec {
    fn default() -> Self {
        Self {
            dolt_db_ref: DoltDBRef::default(),
            schedule: String::new(),
            storage: BackupStorage::default(),
            databases: Vec::new(),
            suspend: None,
            backoff_limit: 2,
            deadline_seconds: None,
            successful_history: None,
            failed_history: None,
            copies: None,
            resources: None,
            image_pull_secrets: Vec::new(),
        }
    }
}

impl BackupScheduleSpec {
    /// `suspend` with its default.
    pub fn suspended(&self) -> bool {
        self.suspend.unwrap_or(false)
    }

    /// `successfulHistory` with its default.
    pub fn successful_history(&self) -> usize {
        self.successful_history.and_then(|count| usize::try_from(count).ok()).unwrap_or(30)
    }

    /// `failedHistory` with its default.
    pub fn failed_history(&self) -> usize {
        self.failed_history.and_then(|count| usize::try_from(count).ok()).unwrap_or(10)
    }

    /// A sentence for each field that has no effect.
    pub fn ignored(&self) -> Vec<String> {
        without_pods(self.resources.is_some(), !self.image_pull_secrets.is_empty())
    }
}

/// What was last observed of the schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct BackupScheduleStatus {
    /// Conditions `Ready`, `BackupScheduleCreated`, `LastBackupSucceeded`, `SpecHonored`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Time of the last Backup, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<String>,
    /// Time of the next Backup, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<String>,
    /// Name of the last Backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_backup_ref: Option<String>,
    /// End of the last Backup that ended well, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<String>,
    /// The schedule that counts now; none while it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_schedule: Option<String>,
    /// Which of the copies the last Backup makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_copy: Option<i32>,
    /// Since when it counts: times before are not made up for. RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_since: Option<String>,
}
