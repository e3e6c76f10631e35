//! The Backups that a schedule has made: which was the last, whether one is under way, which of the finished ones are too many.

use crds::{API_VERSION, Backup, BackupPhase, BackupSchedule, BackupScheduleSpec, names};
use sdk::{Failure, Header, Owners, Selector, Timestamp, Typed, World, parse_rfc3339};
use serde::Deserialize;

/// What is read of a Backup.
const FIELDS: [&str; 4] = ["/metadata/creationTimestamp", "/metadata/ownerReferences", "/status/phase", "/status/completedAt"];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    metadata: Metadata,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    creation_timestamp: String,
    owner_references: Owners,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: Option<BackupPhase>,
    completed_at: Option<String>,
}

/// A Backup of the schedule.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) header: Header,
    /// When it was due, which is in its name. One that a deposed operator makes again is as old as it was.
    due: Timestamp,
    /// When it was made, or was due if its clock says that this is later.
    pub(crate) time: Timestamp,
    /// Which copy it makes, where there are several.
    pub(crate) copy: Option<i32>,
    phase: Option<BackupPhase>,
    completed_at: Option<String>,
}

impl Made {
    pub(crate) fn failed(&self) -> bool {
        self.phase == Some(BackupPhase::Failed)
    }

    pub(crate) fn completed(&self) -> bool {
        self.phase == Some(BackupPhase::Completed)
    }
}

/// The Backups of a schedule, the oldest first.
#[derive(Debug)]
pub(crate) struct Backups(Vec<Made>);

impl Backups {
    pub(crate) fn of(world: &dyn World, schedule: &Typed<BackupSchedule>) -> Result<Self, Failure> {
        let header = &schedule.header;
        let selector =
            Selector::new(API_VERSION, Backup::KIND, &header.namespace).label(names::LABEL_BACKUP_SCHEDULE, &header.name).fields(&FIELDS);
        let mut made: Vec<Made> = world
            .select_as::<Body>(&selector)?
            .into_iter()
            // A label can be given to any Backup: the schedule is only concerned with those that it owns.
            .filter(|backup| !backup.header.deleting && backup.body.metadata.owner_references.include(header))
            .map(|backup| {
                let created = parse_rfc3339(&backup.body.metadata.creation_timestamp).unwrap_or_default();
                let due = due(&header.name, &backup.header.name);
                Made {
                    due: due.unwrap_or(created),
                    time: due.unwrap_or_default().max(created),
                    copy: backup.header.label(names::LABEL_BACKUP_COPY).and_then(|copy| copy.parse().ok()),
                    phase: backup.body.status.phase,
                    completed_at: backup.body.status.completed_at,
                    header: backup.header,
                }
            })
            .collect();
        made.sort_by(|a, b| (a.due, &a.header.name).cmp(&(b.due, &b.header.name)));
        Ok(Self(made))
    }

    pub(crate) fn last(&self) -> Option<&Made> {
        self.0.last()
    }

    /// One that has not ended.
    pub(crate) fn under_way(&self) -> Option<&Made> {
        self.0.iter().find(|made| !made.failed() && !made.completed())
    }

    /// The last one that has ended.
    pub(crate) fn last_ended(&self) -> Option<&Made> {
        self.0.iter().rev().find(|made| made.failed() || made.completed())
    }

    /// When the last one ended well.
    pub(crate) fn last_success(&self) -> Option<&str> {
        self.0.iter().filter(|made| made.completed()).filter_map(|made| made.completed_at.as_deref()).max()
    }

    /// Those that ended longer ago than as many as are kept, the oldest first.
    pub(crate) fn surplus(&self, spec: &BackupScheduleSpec) -> Vec<&Header> {
        let beyond = |ended: fn(&Made) -> bool, keep: usize| {
            let ended: Vec<&Made> = self.0.iter().filter(|made| ended(made)).collect();
            let surplus = ended.len().saturating_sub(keep);
            ended.into_iter().take(surplus).map(|made| &made.header)
        };
        // The last good one stays: it says what can be restored, and which copy is the next.
        beyond(Made::completed, spec.successful_history().max(1)).chain(beyond(Made::failed, spec.failed_history())).collect()
    }
}

/// When a Backup of this name was due.
fn due(schedule: &str, backup: &str) -> Option<Timestamp> {
    let seconds: u64 = backup.strip_prefix(schedule)?.strip_prefix('-')?.parse().ok()?;
    seconds.checked_mul(1_000)
}
