//! One round of an object that lives on a server: what Database, User and Grant have in common. Where its primary is, what the condition says
//! of what is awaited and of what failed, when to look again, and whether anything is left to clean up when the object goes.
//!
//! It knows nothing of what is compared and written.

use std::{fmt::Display, time::Duration};

use crds::{CleanupPolicy, DoltDB, DoltDBRef, FieldError, Kind, Object, SqlTemplate};
use sdk::{Conditions, EffectFailure, Execution, Failure, Plan, Request, Severity, Statement, Typed, Verdict, World};
use serde_json::{Value as Json, json};

use crate::{Answers, Obstacle, Primary, READY, Settings, find_primary, report, resolve};

/// The least time between two tries, whatever the user says.
const LEAST: Duration = Duration::from_secs(1);
/// Between two looks at a server that does not answer as it should, or has not what is awaited, unless the user says otherwise.
const RETRY: Duration = Duration::from_secs(5);

/// What a round is about.
pub struct Round<'a> {
    /// What can be asked.
    pub world: &'a dyn World,
    /// The object, and how its last plan ended.
    pub request: &'a Request,
    settings: Settings,
    doltdb: &'a DoltDBRef,
    template: &'a SqlTemplate,
}

impl<'a> Round<'a> {
    /// A round of the object in `request`, whose spec has these parts.
    ///
    /// # Errors
    /// When the reconciler's settings are wrong.
    pub fn new(world: &'a dyn World, request: &'a Request, doltdb: &'a DoltDBRef, template: &'a SqlTemplate) -> Result<Self, Failure> {
        Ok(Self { world, request, settings: request.settings_as()?, doltdb, template })
    }

    /// The DoltDB that the object refers to.
    ///
    /// # Errors
    /// When the host cannot answer.
    pub fn target(&self) -> Result<Result<Typed<DoltDB>, Obstacle>, Failure> {
        resolve(self.world, &self.request.object.header.namespace, self.doltdb)
    }

    /// The server that takes the writes of a DoltDB, and what it answers to the `first` statements.
    ///
    /// # Errors
    /// What is awaited.
    pub fn primary_of(&self, target: &Typed<DoltDB>, first: Vec<Statement>) -> Result<(Primary, Answers), Obstacle> {
        find_primary(self.world, target, &self.settings.cluster_domain, first)
            .map_err(|obstacle| Obstacle { retry: self.retry_interval().or(obstacle.retry), ..obstacle })
    }

    /// The primary answers, but not as it should.
    pub fn unreadable(&self, error: impl Display) -> Obstacle {
        self.awaiting("Failed", format!("Error connecting to DoltDB: {error}"))
    }

    /// Something on the server is awaited, which tells nobody when it comes.
    pub fn awaiting(&self, reason: &'static str, message: impl Into<String>) -> Obstacle {
        Obstacle::look_again(reason, message, self.retry_interval().unwrap_or(RETRY))
    }

    /// What failed in the last plan, as far as that is known.
    pub fn failure(&self) -> Option<&EffectFailure> {
        self.request.last.as_ref().and_then(|outcome| outcome.failure.as_ref())
    }

    /// Whether the last plan is known to have happened to its end.
    pub fn went_well(&self) -> bool {
        self.request.last.as_ref().is_some_and(|outcome| outcome.failure.is_none())
    }

    /// Whether work has to wait, since the last try failed and the user has said how long to wait then.
    pub fn holds_back(&self) -> bool {
        self.failure().is_some() && self.retry_interval().is_some()
    }

    /// Nothing can be done on the server. `status` are the status' fields beside the common ones.
    ///
    /// # Errors
    /// When the object's conditions cannot be read.
    pub fn blocked(&self, obstacle: &Obstacle, status: Json) -> Result<Plan, Failure> {
        let mut plan = Plan::new();
        self.tell(&mut plan, &Verdict::no(obstacle.reason, obstacle.message.clone()), status, true)?;
        if let Some(time) = obstacle.retry {
            plan.after(time);
        }
        Ok(plan)
    }

    /// Does the work, behind the finalizer and a status with these fields; or says that there is none left, in these words.
    ///
    /// # Errors
    /// When the object's conditions cannot be read.
    pub fn work(&self, finalizer: &str, work: Vec<Execution>, status: Json, settled: &str) -> Result<Plan, Failure> {
        let name = &self.request.object.header.name;
        let failure = self.failure().filter(|_| !work.is_empty());
        let mut plan = Plan::new();
        // Before the first statement: from then on the server holds something that has to go with the object.
        plan.finalizer(finalizer, true);
        let verdict = match failure {
            Some(failure) => Verdict::no("Failed", format!("Error creating {name}: {}", words(failure))),
            None if work.is_empty() => Verdict::yes("Created", settled),
            // What failed is not mended by being tried again.
            None => self.failed_before()?.unwrap_or_else(|| Verdict::no("Creating", "Creating")),
        };
        self.tell(&mut plan, &verdict, status, failure.is_some())?;
        if let (Some(_), Some(interval)) = (failure, self.retry_interval()) {
            // Without it the host tries again on its own, later each time.
            plan.at(self.world.now().saturating_add(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)));
            return Ok(plan);
        }
        for execution in work {
            plan.sql(execution);
        }
        if let Some(interval) = self.requeue_interval() {
            plan.after(interval);
        }
        Ok(plan)
    }

    /// The DoltDB on which to clean up when the object goes, or the plan of an end without it: because the user wants that, because there is
    /// nothing left, or because nobody could ever do it. `kept` are the reason of an event and its words of what stays then.
    ///
    /// # Errors
    /// When the host cannot answer.
    pub fn ending<K: Kind>(&self, object: &Object<K>, finalizer: &str, kept: (&str, &str)) -> Result<Result<Typed<DoltDB>, Plan>, Failure> {
        let mut plan = Plan::new();
        if !object.has_finalizer(finalizer) {
            return Ok(Err(plan));
        }
        if self.template.cleanup_policy() != CleanupPolicy::Skip {
            match self.target()? {
                Ok(target) if !target.header.deleting => return Ok(Ok(target)),
                Ok(_) => {}
                Err(obstacle) if obstacle.reason == "DoltDBNotFound" => {}
                // Nobody can put that right on an object that is going: it must not hang for it.
                Err(obstacle) => keep(&mut plan, kept.0, &format!("{}: {}", kept.1, obstacle.message)),
            }
        }
        plan.finalizer(finalizer, false);
        Ok(Err(plan))
    }

    /// The end of an object, when the server has been cleaned up by `work`; `what` names it for the condition, should it have failed before.
    ///
    /// # Errors
    /// When the object's conditions cannot be read.
    pub fn end(&self, finalizer: &str, work: Vec<Execution>, status: Json, what: &str) -> Result<Plan, Failure> {
        let mut plan = Plan::new();
        if let Some(failure) = self.failure().filter(|_| !work.is_empty()) {
            let verdict = Verdict::no("Failed", format!("Error {what}: {}", words(failure)));
            self.tell(&mut plan, &verdict, status, true)?;
        }
        for execution in work {
            plan.sql(execution);
        }
        plan.finalizer(finalizer, false);
        Ok(plan)
    }

    /// Writes the status with these fields and the conditions that the object has.
    ///
    /// # Errors
    /// When the object's conditions cannot be read.
    pub fn restate(&self, plan: &mut Plan, mut status: Json) -> Result<(), Failure> {
        status["observedGeneration"] = json!(self.request.object.header.generation);
        status["conditions"] = json!(Conditions::of(self.request)?.into_list());
        plan.status(&status);
        Ok(())
    }

    /// Status and events.
    fn tell(&self, plan: &mut Plan, verdict: &Verdict, mut status: Json, warn: bool) -> Result<(), Failure> {
        let mut conditions = Conditions::of(self.request)?;
        report(self.world, &mut conditions, plan, verdict, warn);
        status["observedGeneration"] = json!(self.request.object.header.generation);
        status["conditions"] = json!(conditions.into_list());
        plan.status(&status);
        Ok(())
    }

    /// What the condition says of a failure, as long as the spec is the one that failed.
    fn failed_before(&self) -> Result<Option<Verdict>, Failure> {
        let conditions = Conditions::of(self.request)?;
        let generation = self.request.object.header.generation;
        let failed = conditions.get(READY).filter(|ready| ready.reason == "Failed" && ready.observed_generation == Some(generation));
        Ok(failed.map(|ready| Verdict::no("Failed", ready.message.clone())))
    }

    /// How often the server is compared with the spec; none: never, unless the object changes.
    fn requeue_interval(&self) -> Option<Duration> {
        let wanted = self.template.requeue_interval().ok().flatten();
        Some(wanted.unwrap_or_else(|| Duration::from_secs(self.settings.resync_seconds))).filter(|interval| !interval.is_zero())
    }

    /// When to try again, where the user has said so.
    fn retry_interval(&self) -> Option<Duration> {
        self.template.retry_interval().ok().flatten().map(|interval| interval.max(LEAST))
    }
}

/// What a spec's mistakes come to, if there are any.
pub fn invalid_spec(mistakes: &[FieldError]) -> Option<Obstacle> {
    if mistakes.is_empty() {
        return None;
    }
    let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    Some(Obstacle::new("InvalidSpec", format!("Invalid spec: {}", mistakes.join("; "))))
}

/// An event: something stays on the server although its object goes.
pub fn keep(plan: &mut Plan, reason: &str, message: &str) {
    plan.event(Severity::Warning, reason, "Finalize", message);
}

/// What the server said, or the host where the server said nothing.
fn words(failure: &EffectFailure) -> &str {
    failure.sql.as_ref().map_or(failure.message.as_str(), |error| error.message.as_str())
}
