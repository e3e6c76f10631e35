//! Reconciler of Snapshot: at the times of a schedule, VolumeSnapshots of all volumes of a DoltDB, as a set that belongs together; afterwards it
//! follows them, and deletes the sets that are too old or too many.
//!
//! It knows nothing of how a storage driver makes snapshots, nor of how a DoltDB is restored from one.

mod class;
mod observe;
mod retention;
mod schedule;
mod set;
mod tell;

use std::time::Duration;

use crds::{API_VERSION, DoltDB, Snapshot, SnapshotStatus, names};
use dolt::{Obstacle, invalid_spec, resolve};
use sdk::{Conditions, Description, Failure, Permission, Plan, Reconciler, Request, Severity, Timestamp, Typed, World, kind};
use serde_json::json;

use crate::{
    observe::{Observed, SNAPSHOT_API},
    schedule::Schedule,
    set::{Progress, progress},
    tell::tell,
};

/// Between two looks at what tells nobody when it comes.
const RETRY: Duration = Duration::from_secs(30);

/// Reconciles Snapshot.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotReconciler;

sdk::export!(crate::SnapshotReconciler);

impl Reconciler for SnapshotReconciler {
    fn describe() -> Description {
        let (volume_snapshot, cron_job) = (kind(SNAPSHOT_API, "VolumeSnapshot"), kind("batch/v1", "CronJob"));
        Description {
            name: "snapshot".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reconciles: kind(API_VERSION, Snapshot::KIND),
            permissions: vec![
                Permission::Read(kind(API_VERSION, DoltDB::KIND)),
                Permission::Read(kind(API_VERSION, Snapshot::KIND)),
                Permission::Read(kind("v1", "PersistentVolumeClaim")),
                Permission::Read(kind("storage.k8s.io/v1", "StorageClass")),
                Permission::Read(kind(SNAPSHOT_API, "VolumeSnapshotClass")),
                Permission::Read(volume_snapshot.clone()),
                Permission::Read(cron_job.clone()),
                Permission::Apply(volume_snapshot.clone()),
                Permission::Delete(volume_snapshot),
                Permission::Delete(cron_job),
            ],
            settings_schema: dolt::SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn reconcile(world: &dyn World, request: &Request) -> Result<Plan, Failure> {
        // What should go with the object is owned by it.
        if request.object.header.deleting {
            return Ok(Plan::new());
        }
        let snapshot: Typed<Snapshot> = request.object_as()?;
        let (schedule, mistakes) = Schedule::of(&snapshot);
        if let Some(obstacle) = invalid_spec(&mistakes) {
            return blocked(world, request, &snapshot, &obstacle);
        }
        let Some(schedule) = schedule else { return Ok(Plan::new()) };
        // VolumeSnapshots are made where the volumes are, and nothing of one namespace can own anything in another.
        let (own, wanted) = (&snapshot.header.namespace, &snapshot.body.spec.dolt_db_ref);
        if wanted.namespace_or(own) != own {
            let message = format!(
                "spec.doltDBRef.namespace: a Snapshot is in the namespace of its DoltDB: move it to namespace \"{}\"",
                wanted.namespace_or(own)
            );
            return blocked(world, request, &snapshot, &Obstacle::new("NamespaceRefused", message));
        }
        if let Err(obstacle) = resolve(world, own, wanted)? {
            return blocked(world, request, &snapshot, &obstacle);
        }
        match Observed::of(world, &snapshot)? {
            Ok(observed) => {
                let round = Round { world, request, snapshot: &snapshot, schedule: &schedule, observed: &observed, now: world.now() };
                round.plan()
            }
            Err(obstacle) => blocked(world, request, &snapshot, &obstacle),
        }
    }
}

/// What is known in a round in which nothing stands in the way.
struct Round<'a> {
    world: &'a dyn World,
    request: &'a Request,
    snapshot: &'a Typed<Snapshot>,
    schedule: &'a Schedule,
    observed: &'a Observed,
    now: Timestamp,
}

impl Round<'_> {
    fn plan(&self) -> Result<Plan, Failure> {
        let spec = &self.snapshot.body.spec;
        let before = &self.snapshot.body.status;
        let suspended = spec.suspended();
        let unfinished = before.last_set.as_ref().is_some_and(|set| !set.complete);
        let due = !suspended && !unfinished && self.schedule.due(before, self.now);
        let progress = progress(self, due)?;

        let begun = matches!(progress, Progress::Begun(_)).then_some(self.now);
        let last = begun.map(sdk::rfc3339).or_else(|| before.last_schedule_time.clone());
        let next = if suspended { None } else { self.schedule.next(begun, before) };
        let set = match &progress {
            Progress::Begun(set) | Progress::Going(set, _) | Progress::Over(set) => Some(set.clone()),
            Progress::Waiting(_) | Progress::None => before.last_set.clone(),
        };
        let doomed = retention::doomed(self)?;
        let sets = self.observed.sets();
        let status = SnapshotStatus {
            last_schedule_time: last,
            next_schedule_time: next.map(sdk::rfc3339),
            restore_from: self.observed.restore_from().map(ToOwned::to_owned),
            sets: i32::try_from(sets.len()).ok(),
            last_set: set,
            ..SnapshotStatus::default()
        };

        let mut plan = Plan::new();
        // First: which set is being taken stands in the status before the first snapshot is made.
        tell(self, &progress, status, &mut plan)?;
        if let Progress::Begun(set) | Progress::Going(set, _) = &progress {
            for manifest in set::missing(self, set) {
                plan.apply(&manifest);
            }
        }
        for job in &self.observed.cron_jobs {
            plan.event(
                Severity::Normal,
                "CronJobDeleted",
                "Adopt",
                format!("Deleting CronJob \"{}\", whose snapshots the operator takes itself now", job.name),
            );
            plan.delete(job);
        }
        for manifest in self.observed.owned_otherwise(self.snapshot) {
            plan.apply_to(&manifest.0, &manifest.1);
        }
        for name in doomed.names() {
            plan.event(Severity::Normal, "SnapshotSetDeleted", "Retain", format!("Deleting the snapshots of set {name}"));
        }
        for header in doomed.headers {
            plan.delete(header);
        }
        let look = match &progress {
            // The next set's time may have passed by then: it comes when this one is over.
            Progress::Going(_, deadline) => [Some(*deadline), None],
            Progress::Waiting(_) => [Some(self.now.saturating_add(u64::try_from(RETRY.as_millis()).unwrap_or_default())), None],
            _ => [next, doomed.next],
        };
        if let Some(time) = look.into_iter().flatten().min() {
            plan.at(time);
        }
        Ok(plan)
    }
}

/// Nothing can be done. What is known of the last set stays in the status.
fn blocked(world: &dyn World, request: &Request, snapshot: &Typed<Snapshot>, obstacle: &Obstacle) -> Result<Plan, Failure> {
    let mut plan = Plan::new();
    let mut conditions = Conditions::of(request)?;
    let verdict = sdk::Verdict::no(obstacle.reason, obstacle.message.clone());
    dolt::report(world, &mut conditions, &mut plan, &verdict, true);
    conditions.set(world, tell::SCHEDULED, &verdict);
    let status = SnapshotStatus { next_schedule_time: None, ..snapshot.body.status.clone() };
    let mut status = serde_json::to_value(status).map_err(|error| tell::unwritable(&error))?;
    status["observedGeneration"] = json!(request.object.header.generation);
    status["conditions"] = json!(conditions.into_list());
    plan.status(&status);
    if let Some(time) = obstacle.retry {
        plan.after(time);
    }
    Ok(plan)
}

/// The pod of a claim, by its ordinal.
fn pod_of(doltdb: &str, ordinal: i32) -> String {
    names::pod(doltdb, ordinal)
}
