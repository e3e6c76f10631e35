//! Mistakes in the spec that the API server lets through, or that were stored before it knew better.

use crds::{BackupScheduleSpec, BackupStorage, FieldError};
use cron::Schedule;
use dolt::{copy, storage_mistakes};

/// Longest value of a label.
const LABEL: usize = 63;

/// The times of the expression, or all that is wrong.
pub(crate) fn validate(name: &str, spec: &BackupScheduleSpec) -> Result<Schedule, Vec<FieldError>> {
    let mut found = Vec::new();
    if name.len() > LABEL {
        let problem = format!("has {} characters, and a label on the Backups has room for {LABEL}: choose a shorter name", name.len());
        found.push(FieldError::new("metadata.name", name, problem));
    }
    let schedule = Schedule::parse(&spec.schedule).map_err(|error| FieldError::new("spec.schedule", &spec.schedule, error.to_string()));
    match storage(spec, 1) {
        Ok(storage) => found.extend(storage_mistakes(&storage, &spec.databases)),
        Err(mistake) => found.push(mistake),
    }
    match schedule {
        Ok(schedule) if found.is_empty() => Ok(schedule),
        Ok(_) => Err(found),
        Err(mistake) => {
            found.insert(0, mistake);
            Err(found)
        }
    }
}

/// The storage of a Backup that makes this copy.
pub(crate) fn storage(spec: &BackupScheduleSpec, number: i32) -> Result<BackupStorage, FieldError> {
    if copies(spec).is_some() { copy(&spec.storage, number) } else { Ok(spec.storage.clone()) }
}

/// Number of copies, where there is a place for each.
pub(crate) fn copies(spec: &BackupScheduleSpec) -> Option<i32> {
    spec.copies.filter(|copies| *copies > 0)
}
