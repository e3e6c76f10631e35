//! What is told of a Snapshot: its conditions, and events.

use crds::{SnapshotSet, SnapshotSpec, SnapshotStatus};
use dolt::{READY, report};
use sdk::{Conditions, Failure, Plan, Severity, Verdict};
use serde_json::json;

use crate::{Round, set::Progress};

/// The condition that the schedule is in force. It has the name that it had when there was a CronJob.
pub(crate) const SCHEDULED: &str = "SnapshotCronJobCreated";

/// Status and events of a round in which nothing stands in the way.
pub(crate) fn tell(round: &Round<'_>, progress: &Progress, status: SnapshotStatus, plan: &mut Plan) -> Result<(), Failure> {
    let mut conditions = Conditions::of(round.request)?;
    let well_before = conditions.get(READY).is_none_or(|ready| ready.status == "True");
    let (verdict, warn) = verdict(round, progress, &status, well_before);
    report(round.world, &mut conditions, plan, &verdict, warn);
    conditions.set(round.world, SCHEDULED, &Verdict::yes(SCHEDULED, scheduled(&round.snapshot.body.spec)));
    if let Progress::Begun(set) = progress {
        plan.event(
            Severity::Normal,
            "SnapshotSetStarted",
            "Snapshot",
            format!("Taking {} snapshots of DoltDB \"{}\" as set {}", set.snapshots.len(), round.observed.doltdb, set.name),
        );
    }
    let mut status = serde_json::to_value(status).map_err(|error| unwritable(&error))?;
    status["observedGeneration"] = json!(round.request.object.header.generation);
    status["conditions"] = json!(conditions.into_list());
    plan.status(&status);
    Ok(())
}

/// The condition `Ready`, and whether it is a matter for a warning.
fn verdict(round: &Round<'_>, progress: &Progress, status: &SnapshotStatus, well_before: bool) -> (Verdict, bool) {
    // What is under way is neither better nor worse than what was before.
    let meanwhile = |reason: &str, message: String| {
        let verdict = if well_before { Verdict::yes(reason, message) } else { Verdict::no(reason, message) };
        (verdict, false)
    };
    if let Some(failure) = round.request.last.as_ref().and_then(|last| last.failure.as_ref()) {
        return (Verdict::no("Failed", format!("Error creating snapshot {}: {}", round.snapshot.header.name, failure.message)), true);
    }
    if let Progress::Waiting(obstacle) = progress {
        return meanwhile(obstacle.reason, obstacle.message.clone());
    }
    let suspended = round.snapshot.body.spec.suspended();
    let Some(set) = &status.last_set else {
        let words = if suspended { ("Suspended", "Suspended") } else { ("Scheduled", "Scheduled; no set has been due yet") };
        return (Verdict::yes(words.0, words.1), false);
    };
    if let Some(member) = set.snapshots.iter().find(|member| member.error.is_some()) {
        let error = member.error.as_deref().unwrap_or_default();
        return (Verdict::no("SnapshotFailed", format!("VolumeSnapshot \"{}\": {error}", member.name)), true);
    }
    if !set.ready {
        let ready = set.snapshots.iter().filter(|member| member.ready).count();
        return meanwhile("TakingSnapshots", format!("{ready} of {} snapshots of set {} are ready", set.snapshots.len(), set.name));
    }
    let prefix = if suspended { "Suspended; " } else { "" };
    let reason = if suspended { "Suspended" } else { "SnapshotsTaken" };
    (Verdict::yes(reason, format!("{prefix}{}", ready_set(set))), false)
}

fn ready_set(set: &SnapshotSet) -> String {
    let count = match set.snapshots.len() {
        1 => "its snapshot".to_owned(),
        n => format!("its {n} snapshots"),
    };
    format!("Set {} is ready with {count}", set.name)
}

/// What is true of the condition that was about a CronJob.
fn scheduled(spec: &SnapshotSpec) -> String {
    let defaults = SnapshotSpec::default();
    let unused: Vec<&str> = [
        ("spec.image", spec.image != defaults.image),
        ("spec.version", spec.version != defaults.version),
        ("spec.imagePullSecrets", !spec.image_pull_secrets.is_empty()),
    ]
    .into_iter()
    .filter_map(|(field, set)| set.then_some(field))
    .collect();
    let mut words = "The operator takes the snapshots itself, without a CronJob".to_owned();
    if !unused.is_empty() {
        words.push_str(&format!("; {} {} no effect", unused.join(", "), if unused.len() == 1 { "has" } else { "have" }));
    }
    words
}

/// What has been decided, as a failure to decide has no place in a status.
pub(crate) fn unwritable(error: &serde_json::Error) -> Failure {
    Failure { reason: "StatusUnwritable".to_owned(), message: format!("cannot write the status: {error}") }
}
