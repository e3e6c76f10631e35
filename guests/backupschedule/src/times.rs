//! When the next Backup is due. The times are those of the expression after the last Backup, or after the schedule began to count.

use crds::{BackupSchedule, BackupScheduleStatus};
use cron::Schedule;
use sdk::{Timestamp, Typed, parse_rfc3339, rfc3339};

use crate::backups::Backups;

/// Where a schedule stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Times {
    /// Since when the expression counts. Times before are not made up for.
    pub(crate) since: String,
    /// The time of the last Backup.
    pub(crate) last: Option<Timestamp>,
    /// The first time after both; none when there is none in the next years.
    pub(crate) next: Option<Timestamp>,
}

impl Times {
    pub(crate) fn of(schedule: &Typed<BackupSchedule>, cron: &Schedule, made: &Backups, now: Timestamp) -> Self {
        let status = &schedule.body.status;
        let since = since(schedule, now);
        let noted = status.last_schedule_time.as_deref().and_then(parse_rfc3339);
        // A Backup counts although the status doesn't know of it yet: it may have been written just before a crash.
        let last = noted.max(made.last().map(|made| made.time));
        let from = last.max(parse_rfc3339(&since)).unwrap_or_default();
        Self { since, last, next: cron.next(from) }
    }
}

fn since(schedule: &Typed<BackupSchedule>, now: Timestamp) -> String {
    let status: &BackupScheduleStatus = &schedule.body.status;
    if status.active_schedule.as_ref() == Some(&schedule.body.spec.schedule)
        && let Some(since) = &status.active_since
    {
        return since.clone();
    }
    // Changed, resumed or put right: it counts from now on.
    if status.observed_generation.is_some() {
        return rfc3339(now);
    }
    // New, or as another operator has left it.
    schedule.body.metadata.creation_timestamp.clone().unwrap_or_else(|| rfc3339(now))
}
