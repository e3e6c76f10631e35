//! Mistakes in what a reconciler sees, and in what it makes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use host::{
    contract::{
        Effect, EffectFailure, Event, Object, ObjectRef, Page, Plan, Query, ReadError, Request, Rows, SecretDigest, Selection, SqlError,
        TaskProgress, TaskState, Timestamp, Value,
    },
    gateway::{Answers, Applied, Gateway, Listed, Queries, Seen, SharedGateway, Subject},
};
use serde_json::{Value as Json, json};

use super::{
    Mutant,
    plans::{epoch_of, is_promotion},
};

/// The column in which a server tells its volume, after its role and its epoch.
const VOLUME: usize = 2;

type Answer = Result<Vec<Rows>, SqlError>;

/// What has been seen and done, as long as the host lives.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Servers that gave no answer when they were last asked for their role.
    silent: BTreeSet<String>,
    /// The last answer of each server that gave one.
    last: BTreeMap<String, Vec<Rows>>,
    /// Real names by uid of pods that were taken for others.
    names: BTreeMap<String, String>,
    /// The server that the last plan has called something, and what it should be by that.
    called: Option<(String, &'static str, u64)>,
    /// The real volumes of servers, by their hosts.
    volumes: BTreeMap<String, Value>,
    /// What servers are believed to be.
    believed: BTreeMap<String, (&'static str, u64)>,
}

impl Memory {
    /// What a reconciler is told with its object.
    pub(super) fn before(&mut self, mutant: Mutant, request: &mut Request) {
        match mutant {
            Mutant::TrustsAnyStandby => {
                let Ok(mut object) = serde_json::from_str::<Json>(&request.object.body) else { return };
                if let Some(status) = object.get_mut("status").and_then(Json::as_object_mut) {
                    status.insert("caughtUpStandbys".into(), json!(["db-0", "db-1", "db-2"]));
                    status.insert("databases".into(), json!([]));
                }
                request.object.body = object.to_string();
            }
            Mutant::KeepsTooFew => {
                let Ok(mut object) = serde_json::from_str::<Json>(&request.object.body) else { return };
                let kept = object["spec"]["retention"]["sets"].as_u64().unwrap_or_default();
                object["spec"]["retention"]["sets"] = kept.saturating_sub(1).into();
                request.object.body = object.to_string();
            }
            Mutant::ErrorIsSuccess => {
                let called = self.called.take();
                let failed = request.last.as_mut().and_then(|last| last.failure.take_if(|failure| failure.sql.is_some()));
                if let Some((host, role, epoch)) = called.filter(|_| failed.is_some()) {
                    self.believed.insert(host, (role, epoch));
                }
            }
            _ => {}
        }
    }

    /// What a reconciler has decided.
    pub(super) fn after(&mut self, mutant: Mutant, plan: &mut Plan) {
        for effect in &mut plan.effects {
            match effect {
                Effect::Sql(execution) if mutant == Mutant::ErrorIsSuccess => {
                    let role = if is_promotion(execution) { "primary" } else { "standby" };
                    self.called = epoch_of(execution).map(|epoch| (execution.endpoint.host.clone(), role, epoch));
                    self.believed.remove(&execution.endpoint.host);
                }
                // What is asked last is asked for as it is.
                Effect::Sql(execution) if mutant == Mutant::IgnoresVolumes => {
                    let expected = execution.guard.as_mut().and_then(|guard| guard.expected.get_mut(VOLUME));
                    if let Some((expected, real)) = expected.zip(self.volumes.get(&execution.endpoint.host)) {
                        *expected = real.clone();
                    }
                }
                Effect::Label(labelling) => self.rename(&mut labelling.object, &labelling.uid),
                Effect::Delete(deletion) => self.rename(&mut deletion.object, &deletion.uid),
                _ => {}
            }
        }
    }

    /// What is done to a pod is done to the one that was seen, whatever it was taken for.
    fn rename(&self, object: &mut ObjectRef, uid: &str) {
        if let Some(name) = self.names.get(uid) {
            object.name.clone_from(name);
        }
    }

    fn pods(&mut self, mutant: Mutant, pods: &mut Vec<Object>) {
        match mutant {
            Mutant::DeletedIsGone => pods.retain(|pod| !pod.header.deleting),
            Mutant::SilenceIsEnd => {
                // Who is not asked because of it is asked again the next time.
                let silent = std::mem::take(&mut self.silent);
                for pod in pods.iter_mut().filter(|pod| silent.contains(&pod.header.name)) {
                    let Ok(mut body) = serde_json::from_str::<Json>(&pod.body) else { continue };
                    if let Some(container) = body.pointer_mut("/status/containerStatuses/0") {
                        container["started"] = false.into();
                        container["state"] = json!({"terminated": {}});
                    }
                    pod.body = body.to_string();
                }
            }
            Mutant::IndexForOrdinal => {
                pods.retain(|pod| pod.body.contains("\"started\":true"));
                for (at, pod) in pods.iter_mut().enumerate() {
                    let name = std::mem::replace(&mut pod.header.name, format!("db-{at}"));
                    self.names.insert(pod.header.uid.clone(), name);
                }
            }
            _ => {}
        }
    }

    fn answer(&mut self, mutant: Mutant, query: &Query, answer: &mut Answer) {
        if !query.statements.first().is_some_and(|statement| statement.text.contains("dolt_cluster_role_epoch")) {
            return;
        }
        let host = &query.endpoint.host;
        let server = host.split_once('.').map_or(host.as_str(), |(server, _)| server).to_owned();
        if answer.is_err() {
            self.silent.insert(server.clone());
        } else {
            self.silent.remove(&server);
        }
        let real = answer.as_ref().ok().cloned();
        match (mutant, self.last.get(&server)) {
            (Mutant::LastAnswerCounts, Some(last)) if answer.is_err() => *answer = Ok(last.clone()),
            (Mutant::StaleRoles, Some(last)) => *answer = Ok(last.clone()),
            (Mutant::IgnoresVolumes, _) => {
                let report = answer.as_mut().ok().and_then(|results| results.first_mut()).and_then(|rows| rows.rows.first_mut());
                if let Some(volume) = report.and_then(|report| report.get_mut(VOLUME)) {
                    self.volumes.insert(host.clone(), std::mem::replace(volume, Value::Text("any".into())));
                }
            }
            (Mutant::IgnoresEpochs, _) => change(answer, |report| report.truncate(1), Value::Signed(1)),
            (Mutant::ErrorIsSuccess, _) => {
                if let Some((role, epoch)) = self.believed.get(host) {
                    let role = (*role).to_owned();
                    change(answer, |report| *report = vec![Value::Text(role)], Value::Unsigned(*epoch));
                }
            }
            _ => {}
        }
        if let Some(real) = real {
            self.last.insert(server, real);
        }
    }
}

/// Changes role and epoch, as a server tells them.
fn change(answer: &mut Answer, role: impl FnOnce(&mut Vec<Value>), epoch: Value) {
    if let Some(report) = answer.as_mut().ok().and_then(|results| results.first_mut()).and_then(|rows| rows.rows.first_mut()) {
        role(report);
        report.push(epoch);
    }
}

/// Takes a Backup for one that is complete.
fn end(backup: &mut Object) {
    if let Ok(mut body) = serde_json::from_str::<Json>(&backup.body) {
        body["status"]["phase"] = "Completed".into();
        backup.body = body.to_string();
    }
}

/// The world as a reconciler with a mistake sees it.
pub(super) struct Reads {
    mutant: Mutant,
    inner: SharedGateway,
    memory: Arc<Mutex<Memory>>,
}

impl Reads {
    pub(super) fn new(mutant: Mutant, inner: SharedGateway, memory: Arc<Mutex<Memory>>) -> Self {
        Self { mutant, inner, memory }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Gateway for Reads {
    async fn get(&self, subject: &Subject, object: &ObjectRef, fields: &[String]) -> Result<Option<Seen>, ReadError> {
        self.inner.get(subject, object, fields).await
    }

    async fn select(&self, subject: &Subject, selection: &Selection) -> Result<Listed, ReadError> {
        let Page { mut objects, next } = self.inner.select(subject, selection).await?.into_page();
        if selection.kind.kind == "Pod" {
            self.memory().pods(self.mutant, &mut objects);
        }
        match (self.mutant, selection.kind.kind.as_str()) {
            (Mutant::NoTurns, "Backup") => objects.clear(),
            (Mutant::NeverWaits, "Backup") => objects.iter_mut().for_each(end),
            _ => {}
        }
        Ok(Listed { objects: objects.into_iter().map(Seen::from).collect(), next })
    }

    async fn secret(&self, subject: &Subject, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        self.inner.secret(subject, namespace, name).await
    }

    async fn query(&self, subject: &Subject, queries: &Queries) -> Answers {
        let mut answers = self.inner.query(subject, queries).await.into_inner();
        let mut memory = self.memory();
        queries.iter().zip(&mut answers).for_each(|(query, answer)| memory.answer(self.mutant, query, answer));
        answers.into()
    }

    async fn tasks(&self, subject: &Subject) -> Vec<TaskState> {
        let mut tasks = self.inner.tasks(subject).await;
        if self.mutant == Mutant::FailureIsCopy {
            tasks.iter_mut().filter(|task| matches!(task.progress, TaskProgress::Failed(_))).for_each(|task| {
                task.progress = TaskProgress::Done(Vec::new());
            });
        }
        tasks
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    async fn apply(&self, subject: &Subject, effect: &Effect) -> Result<Applied, EffectFailure> {
        self.inner.apply(subject, effect).await
    }

    async fn event(&self, subject: &Subject, event: &Event) {
        self.inner.event(subject, event).await;
    }
}
