//! When a set is due. Times that passed unseen come to one.

use crds::{FieldError, Snapshot, SnapshotStatus};
use sdk::{Timestamp, Typed, parse_rfc3339};

/// Longer is no value of a label, by which the snapshots are found.
const NAME_LENGTH: usize = 63;

/// The times of a Snapshot.
pub(crate) struct Schedule {
    times: cron::Schedule,
    created: Timestamp,
}

impl Schedule {
    /// The schedule in the spec, and what is wrong with the object.
    pub(crate) fn of(snapshot: &Typed<Snapshot>) -> (Option<Self>, Vec<FieldError>) {
        let spec = &snapshot.body.spec;
        let mut found = Vec::new();
        let name = &snapshot.header.name;
        if name.len() > NAME_LENGTH {
            let problem = format!("must have at most {NAME_LENGTH} characters: it becomes a label of the snapshots");
            found.push(FieldError::new("metadata.name", name, problem));
        }
        found.extend(spec.max_age().err());
        let field = "spec.frequencySchedule";
        let created = snapshot.body.metadata.creation_timestamp.as_deref().and_then(parse_rfc3339).unwrap_or_default();
        let schedule = match cron::Schedule::parse(&spec.frequency_schedule) {
            Ok(times) => Some(Self { times, created }),
            Err(error) => {
                found.push(FieldError::new(field, &spec.frequency_schedule, error.to_string()));
                None
            }
        };
        if schedule.as_ref().is_some_and(|schedule| schedule.times.next(created).is_none()) {
            found.push(FieldError::new(field, &spec.frequency_schedule, "never comes: there is no such day"));
        }
        (schedule, found)
    }

    /// Whether a set should be taken now.
    pub(crate) fn due(&self, status: &SnapshotStatus, now: Timestamp) -> bool {
        self.next(None, status).is_some_and(|next| next <= now)
    }

    /// When the next set is due after the last one, which is begun now or stands in the status.
    pub(crate) fn next(&self, begun: Option<Timestamp>, status: &SnapshotStatus) -> Option<Timestamp> {
        let last = begun.or_else(|| status.last_schedule_time.as_deref().and_then(parse_rfc3339));
        self.times.next(last.unwrap_or(self.created))
    }
}
