//! Reconciler of BackupSchedule: makes a Backup at the times of a cron expression, one at a time, and deletes those that ended long ago.
//!
//! Times that were missed come to one Backup. It touches no server and no data: what a Backup does is the Backup's business.

mod backups;
mod make;
mod times;
mod validate;

use crds::{API_VERSION, Backup, BackupSchedule, BackupScheduleStatus, DoltDB};
use cron::Schedule;
use dolt::{Obstacle, invalid_spec, report, resolve, tell_ignored};
use sdk::{
    Conditions, Description, Failure, Permission, Plan, Reconciler, Request, Severity, Timestamp, Typed, Verdict, World, kind, rfc3339,
};
use serde_json::{Value as Json, json};

use crate::{
    backups::Backups,
    times::Times,
    validate::{copies, storage, validate},
};

/// Reason of a schedule that makes nothing because the user wants it so.
const SUSPENDED: &str = "Suspended";
/// The condition that says whether the schedule is in force, and its reason.
const CREATED: &str = "BackupScheduleCreated";
/// The condition about the last Backup that has ended.
const LAST: &str = "LastBackupSucceeded";
/// Backups that one round deletes, at most.
const DELETIONS: usize = 50;

/// Reconciles BackupSchedule.
#[derive(Debug, Clone, Copy)]
pub struct BackupScheduleReconciler;

sdk::export!(crate::BackupScheduleReconciler);

impl Reconciler for BackupScheduleReconciler {
    fn describe() -> Description {
        let backup = kind(API_VERSION, Backup::KIND);
        Description {
            name: "backupschedule".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reconciles: kind(API_VERSION, BackupSchedule::KIND),
            permissions: vec![
                Permission::Read(kind(API_VERSION, DoltDB::KIND)),
                Permission::Read(backup.clone()),
                Permission::Apply(backup.clone()),
                Permission::Delete(backup),
            ],
            settings_schema: dolt::SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn reconcile(world: &dyn World, request: &Request) -> Result<Plan, Failure> {
        let schedule: Typed<BackupSchedule> = request.object_as()?;
        if schedule.header.deleting {
            return Ok(Plan::new());
        }
        let made = Backups::of(world, &schedule)?;
        let failure = request.last.as_ref().and_then(|last| last.failure.as_ref()).map(|failure| failure.message.clone());
        let mut round = Round { world, schedule, conditions: Conditions::of(request)?, made, failure, due: None, plan: Plan::new() };
        let spec = &round.schedule.body.spec;
        let verdict = match validate(&round.schedule.header.name, spec) {
            Err(mistakes) => round.stopped(&invalid_spec(&mistakes).expect("there are mistakes")),
            Ok(_) if spec.suspended() => Verdict::yes(SUSPENDED, "Backup schedule suspended"),
            Ok(cron) => round.go(&cron)?,
        };
        Ok(round.end(&verdict))
    }
}

/// One round of a schedule.
struct Round<'a> {
    world: &'a dyn World,
    schedule: Typed<BackupSchedule>,
    conditions: Conditions,
    made: Backups,
    /// Why the last plan was not carried out.
    failure: Option<String>,
    /// A Backup that the API server has refused before, to be applied after that is told.
    due: Option<Json>,
    plan: Plan,
}

impl Round<'_> {
    /// The schedule is in force: makes a Backup if one is due.
    fn go(&mut self, cron: &Schedule) -> Result<Verdict, Failure> {
        let spec = &self.schedule.body.spec;
        let target = resolve(self.world, &self.schedule.header.namespace, &spec.dolt_db_ref)?;
        let now = self.world.now();
        let times = Times::of(&self.schedule, cron, &self.made, now);
        let status = &mut self.schedule.body.status;
        status.active_schedule = Some(spec.schedule.clone());
        status.active_since = Some(times.since);
        status.last_schedule_time = times.last.map(rfc3339);
        status.next_schedule_time = times.next.map(rfc3339);
        if let Some(made) = self.made.last() {
            status.last_backup_ref = Some(made.header.name.clone());
            status.last_copy = made.copy.or(status.last_copy);
        }
        let Some(next) = times.next else {
            return Ok(Verdict::no("NeverDue", format!("spec.schedule: \"{}\" has no time in the next years", spec.schedule)));
        };
        match target {
            Err(obstacle) => return Ok(self.stopped(&obstacle)),
            Ok(doltdb) if doltdb.header.deleting => {
                return Ok(self.stopped(&Obstacle::new("DoltDBNotFound", format!("DoltDB \"{}\" is being deleted", doltdb.header.name))));
            }
            Ok(_) => {}
        }
        let mut message = "Backup schedule active".to_owned();
        if now < next {
            self.plan.at(next);
        } else if let Some(made) = self.made.under_way() {
            message = format!("Backup schedule active; the next Backup waits for the end of Backup \"{}\"", made.header.name);
        } else {
            return Ok(self.make(cron, next, now, message));
        }
        Ok(Verdict::yes(CREATED, message))
    }

    /// Makes the Backup that has been due since a time.
    fn make(&mut self, cron: &Schedule, due: Timestamp, now: Timestamp, message: String) -> Verdict {
        let spec = &self.schedule.body.spec;
        let copy = copies(spec).map(|copies| self.next_copy(copies));
        let storage = storage(spec, copy.unwrap_or(1)).expect("the spec was validated");
        let backup = make::backup(&self.schedule.header, spec, storage, copy, due);
        let name = backup["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if let Some(failure) = self.failure.take() {
            self.due = Some(backup);
            return Verdict::no("BackupNotCreated", format!("a Backup is due and cannot be made: {failure}"));
        }
        self.plan.apply(&backup);
        self.plan.event(Severity::Normal, "BackupCreated", "Schedule", format!("Backup \"{name}\" is due"));
        let status = &mut self.schedule.body.status;
        // In whole seconds, as the status has it.
        let now = now / 1_000 * 1_000;
        let next = cron.next(now);
        status.last_schedule_time = Some(rfc3339(now));
        status.next_schedule_time = next.map(rfc3339);
        status.last_backup_ref = Some(name);
        status.last_copy = copy.or(status.last_copy);
        if let Some(next) = next {
            self.plan.at(next);
        }
        Verdict::yes(CREATED, message)
    }

    /// The copy that is oldest. One that failed has left its place as it was, and is tried there again.
    fn next_copy(&self, copies: i32) -> i32 {
        let last = self.made.last();
        let number = last.and_then(|made| made.copy).or(self.schedule.body.status.last_copy);
        match number {
            Some(number) if last.is_some_and(|made| made.failed()) => number.min(copies),
            Some(number) => number.rem_euclid(copies) + 1,
            None => 1,
        }
    }

    /// Something has to be put right first.
    fn stopped(&self, obstacle: &Obstacle) -> Verdict {
        Verdict::no(obstacle.reason, obstacle.message.clone())
    }

    /// Status, events, and what is too much.
    fn end(mut self, verdict: &Verdict) -> Plan {
        let header = &self.schedule.header;
        report(self.world, &mut self.conditions, &mut self.plan, verdict, !verdict.holds);
        tell_ignored(self.world, &mut self.conditions, &mut self.plan, &self.schedule.body.spec.ignored());
        let created = if verdict.reason == CREATED { Verdict::yes(CREATED, "Backup schedule created") } else { verdict.clone() };
        self.conditions.set(self.world, CREATED, &created);
        if let Some(ended) = self.made.last_ended() {
            let name = &ended.header.name;
            let verdict = if ended.completed() {
                Verdict::yes("BackupCompleted", format!("Backup \"{name}\" completed"))
            } else {
                Verdict::no("BackupFailed", format!("Backup \"{name}\" failed"))
            };
            self.conditions.set(self.world, LAST, &verdict);
        }
        let mut status = BackupScheduleStatus {
            observed_generation: i64::try_from(header.generation).ok(),
            last_successful_time: self
                .made
                .last_success()
                .map(ToOwned::to_owned)
                .max(self.schedule.body.status.last_successful_time.clone()),
            conditions: Vec::new(),
            ..self.schedule.body.status.clone()
        };
        if verdict.reason != CREATED {
            status.next_schedule_time = None;
        }
        if verdict.reason == SUSPENDED {
            status.active_schedule = None;
            status.active_since = None;
        }
        let mut status = json!(status);
        status["conditions"] = json!(self.conditions.into_list());
        self.plan.status(&status);
        if let Some(backup) = &self.due {
            self.plan.apply(backup);
        }
        for backup in self.made.surplus(&self.schedule.body.spec).into_iter().take(DELETIONS) {
            self.plan.delete(backup);
        }
        self.plan
    }
}
