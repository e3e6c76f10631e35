//! The real world: the cluster's cache, the API server, databases, the clock. Effects are fenced by leadership.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Answers, Applied, Effects, Gateway, Listed, Queries, Seen, Subject, replace::replace};
use crate::{
    cluster::{Cluster, Stored},
    contract::{Effect, EffectFailure, Event, FailureKind, ObjectRef, ReadError, SecretDigest, Selection, TaskState, Timestamp},
    plan::{Events, Performer},
    sql::{ExecuteError, Sql},
    tasks::Tasks,
};

/// Whether this process may still write.
pub type Fence = Arc<dyn Fn() -> bool + Send + Sync>;

/// The live gateway.
pub struct Live {
    cluster: Arc<Cluster>,
    sql: Arc<Sql>,
    tasks: Arc<Tasks>,
    performer: Performer,
    events: Events,
    fence: Fence,
}

impl Live {
    /// Reads from `cluster` and `sql`, writes through `performer` and `sql` while `fence` holds. Whoever holds `tasks` too ends them with the
    /// leadership.
    pub fn new(cluster: Arc<Cluster>, sql: Sql, tasks: Arc<Tasks>, performer: Performer, events: Events, fence: Fence) -> Self {
        Self { cluster, sql: Arc::new(sql), tasks, performer, events, fence }
    }
}

#[async_trait]
impl Effects for Live {
    async fn known(&self, object: &ObjectRef) -> Result<Option<Arc<Stored>>, EffectFailure> {
        self.performer.known(object).await
    }

    async fn live(&self, object: &ObjectRef) -> Result<Option<Arc<Stored>>, EffectFailure> {
        self.performer.live(object).await
    }

    async fn fenced(&self) -> Result<(), EffectFailure> {
        if (self.fence)() {
            return Ok(());
        }
        let message = "this process does not lead any more; its successor decides".to_owned();
        Err(EffectFailure { effect: 0, kind: FailureKind::Unavailable, message, sql: None })
    }

    async fn write(&self, subject: &Subject, effect: &Effect, known: Option<&Stored>) -> Result<Applied, EffectFailure> {
        match effect {
            Effect::Apply(application) => self.performer.apply(subject, application, known).await,
            Effect::Delete(deletion) => self.performer.delete(deletion, known).await,
            Effect::Label(labelling) => self.performer.label(labelling, known).await,
            Effect::Finalizer(finalizer) => self.performer.finalizer(subject, finalizer, known).await,
            Effect::Status(status) => self.performer.status(subject, status, known).await,
            Effect::GenerateSecret(secret) => self.performer.generate(subject, secret).await,
            Effect::Start(task) => self.tasks.start(subject, task, self.now(), self.sql.clone()),
            Effect::Forget(name) => Ok(self.tasks.forget(subject, name)),
            Effect::Sql(execution) => match self.sql.execute(execution).await {
                Ok(()) => Ok(Applied::Changed),
                Err(ExecuteError::Guard { message }) => Err(EffectFailure { effect: 0, kind: FailureKind::Guard, message, sql: None }),
                Err(ExecuteError::Sql(error)) => {
                    Err(EffectFailure { effect: 0, kind: FailureKind::Sql, message: error.message.clone(), sql: Some(error) })
                }
            },
        }
    }
}

#[async_trait]
impl Gateway for Live {
    async fn get(&self, _: &Subject, object: &ObjectRef, fields: &[String]) -> Result<Option<Seen>, ReadError> {
        Ok(self.cluster.get(object, fields).await?.map(Seen::from))
    }

    async fn select(&self, _: &Subject, selection: &Selection) -> Result<Listed, ReadError> {
        self.cluster.select(selection).await
    }

    async fn secret(&self, _: &Subject, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        self.cluster.secret(namespace, name).await
    }

    async fn fingerprint(&self, object: &ObjectRef) -> Option<u64> {
        self.cluster.stored(object).await.ok().flatten().map(|stored| stored.fingerprint())
    }

    fn revision(&self) -> Option<u64> {
        Some(self.cluster.revision())
    }

    async fn query(&self, _: &Subject, queries: &Queries) -> Answers {
        self.sql.query_all(queries).await.into()
    }

    async fn tasks(&self, subject: &Subject) -> Vec<TaskState> {
        self.tasks.list(subject)
    }

    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    async fn apply(&self, subject: &Subject, effect: &Effect) -> Result<Applied, EffectFailure> {
        replace(self, subject, effect).await
    }

    async fn event(&self, subject: &Subject, event: &Event) {
        self.events.write(subject, event).await;
    }

    async fn gone(&self, subject: &Subject) {
        self.tasks.gone(subject);
    }

    async fn health(&self, subject: &Subject, trouble: Option<(&str, &str)>) {
        let known = self.performer.known(&(&subject.object).into()).await.ok().flatten();
        if let Some(known) = known.filter(|known| known.header.uid == subject.uid)
            && self.fenced().await.is_ok()
        {
            self.performer.health(subject, trouble, self.now(), &known).await;
        }
    }
}
