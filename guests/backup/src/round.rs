//! One round of a Backup that has not ended: what is in its way, what its task has come to, which database is the next.

use std::time::Duration;

use crds::{Backup, BackupPhase, BackupStatus, DatabaseBackup, DatabasePhase, DoltDB};
use dolt::{Obstacle, Primary, Settings, destination, find_primary, in_the_way, invalid_spec, resolve, storage_mistakes};
use sdk::{
    Conditions, Failure, FailureKind, Plan, Request, Severity, SqlError, SqlErrorKind, TaskProgress, Typed, World, parse_rfc3339, rfc3339,
};

use crate::{copy, environment, turn::Others};

/// Between two attempts, times the number of those that failed, in milliseconds.
const PAUSE: u64 = 30_000;
/// Between two looks at a server that does not answer as it should.
const RETRY: Duration = Duration::from_secs(5);

/// One round.
pub(crate) struct Round<'a> {
    pub(crate) world: &'a dyn World,
    pub(crate) backup: &'a Typed<Backup>,
    settings: Settings,
    /// Why the host could not do what the last plan said, where it may do so later.
    refused: Option<String>,
    pub(crate) conditions: Conditions,
    pub(crate) status: BackupStatus,
    pub(crate) plan: Plan,
}

impl<'a> Round<'a> {
    pub(crate) fn new(world: &'a dyn World, request: &Request, backup: &'a Typed<Backup>) -> Result<Self, Failure> {
        Ok(Self {
            world,
            backup,
            settings: request.settings_as()?,
            refused: refused(request),
            conditions: Conditions::of(request)?,
            status: backup.body.status.clone(),
            plan: Plan::new(),
        })
    }

    /// Plans the round.
    pub(crate) fn go(self) -> Result<Plan, Failure> {
        let (header, spec) = (&self.backup.header, &self.backup.body.spec);
        if let Some(obstacle) = invalid_spec(&storage_mistakes(&spec.storage, &spec.databases)) {
            return Ok(self.fail(obstacle.reason, &obstacle.message));
        }
        let doltdb = match resolve(self.world, &header.namespace, &spec.dolt_db_ref)? {
            Ok(doltdb) if doltdb.header.deleting => {
                let message = format!("DoltDB \"{}\" is being deleted", doltdb.header.name);
                return Ok(self.without_doltdb(&Obstacle::new("DoltDBNotFound", message)));
            }
            Ok(doltdb) => doltdb,
            Err(obstacle) => return Ok(self.without_doltdb(&obstacle)),
        };
        let mut round = match self.task_under_way() {
            Ok(round) => round,
            Err(plan) => return Ok(plan),
        };
        let others = Others::of(round.world, &doltdb, header, &round.backup.body)?;
        if let Some(first) = others.in_front() {
            let message = format!("waiting for Backup \"{first}\", which comes first on DoltDB \"{}\"", doltdb.header.name);
            return Ok(round.wait(&Obstacle::new("WaitingForTurn", message)));
        }
        if let Some(s3) = &spec.storage.s3
            && let Some(lacking) = environment::lacking(round.world, &doltdb, s3)?
        {
            return Ok(round.fail("EnvironmentLacking", &lacking));
        }
        if let Some(at) = round.retry_at() {
            round.plan.at(at);
            return Ok(round.pause());
        }
        Ok(round.next(&doltdb, &others))
    }

    /// A Backup that has begun cannot do what it promised; one that has not may still get its DoltDB.
    fn without_doltdb(self, obstacle: &Obstacle) -> Plan {
        if self.status.phase == Some(BackupPhase::Running) { self.fail("BackupFailed", &obstacle.message) } else { self.wait(obstacle) }
    }

    /// Looks at the task of the database that is being copied. After a restart of the operator there is none: the copy is begun again then.
    ///
    /// # Errors
    /// The plan, where there is a task.
    fn task_under_way(mut self) -> Result<Self, Plan> {
        let place = self.status.databases.iter().position(|database| database.phase == DatabasePhase::Running);
        let name = place.map(copy::task_name);
        let mut found = None;
        for task in self.world.tasks() {
            if Some(&task.name) == name.as_ref() {
                found = Some(task);
            } else {
                self.plan.forget(&task.name);
            }
        }
        let (Some(place), Some(task)) = (place, found) else { return Ok(self) };
        let database = &mut self.status.databases[place];
        match &task.progress {
            TaskProgress::Running => Err(self.running(place)),
            TaskProgress::Done(answers) => {
                let ended = copy::end(database, &task, answers, self.world.now());
                Err(match ended {
                    Ok(()) => self.went_on(place),
                    Err(error) => self.attempt_failed(place, &error.to_string()),
                })
            }
            // Nothing was sent: the next round finds the server that is primary now.
            TaskProgress::Guarded(_) | TaskProgress::Failed(SqlError { kind: SqlErrorKind::Unreachable, .. }) => {
                database.phase = DatabasePhase::Pending;
                Err(self.went_on(place))
            }
            TaskProgress::Failed(error) => {
                let words = copy::words(error, self.backup.body.spec.deadline_seconds());
                Err(self.attempt_failed(place, &words))
            }
        }
    }

    /// The task of a database is over: notes that before it is forgotten.
    fn went_on(mut self, place: usize) -> Plan {
        self.plan.forget(&copy::task_name(place));
        if self.following().is_none() { self.complete() } else { self.running(place) }
    }

    /// The place of the database that is the next to be copied.
    fn following(&self) -> Option<usize> {
        self.status.databases.iter().position(|database| matches!(database.phase, DatabasePhase::Pending | DatabasePhase::Running))
    }

    /// An attempt failed: there is another one after a while, or it was the last.
    fn attempt_failed(mut self, place: usize, words: &str) -> Plan {
        let database = &mut self.status.databases[place];
        database.phase = DatabasePhase::Pending;
        let error = format!("database \"{}\": {words}", database.name);
        self.plan.forget(&copy::task_name(place));
        self.failed_once(&error)
    }

    /// When the next attempt is, if that is still to come. One that is further away than the pause was noted before the clock was set back.
    fn retry_at(&self) -> Option<u64> {
        let at = self.status.retry_at.as_deref().and_then(parse_rfc3339)?;
        let now = self.world.now();
        let longest = pause(self.status.retry_count.unwrap_or_default());
        (now < at && at - now <= longest).then_some(at)
    }

    fn failed_once(mut self, error: &str) -> Plan {
        let spec = &self.backup.body.spec;
        let count = self.status.retry_count.unwrap_or_default().saturating_add(1);
        self.status.retry_count = Some(count);
        if count >= spec.backoff_limit {
            return self.fail("BackupFailed", &format!("backoff limit exceeded after {count} retries: {error}"));
        }
        let at = self.world.now().saturating_add(pause(count)) / 1_000 * 1_000;
        self.status.retry_at = Some(rfc3339(at));
        self.status.error = Some(error.to_owned());
        self.plan.at(at);
        self.pause()
    }

    /// Begins with the next database, or is at the end.
    fn next(mut self, doltdb: &Typed<DoltDB>, others: &Others<'_>) -> Plan {
        let spec = &self.backup.body.spec;
        let found = find_primary(self.world, doltdb, &self.settings.cluster_domain, vec![copy::databases_statement()]);
        let (primary, answers) = match found {
            Ok(found) => found,
            Err(obstacle) => return self.wait(&obstacle),
        };
        let present = match copy::databases(answers) {
            Ok(present) => present,
            Err(error) => return self.wait(&Obstacle::look_again("Failed", format!("Error connecting to DoltDB: {error}"), RETRY)),
        };
        if let Some(database) = in_the_way(&spec.storage, &present) {
            let message = format!("spec.storage.local.path: is the folder of the database \"{database}\" itself: choose another one");
            return self.fail("InvalidSpec", &message);
        }
        if self.status.databases.is_empty() {
            self.status.databases = self.list(&present);
        }
        let Some(place) = self.following() else { return self.complete() };
        let name = self.status.databases[place].name.clone();
        if !present.contains(&name) {
            if spec.databases.is_empty() {
                // All that are there are wanted, and it no longer is.
                self.status.databases[place].phase = DatabasePhase::Dropped;
                self.plan.event(
                    Severity::Normal,
                    "DatabaseDropped",
                    "Backup",
                    format!("database \"{name}\" was dropped before it was copied"),
                );
                return self.running(place);
            }
            return self.failed_once(&format!("database \"{name}\": there is no such database on DoltDB \"{}\"", doltdb.header.name));
        }
        if !copy::fits_a_destination(&name) {
            return self.fail("BackupFailed", &format!("database \"{name}\": a name with such characters cannot be a part of a destination: name the databases that can in spec.databases"));
        }
        if let Some(theirs) = others.in_place(&name) {
            let at = &self.status.databases[place].destination;
            let message = format!("{at} is the destination of {theirs}, and would be overwritten: choose another one");
            return self.fail("DestinationTaken", &message);
        }
        self.start(place, &primary)
    }

    /// The databases to copy, with their destinations.
    fn list(&self, present: &[String]) -> Vec<DatabaseBackup> {
        let spec = &self.backup.body.spec;
        let mut names = if spec.databases.is_empty() { present.to_vec() } else { spec.databases.clone() };
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        let one = |name: String| DatabaseBackup {
            destination: destination(&spec.storage, &spec.databases, &name),
            name,
            ..DatabaseBackup::default()
        };
        names.into_iter().map(one).collect()
    }

    fn start(mut self, place: usize, primary: &Primary) -> Plan {
        let now = self.world.now();
        if self.status.started_at.is_none() {
            self.status.started_at = Some(rfc3339(now));
        }
        if self.status.phase != Some(BackupPhase::Running) {
            let count = self.status.databases.len();
            self.plan.event(Severity::Normal, "BackupStarted", "Backup", format!("Backup of {} started", copy::count(count)));
        }
        self.status.phase = Some(BackupPhase::Running);
        self.status.retry_at = None;
        copy::begin(&mut self.status.databases[place], now);
        let execution = copy::execution(primary, &self.status.databases[place], self.backup.body.spec.deadline_seconds());
        // The status first: it says what a task is about.
        let mut plan = match self.refused.take() {
            Some(why) => self.held_up(&why),
            None => self.running(place),
        };
        plan.start(&copy::task_name(place), execution);
        plan
    }
}

/// How long the next attempt waits after so many that failed.
fn pause(failed: i32) -> u64 {
    PAUSE.saturating_mul(u64::from(failed.unsigned_abs()))
}

fn refused(request: &Request) -> Option<String> {
    let failure = request.last.as_ref()?.failure.as_ref()?;
    (failure.kind == FailureKind::Unavailable).then(|| failure.message.clone())
}
