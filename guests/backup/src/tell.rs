//! What is told of a round: phase, conditions, events. Each way in which a round ends is a function here.

use crds::{BackupPhase, DatabasePhase};
use dolt::{Obstacle, report, tell_ignored};
use sdk::{Plan, Verdict, parse_rfc3339, rfc3339};
use serde_json::json;

use crate::{copy::count, round::Round};

/// The condition that says how the backup ended.
const COMPLETED: &str = "BackupCompleted";

impl Round<'_> {
    /// Something is awaited.
    pub(crate) fn wait(mut self, obstacle: &Obstacle) -> Plan {
        if self.status.phase.is_none() {
            self.status.phase = Some(BackupPhase::Pending);
        }
        if let Some(time) = obstacle.retry {
            self.plan.after(time);
        }
        // A turn that comes is no reason to warn anybody.
        let warn = obstacle.reason != "WaitingForTurn";
        self.tell(&Verdict::no(obstacle.reason, obstacle.message.clone()), warn)
    }

    /// A database is being copied, or the next one is about to be.
    pub(crate) fn running(self, place: usize) -> Plan {
        let database = &self.status.databases[place];
        let of = self.status.databases.len();
        let message = match &database.started_at {
            Some(since) if database.phase == DatabasePhase::Running => {
                format!("Backup running: database \"{}\" ({} of {of}) since {since}", database.name, place + 1)
            }
            _ => format!("Backup running: {} of {} done", self.done(), count(of)),
        };
        self.tell(&Verdict::no("BackupRunning", message), false)
    }

    /// The host cannot start a copy now; it is asked again.
    pub(crate) fn held_up(self, why: &str) -> Plan {
        self.tell(&Verdict::no("WaitingForHost", format!("the copy could not be started: {why}")), true)
    }

    /// An attempt failed, the next one comes later.
    pub(crate) fn pause(mut self) -> Plan {
        self.status.phase = Some(BackupPhase::Running);
        let error = self.status.error.clone().unwrap_or_default();
        let at = self.status.retry_at.clone().unwrap_or_default();
        let (failed, of) = (self.status.retry_count.unwrap_or_default(), self.backup.body.spec.backoff_limit);
        self.tell(&Verdict::no("BackupRetrying", format!("attempt {failed} of {of} failed, the next one is at {at}: {error}")), true)
    }

    /// It ended well.
    pub(crate) fn complete(mut self) -> Plan {
        let now = self.world.now();
        self.status.started_at.get_or_insert_with(|| rfc3339(now));
        self.status.completed_at = Some(rfc3339(now));
        self.status.phase = Some(BackupPhase::Completed);
        self.status.error = None;
        self.status.retry_at = None;
        let started = self.status.started_at.as_deref().and_then(parse_rfc3339).unwrap_or(now);
        let message = format!("Backup completed: {} in {} s", count(self.done()), now.saturating_sub(started) / 1_000);
        let verdict = Verdict::yes("BackupCompleted", message);
        self.conditions.set(self.world, COMPLETED, &verdict);
        self.tell(&verdict, false)
    }

    /// It ended badly.
    pub(crate) fn fail(mut self, reason: &str, message: &str) -> Plan {
        self.status.completed_at = Some(rfc3339(self.world.now()));
        self.status.phase = Some(BackupPhase::Failed);
        self.status.error = Some(message.to_owned());
        self.status.retry_at = None;
        let verdict = Verdict::no(reason, message);
        self.conditions.set(self.world, COMPLETED, &verdict);
        // Whatever task there is has lost its purpose.
        self.plan.effects.clear();
        for task in self.world.tasks() {
            self.plan.forget(&task.name);
        }
        self.tell(&verdict, true)
    }

    fn done(&self) -> usize {
        self.status.databases.iter().filter(|database| database.phase == DatabasePhase::Completed).count()
    }

    fn tell(mut self, verdict: &Verdict, warn: bool) -> Plan {
        report(self.world, &mut self.conditions, &mut self.plan, verdict, warn);
        tell_ignored(self.world, &mut self.conditions, &mut self.plan, &self.backup.body.spec.ignored());
        if !self.status.databases.is_empty() {
            self.status.progress = Some(format!("{}/{}", self.done(), self.status.databases.len()));
        }
        self.status.observed_generation = i64::try_from(self.backup.header.generation).ok();
        self.status.conditions.clear();
        let mut status = json!(self.status);
        status["conditions"] = json!(self.conditions.into_list());
        // Tasks are forgotten after it is written down what they came to.
        let mut plan = Plan { next: self.plan.next, events: self.plan.events, ..Plan::new() };
        plan.status(&status);
        plan.effects.extend(self.plan.effects);
        plan
    }
}
