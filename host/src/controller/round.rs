//! One round: observe, decide, check, apply. What it comes to decides when the next one is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Controller, Decide, Wake,
    backoff::backoff,
    memory::{Memory, Settled},
};
use crate::{
    contract::{
        Effect, EffectFailure, Event, Execution, FailureKind, Next, Object, ObjectRef, Outcome, Plan, Request, Severity, SqlError,
        SqlErrorKind, Timestamp,
    },
    gateway::{Answer, Applied, Ending, Journal, ObjectKey, Question, Read, Recorder, Seen, Subject, ask},
    module::Fared,
    plan::{self, HEALTHY, check},
    runtime::CallError,
};

/// Who decides in a round, from its first read to its last effect.
type Decider = Option<Arc<dyn Decide>>;

/// What a round came to.
enum Verdict {
    /// Something changed: observe again at once.
    Again,
    /// Nothing is left to do.
    Settled(Box<Settled>),
    /// Something failed: later again.
    Failed,
}

/// A plan that was carried out to its end.
struct Carried {
    /// Whether anything changed.
    changed: bool,
    next: Next,
    /// The place of each apply in the plan, with the object's fingerprint before.
    applied: Vec<(usize, Option<u64>)>,
}

impl Controller {
    /// Reconciles an object once, or finds that there is nothing to reconcile.
    pub(super) async fn process(&self, key: &ObjectKey, wake: Wake) {
        let mut subject = Subject { reconciler: self.name.clone(), object: key.clone(), uid: String::new() };
        let since = self.shared.world.revision();
        let object = match self.shared.world.get(&subject, &ObjectRef::from(key), &[]).await {
            Ok(Some(object)) => object,
            Ok(None) => {
                self.queue.cancel(key);
                self.memory().remove(key);
                self.index().forget(&(self.name.clone(), key.clone()));
                self.shared.world.gone(&subject).await;
                return;
            }
            Err(error) => {
                tracing::warn!(object = %key, %error, "the object cannot be read");
                return self.queue.wake_after(key, Wake::Run, backoff(key, 5));
            }
        };
        subject.uid.clone_from(&object.header.uid);
        let mut memory = self.memory().remove(key).unwrap_or_default();
        let decider = self.reconciler.active();
        if wake != Wake::Run && self.is_same(&subject, &object, &memory, wake, &decider).await {
            tracing::trace!(object = %key, ?wake, "every answer is the same");
            self.shared.metrics.skipped(&self.name);
            if wake == Wake::Poll {
                self.look_again(key, memory.settled.as_ref());
            }
            self.memory().insert(key.clone(), memory);
            return;
        }
        if let Err(wait) = memory.begin_round(self.shared.limits.rounds_per_minute) {
            let message =
                format!("more than {} rounds in a minute; the next one is in {} s", self.shared.limits.rounds_per_minute, wait.as_secs());
            self.trouble(&subject, "TooManyRounds", &message).await;
            self.queue.wake_after(key, Wake::Run, wait);
            self.memory().insert(key.clone(), memory);
            return;
        }
        let started = Instant::now();
        let verdict = self.round(&subject, object, &mut memory, &decider).await;
        let (result, elapsed) = (verdict.name(), started.elapsed());
        self.shared.metrics.reconciled(&self.name, result, elapsed);
        tracing::debug!(object = %key, result, elapsed_ms = elapsed.as_millis(), "round");
        match verdict {
            Verdict::Again => self.queue.wake(key, Wake::Run),
            Verdict::Settled(settled) => {
                memory.failures = 0;
                self.look_again(key, Some(&settled));
                memory.settled = Some(*settled);
                if !self.is_current(&subject, since, &memory, &decider).await {
                    self.queue.wake(key, Wake::Run);
                }
            }
            Verdict::Failed => {
                memory.failures = memory.failures.saturating_add(1);
                self.queue.wake_after(key, Wake::Run, backoff(key, memory.failures));
            }
        }
        self.memory().insert(key.clone(), memory);
    }

    async fn round(&self, subject: &Subject, object: Seen, memory: &mut Memory, decider: &Decider) -> Verdict {
        let (verdict, fared) = self.decide_and_carry_out(subject, object, memory, decider).await;
        if let Some(decider) = decider {
            decider.fared(&fared);
        }
        verdict
    }

    async fn decide_and_carry_out(&self, subject: &Subject, object: Seen, memory: &mut Memory, decider: &Decider) -> (Verdict, Fared) {
        memory.settled = None;
        let in_trouble = object.body.contains(HEALTHY);
        let Some(decider) = decider else {
            // Not a decision, so there is no journal of it: with the first module that comes every object is looked at again.
            let nobody = CallError::NoModule { slot: self.name.clone() };
            tracing::info!(object = %subject.object, slot = %self.name, "an object waits for the slot's module");
            self.trouble(subject, nobody.reason(), &nobody.to_string()).await;
            return (Verdict::Failed, Fared::Failed);
        };
        let module = decider.digest().to_owned();
        let request = Request { object: object.into_inner(), settings: self.slot.settings.to_string(), last: memory.last.take() };
        let recorder = Arc::new(Recorder::new(self.granted.clone()));
        let called = Instant::now();
        let decided = decider.decide(subject, recorder.clone(), &request).await;
        self.shared.metrics.called(&self.name, called.elapsed());
        let decided_at = tokio::time::Instant::now();
        let reads = recorder.take();
        self.count(&reads);
        self.index().record(&(self.name.clone(), subject.object.clone()), &reads);
        let (ending, ended) = match decided {
            Ok(Ok(plan)) => (Ending::Plan(plan), None),
            Ok(Err(failure)) => (Ending::Failure(failure), None),
            Err(ended) => (Ending::Ended(ended.to_string()), Some(ended)),
        };
        let journal = Arc::new(Journal { subject: subject.clone(), module, request, reads, ending });
        self.shared.journals.keep(journal.clone());
        let Journal { module, ending, .. } = &*journal;
        if let Some(ended) = ended {
            tracing::error!(object = %subject.object, module = %module, error = %ended, "a call into a reconciler was ended");
            self.shared.metrics.trapped(&self.name, ended.reason());
            self.trouble(subject, ended.reason(), &ended.to_string()).await;
            return (Verdict::Failed, fault(subject, &ended));
        }
        let plan = match ending {
            Ending::Plan(plan) => plan,
            Ending::Failure(failure) => {
                tracing::warn!(object = %subject.object, reason = %failure.reason, message = %failure.message, "the reconciler cannot decide");
                self.warn(subject, &failure.reason, &failure.message).await;
                return (Verdict::Failed, Fared::Failed);
            }
            Ending::Ended(_) => return (Verdict::Failed, Fared::Failed),
        };
        if let Err(denial) = check(plan, subject, &self.reach, &self.shared.limits, memory.passed()) {
            tracing::error!(object = %subject.object, module = %module, %denial, "a plan was denied; nothing of it happened");
            self.trouble(subject, "PlanDenied", &format!("nothing of the plan happened: {denial}")).await;
            let fared = Fared::AtFault(format!("its plan for {} was denied: {denial}", subject.object));
            let failure = EffectFailure { effect: place(denial.effect), ..plan::failure(FailureKind::Denied, denial.why) };
            memory.last = Some(Outcome { done: 0, failure: Some(failure) });
            return (Verdict::Failed, fared);
        }
        if in_trouble {
            self.shared.world.health(subject, None).await;
        }
        memory.passed = Some(journal.clone());
        let Some(Carried { changed, next, applied }) = self.carry_out(subject, plan, decided_at, memory).await else {
            return (Verdict::Failed, Fared::Failed);
        };
        // What was decided because of a failure does not hold any more, now that nothing has failed.
        let told_of_failure = journal.request.last.as_ref().is_some_and(|last| last.failure.is_some());
        if changed || told_of_failure {
            return (Verdict::Again, Fared::Well);
        }
        let settled = Settled { journal, applied, next };
        self.index().applied(&(self.name.clone(), subject.object.clone()), settled.applied().map(|(object, _)| object));
        (Verdict::Settled(Box::new(settled)), Fared::Well)
    }

    /// Applies a plan's effects in order, then writes its events. None where an effect failed.
    async fn carry_out(&self, subject: &Subject, plan: &Plan, decided_at: tokio::time::Instant, memory: &mut Memory) -> Option<Carried> {
        let mut changed = false;
        let mut applied = Vec::new();
        let mut seen = None;
        for (at, effect) in plan.effects.iter().enumerate() {
            let revision = self.shared.world.revision();
            if (revision.is_none() || revision != seen) && !self.is_there(subject).await {
                tracing::info!(object = %subject.object, "the object is gone; the rest of its plan is dropped");
                return None;
            }
            seen = revision;
            if let Effect::Apply(application) = effect {
                // Before it is compared with what is wanted: what somebody else changes from then on is seen to be another.
                applied.push((at, self.shared.world.fingerprint(&application.object).await));
            }
            let result = match overdue(effect, decided_at.elapsed()) {
                Some(failure) => Err(failure),
                None => self.shared.world.apply(subject, effect).await,
            };
            self.shared.metrics.effect(&self.name, plan::name(effect), result.as_ref().map(|a| *a == Applied::Changed).map_err(drop));
            match result {
                Ok(Applied::Changed) => {
                    tracing::info!(object = %subject.object, effect = plan::name(effect), on = on(effect), "effect");
                    changed = true;
                }
                Ok(Applied::Unchanged) => {}
                Err(failure) => {
                    let failure = EffectFailure { effect: place(at), ..failure };
                    tracing::warn!(object = %subject.object, effect = plan::name(effect), on = on(effect), error = %failure.message, "effect failed");
                    self.warn(subject, "EffectFailed", &format!("{} {}: {}", plan::name(effect), on(effect), failure.message)).await;
                    memory.last = Some(Outcome { done: place(at), failure: Some(failure) });
                    return None;
                }
            }
        }
        memory.last = Some(Outcome { done: place(plan.effects.len()), failure: None });
        for event in &plan.events {
            self.tell(subject, event).await;
        }
        Some(Carried { changed, next: plan.next, applied })
    }

    /// Whether the object still exists. What is made for one that is gone would be left behind, or be in the way of a namesake.
    async fn is_there(&self, subject: &Subject) -> bool {
        match self.shared.world.get(subject, &ObjectRef::from(&subject.object), &["/metadata/uid".into()]).await {
            Ok(Some(object)) => object.header.uid == subject.uid,
            Ok(None) => false,
            // A cache that cannot be asked says nothing of the object; the API server checks the uid where it matters.
            Err(_) => true,
        }
    }

    /// Whether the object, every answer to the reads of the last round and all that it found applied are what they were. The time is always another;
    /// databases tell nobody of a change, so they are asked when their time comes and not at each change in the cluster.
    async fn is_same(&self, subject: &Subject, object: &Object, memory: &Memory, wake: Wake, decider: &Decider) -> bool {
        let Some(settled) = &memory.settled else { return false };
        if settled.journal.request.object != *object || settled.journal.module != digest(decider) {
            return false;
        }
        let reads = &settled.journal.reads;
        // Before any database is asked: if the reconciler will be asked anyway, it asks them itself.
        if wake == Wake::Poll && reads.iter().any(|read| read.question == Question::Now) {
            return false;
        }
        for Read { question, answer } in reads {
            match (question, wake) {
                (Question::Now, _) | (Question::Query(_), Wake::Change) => {}
                _ => {
                    let now: Answer = ask(&*self.granted, subject, question).await;
                    if now != *answer {
                        return false;
                    }
                }
            }
        }
        for (object, fingerprint) in settled.applied() {
            if self.shared.world.fingerprint(object).await != fingerprint {
                return false;
            }
        }
        true
    }

    /// What changed between a read and the note that it was read has told nobody: it is looked at once more, where anything has changed `since`.
    async fn is_current(&self, subject: &Subject, since: Option<u64>, memory: &Memory, decider: &Decider) -> bool {
        if since.is_some() && since == self.shared.world.revision() {
            return true;
        }
        match self.shared.world.get(subject, &ObjectRef::from(&subject.object), &[]).await {
            Ok(Some(object)) => self.is_same(subject, &object, memory, Wake::Change, decider).await,
            _ => false,
        }
    }

    fn look_again(&self, key: &ObjectKey, settled: Option<&Settled>) {
        match settled.map(|settled| settled.next) {
            Some(Next::After(wait)) => self.queue.wake_after(key, Wake::Poll, Duration::from_millis(wait)),
            Some(Next::At(time)) => {
                let then = settled.and_then(Settled::now);
                self.queue.wake_after(key, Wake::Run, wait_until(time, then, self.shared.world.now()));
            }
            Some(Next::Change) | None => self.queue.cancel(key),
        }
    }

    /// The reconciler is in trouble with this object: an event, and a condition of the host's own.
    async fn trouble(&self, subject: &Subject, reason: &str, message: &str) {
        self.warn(subject, reason, message).await;
        self.shared.world.health(subject, Some((reason, message))).await;
    }

    async fn warn(&self, subject: &Subject, reason: &str, message: &str) {
        let event = Event { severity: Severity::Warning, reason: reason.into(), action: "Reconcile".into(), message: message.into() };
        self.tell(subject, &event).await;
    }

    async fn tell(&self, subject: &Subject, event: &Event) {
        let severity = match event.severity {
            Severity::Normal => "normal",
            Severity::Warning => "warning",
        };
        self.shared.metrics.event(&self.name, severity);
        self.shared.world.event(subject, event).await;
    }

    fn count(&self, reads: &[Read]) {
        for Read { question, answer } in reads {
            let kind = match question {
                Question::Get { .. } => "get",
                Question::Select(_) => "select",
                Question::Secret { .. } => "secret",
                Question::Query(_) => "query",
                Question::Tasks => "tasks",
                Question::Now => "now",
            };
            self.shared.metrics.read(&self.name, kind);
            if let Answer::Query(answers) = answer {
                answers.iter().for_each(|answer| self.shared.metrics.queried(sql_result(answer.as_ref().err())));
            }
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, crate::collections::Map<ObjectKey, Memory>> {
        self.memory.lock().expect("no holder of the lock can panic")
    }

    fn index(&self) -> std::sync::MutexGuard<'_, crate::cluster::Index> {
        self.shared.index.lock().expect("no holder of the lock can panic")
    }
}

impl Verdict {
    fn name(&self) -> &'static str {
        match self {
            Self::Again => "changed",
            Self::Settled(_) => "settled",
            Self::Failed => "failed",
        }
    }
}

/// What a query came to, as the metrics name it.
fn sql_result(error: Option<&SqlError>) -> &'static str {
    match error.map(|error| error.kind) {
        None => "ok",
        Some(SqlErrorKind::Denied) => "denied",
        Some(SqlErrorKind::Invalid) => "invalid",
        Some(SqlErrorKind::NoCredentials) => "no_credentials",
        Some(SqlErrorKind::Unreachable) => "unreachable",
        Some(SqlErrorKind::AccessDenied) => "access_denied",
        Some(SqlErrorKind::Timeout) => "timeout",
        Some(SqlErrorKind::Lost) => "lost",
        Some(SqlErrorKind::Server) => "server",
        Some(SqlErrorKind::TooLarge) => "too_large",
    }
}

fn digest(decider: &Decider) -> &str {
    decider.as_ref().map(|decider| decider.digest()).unwrap_or_default()
}

/// A call that took too long may have waited for others; everything else is the module's own doing.
fn fault(subject: &Subject, ended: &CallError) -> Fared {
    match ended {
        CallError::Wall { .. } | CallError::NoModule { .. } => Fared::Failed,
        own => Fared::AtFault(format!("its call for {} was ended: {}: {own}", subject.object, own.reason())),
    }
}

/// How long to wait for a time that was chosen then. A clock that was set back since makes it no longer.
fn wait_until(time: Timestamp, then: Option<Timestamp>, now: Timestamp) -> Duration {
    Duration::from_millis(time.saturating_sub(now.max(then.unwrap_or_default())))
}

/// Why an execution comes too late after its decision: what its guard asks is part of what was decided by, and all else may have changed since. It is
/// begun within the time that it may take.
fn overdue(effect: &Effect, age: Duration) -> Option<EffectFailure> {
    let Effect::Sql(Execution { guard: Some(_), deadline, .. }) = effect else { return None };
    let message = || format!("it was decided {} ms ago, and is to be done within {deadline} ms", age.as_millis());
    (age > Duration::from_millis(*deadline)).then(|| plan::failure(FailureKind::Guard, message()))
}

fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// What an effect is on, for people.
fn on(effect: &Effect) -> String {
    let object = |r: &ObjectRef| format!("{} {}", r.kind, r.name);
    match effect {
        Effect::Apply(application) => object(&application.object),
        Effect::Delete(deletion) => object(&deletion.object),
        Effect::Label(labelling) => object(&labelling.object),
        Effect::Finalizer(finalizer) => finalizer.name.clone(),
        Effect::Status(_) => "of the object".into(),
        Effect::Sql(execution) => format!("on {}", execution.endpoint.host),
        Effect::GenerateSecret(secret) => format!("Secret {}", secret.name),
        Effect::Start(task) => format!("task {} on {}", task.name, task.execution.endpoint.host),
        Effect::Forget(name) => format!("task {name}"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_clock_goes_on(Some(100_000), 101_000, 29_000)]
    #[case::the_clock_was_set_back(Some(100_000), 40_000, 30_000)]
    #[case::the_clock_was_set_forward(Some(100_000), 200_000, 0)]
    #[case::the_reconciler_did_not_ask_for_the_time(None, 101_000, 29_000)]
    fn a_time_is_waited_for_as_long_as_it_was_away_when_it_was_chosen(
        #[case] then: Option<Timestamp>,
        #[case] now: Timestamp,
        #[case] wait: u64,
    ) {
        assert_eq!(wait_until(130_000, then, now), Duration::from_millis(wait));
    }
}
