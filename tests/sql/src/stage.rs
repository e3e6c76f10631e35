//! Reconcilers at work on a real server. A plan is carried out as the host does it, and the next round follows until a plan changes nothing.

use std::time::Duration;

use host::{contract, sql::ExecuteError, tasks::Work};
use sdk::{
    Effect, EffectFailure, FailureKind, Outcome, Reconciler, Rows, SqlError, Task,
    testkit::{Fixture, value_to_json},
};
use serde_json::{Value as Json, json};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    Room,
    scene::{Scene, cross, here},
};

/// More rounds than any object needs.
const ROUNDS: u32 = 20;

/// A namespace `ns` with a DoltDB `dolt` without replication, whose one server is at a port of this machine.
pub struct Stage {
    /// The room through which the SQL goes.
    pub room: Room,
    port: u16,
    objects: Vec<Json>,
    secrets: Vec<(String, String)>,
    tasks: Vec<Json>,
    last: Option<Outcome>,
}

impl Stage {
    /// With the server at this port, as root.
    #[must_use]
    pub fn new(port: u16) -> Self {
        let room = Room::new();
        let doltdb = json!({
            "apiVersion": "k8s.dolthub.com/v1alpha", "kind": "DoltDB", "metadata": {"name": "dolt", "namespace": "ns"},
            "spec": {"engineVersion": "1.83.2", "replicas": 1, "storage": {}},
        });
        Self { room, port, objects: vec![doltdb], secrets: Vec::new(), tasks: Vec::new(), last: None }
    }

    /// Sets the key `password` of a Secret.
    pub fn secret(&mut self, name: &str, value: &str) {
        self.secrets.retain(|(known, _)| known != name);
        self.secrets.push((name.to_owned(), value.to_owned()));
        self.room.keys.set(&format!("{name}/password"), value);
    }

    /// Makes an object, or replaces its spec.
    pub fn apply(&mut self, kind: &str, name: &str, mut spec: Json) {
        spec["doltDBRef"] = json!({"name": "dolt"});
        if let Some(object) = self.find(kind, name) {
            object["spec"] = spec;
            return;
        }
        let created = format!("2026-01-01T00:00:{:02}Z", self.objects.len());
        let metadata =
            json!({"name": name, "namespace": "ns", "uid": format!("{kind}-{name}"), "generation": 1, "creationTimestamp": created});
        self.objects.push(json!({"apiVersion": "k8s.dolthub.com/v1alpha", "kind": kind, "metadata": metadata, "spec": spec}));
    }

    /// Asks for an object's deletion.
    pub fn delete(&mut self, kind: &str, name: &str) {
        if let Some(object) = self.find(kind, name) {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
        }
    }

    /// The object, if it is there.
    pub fn find(&mut self, kind: &str, name: &str) -> Option<&mut Json> {
        self.objects.iter_mut().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    /// What the condition `Ready` says: its reason and its message.
    ///
    /// # Panics
    /// When there is no such object.
    pub fn says(&mut self, kind: &str, name: &str) -> (String, String) {
        let object = self.find(kind, name).expect("the object is there");
        let text = |field: &str| object["status"]["conditions"][0][field].as_str().unwrap_or_default().to_owned();
        (text("reason"), text("message"))
    }

    /// Reconciles until a plan changes nothing; gives how many plans wrote on the server.
    ///
    /// # Panics
    /// When it does not come to rest.
    pub async fn settle<R: Reconciler>(&mut self, kind: &str, name: &str) -> u32 {
        let mut writing = 0;
        for _ in 0..ROUNDS {
            let Some(object) = self.find(kind, name).cloned() else { return writing };
            let secrets: Vec<Json> =
                self.secrets.iter().map(|(name, value)| json!({"namespace": "ns", "name": name, "data": {"password": value}})).collect();
            let scene = json!({"object": object, "objects": self.objects, "secrets": secrets, "tasks": self.tasks}).to_string();
            let fixture = Fixture::parse(&scene).expect("it is a fixture");
            let plan = Scene::new(fixture, &self.room, |_| self.port).plan::<R>(self.last.take());
            let before = self.find(kind, name).cloned();
            let mut done = 0;
            let mut failure = None;
            for effect in &plan.effects {
                match self.carry_out(kind, name, effect).await {
                    Ok(()) => done += 1,
                    Err(why) => {
                        failure = Some(EffectFailure { effect: done, ..why });
                        break;
                    }
                }
            }
            let wrote = plan.effects.iter().any(|effect| matches!(effect, Effect::Sql(_) | Effect::Start(_)));
            writing += u32::from(wrote);
            let failed = failure.is_some();
            self.last = Some(Outcome { done, failure });
            if !wrote && !failed && before == self.find(kind, name).cloned() {
                return writing;
            }
        }
        panic!("{kind} {name} does not come to rest: {:?}", self.find(kind, name))
    }

    /// Forgets how the last plan ended, as a host does that has been started again.
    pub fn restart(&mut self) {
        self.last = None;
    }

    async fn carry_out(&mut self, kind: &str, name: &str, effect: &Effect) -> Result<(), EffectFailure> {
        let object = self.find(kind, name).expect("the object is there");
        match effect {
            Effect::Status(status) => object["status"] = serde_json::from_str(status).expect("a status is JSON"),
            Effect::Label(labelling) => {
                for (key, value) in &labelling.labels {
                    object["metadata"]["labels"][key] = json!(value);
                }
            }
            Effect::Finalizer(finalizer) if finalizer.present => object["metadata"]["finalizers"] = json!([finalizer.name]),
            Effect::Finalizer(_) => self.objects.retain(|object| object["kind"] != kind || object["metadata"]["name"] != name),
            Effect::Sql(execution) => {
                let mut execution: contract::Execution = cross(execution);
                execution.endpoint = here(self.port, execution.endpoint);
                let failed = |kind, sql: Option<SqlError>, message| EffectFailure { effect: 0, kind, message, sql };
                match self.room.sql.execute(&execution).await {
                    Ok(()) => {}
                    Err(host::sql::ExecuteError::Guard { message }) => return Err(failed(FailureKind::Guard, None, message)),
                    Err(host::sql::ExecuteError::Sql(error)) => {
                        return Err(failed(FailureKind::Sql, Some(cross(&error)), error.message.clone()));
                    }
                }
            }
            Effect::Start(task) => {
                let state = self.work(task).await;
                self.tasks.push(state);
            }
            Effect::Forget(name) => self.tasks.retain(|task| task["name"] != name.as_str()),
            other => panic!("these reconcilers have no effect such as {other:?}"),
        }
        Ok(())
    }
}

impl Stage {
    /// Runs a task to its end, so that it never is seen running.
    async fn work(&self, task: &Task) -> Json {
        let mut execution: contract::Execution = cross(&task.execution);
        execution.endpoint = here(self.port, execution.endpoint);
        let (_stop, stopped) = oneshot::channel();
        let end = Instant::now() + Duration::from_millis(execution.deadline);
        let mut state = json!({"name": task.name, "started": "2026-01-01T00:00:00Z", "deadline": "2026-01-02T00:00:00Z"});
        match self.room.sql.work(&execution, end, stopped).await {
            Ok(answers) => {
                let answers: Vec<Rows> = answers.iter().map(cross).collect();
                let rows =
                    |answer: &Rows| -> Json { answer.rows.iter().map(|row| row.iter().map(value_to_json).collect::<Json>()).collect() };
                state["done"] = answers.iter().map(|answer| json!({"columns": answer.columns, "rows": rows(answer)})).collect();
            }
            Err(ExecuteError::Guard { message }) => state["guarded"] = json!(message),
            Err(ExecuteError::Sql(error)) => {
                let error: SqlError = cross(&error);
                state["failed"] = json!({"kind": error.kind, "code": error.code, "state": error.state, "message": error.message});
            }
        }
        state
    }
}
