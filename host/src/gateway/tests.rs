//! Writes on objects, against an API server in memory. What happens between the look at the lease and the request happens when the fence is asked.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    body::to_bytes,
    extract::{Request, State},
    http::StatusCode,
};
use kube::Client;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Applied, Gateway, Live, ObjectKey, Subject};
use crate::{
    cluster::{Cluster, DigestKey, SecretValues},
    contract::{Application, Deletion, Effect, EffectFailure, FailureKind, Finalizer, Labelling, ObjectRef, Propagation},
    metrics::Metrics,
    plan::{Events, Performer},
    settings::{Limits, Resource},
    sql::{Sql, SqlLimits},
    tasks::{TaskLimits, Tasks},
};

const WIDGET: &str = "/apis/example.org/v1/namespaces/ns/widgets/w";
const CHILD: &str = "/api/v1/namespaces/ns/configmaps/c";
const POD: &str = "/api/v1/namespaces/ns/pods/p";

/// A test double of the API server: objects with versions and uids, and the preconditions of writes on them.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Objects>>);

#[derive(Default)]
struct Objects {
    by_path: BTreeMap<String, Value>,
    version: u64,
    /// Requests about one object, by method.
    requests: Vec<String>,
}

impl Server {
    fn with(objects: &[(&str, Value)]) -> Self {
        let server = Self::default();
        objects.iter().for_each(|(path, object)| server.put(path, object.clone()));
        server
    }

    fn client(&self) -> Client {
        Client::new(Router::new().fallback(answer).with_state(self.clone()), "ns")
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap()
    }

    fn put(&self, path: &str, mut object: Value) {
        let mut objects = self.objects();
        objects.version += 1;
        object["metadata"]["resourceVersion"] = objects.version.to_string().into();
        objects.by_path.insert(path.into(), object);
    }

    /// Somebody else changes an object.
    fn change(&self, path: &str, patch: &Value) {
        let mut object = self.object(path).unwrap();
        merge(&mut object, patch);
        self.put(path, object);
    }

    fn object(&self, path: &str) -> Option<Value> {
        self.objects().by_path.get(path).cloned()
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.objects().requests)
    }

    /// The answer to a request about one object.
    fn one(&self, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
        let path = path.trim_end_matches("/status");
        self.objects().requests.push(method.into());
        let there = self.object(path);
        let wanted = if method == "DELETE" { &body["preconditions"] } else { &body["metadata"] };
        for field in ["uid", "resourceVersion"] {
            let found = there.as_ref().map(|object| &object["metadata"][field]);
            if (method == "PATCH" || there.is_some()) && !wanted[field].is_null() && found != Some(&wanted[field]) {
                return status(StatusCode::CONFLICT, "Conflict");
            }
        }
        match (method, there) {
            ("GET", Some(object)) => (StatusCode::OK, object),
            ("DELETE", Some(_)) => {
                self.objects().by_path.remove(path);
                (StatusCode::OK, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            }
            ("PATCH", there) => {
                let mut object = there.unwrap_or_else(|| json!({"metadata": {"uid": "made"}}));
                merge(&mut object, body);
                self.put(path, object);
                (StatusCode::OK, self.object(path).unwrap())
            }
            _ => status(StatusCode::NOT_FOUND, "NotFound"),
        }
    }
}

async fn answer(State(server): State<Server>, request: Request) -> (StatusCode, Json<Value>) {
    let (head, body) = request.into_parts();
    let (method, path) = (head.method.as_str(), head.uri.path());
    if head.uri.query().is_some_and(|query| query.contains("watch=")) {
        return pending().await;
    }
    if ["widgets", "configmaps", "pods"].iter().any(|list| path.ends_with(list)) {
        let objects = server.objects();
        let items: Vec<&Value> = objects.by_path.iter().filter(|(name, _)| name.starts_with(path)).map(|(_, object)| object).collect();
        let version = objects.version.to_string();
        return (StatusCode::OK, Json(json!({"metadata": {"resourceVersion": version}, "items": items})));
    }
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let (code, answer) = server.one(method, path, &serde_json::from_slice(&body).unwrap_or_default());
    (code, Json(answer))
}

fn status(code: StatusCode, reason: &str) -> (StatusCode, Value) {
    (code, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code.as_u16()}))
}

/// A JSON merge patch.
fn merge(value: &mut Value, patch: &Value) {
    match patch {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::Null => drop(value.as_object_mut().and_then(|object| object.remove(name))),
                    field => merge(&mut value[name], field),
                }
            }
        }
        other => *value = other.clone(),
    }
}

/// One effect of each kind that writes on an object.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Write {
    Apply,
    Label,
    Delete,
    Finalizer,
    Status,
}

impl Write {
    fn path(self) -> &'static str {
        match self {
            Self::Apply => CHILD,
            Self::Label | Self::Delete => POD,
            Self::Finalizer | Self::Status => WIDGET,
        }
    }

    fn effect(self) -> Effect {
        let reference =
            |kind: &str, name: &str| ObjectRef { api_version: "v1".into(), kind: kind.into(), namespace: "ns".into(), name: name.into() };
        let (pod, uid) = (reference("Pod", "p"), "uid-p".to_owned());
        match self {
            Self::Apply => {
                let body =
                    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "ns"}, "data": {"by": "me"}});
                Effect::Apply(Application { object: reference("ConfigMap", "c"), uid: String::new(), body: body.to_string() })
            }
            Self::Label => Effect::Label(Labelling { object: pod, uid, labels: vec![("role".into(), Some("primary".into()))] }),
            Self::Delete => Effect::Delete(Deletion { object: pod, uid, propagation: Propagation::Background, grace: None }),
            Self::Finalizer => Effect::Finalizer(Finalizer { name: "example.org/it".into(), present: true }),
            Self::Status => Effect::Status(json!({"by": "me"}).to_string()),
        }
    }

    fn request(self) -> &'static str {
        if self == Self::Delete { "DELETE" } else { "PATCH" }
    }

    /// Where it can be seen that the effect has happened.
    fn has_happened(self, server: &Server) -> bool {
        let there = server.object(self.path());
        let is = |pointer: &str, value: Value| there.as_ref().is_some_and(|object| object.pointer(pointer) == Some(&value));
        match self {
            Self::Apply => is("/data/by", "me".into()),
            Self::Label => is("/metadata/labels/role", "primary".into()),
            Self::Delete => there.is_none(),
            Self::Finalizer => is("/metadata/finalizers", json!(["example.org/it"])),
            Self::Status => is("/status/by", "me".into()),
        }
    }

    /// A change of the object that the effect has nothing to do with.
    fn other_change(self) -> Value {
        match self {
            Self::Apply | Self::Finalizer | Self::Delete => json!({"status": {"seen": true}}),
            Self::Label => json!({"metadata": {"annotations": {"seen": "yes"}}}),
            Self::Status => json!({"spec": {"size": 2}}),
        }
    }

    /// A change of what the effect is about.
    fn rival_change(self) -> Value {
        match self {
            Self::Apply => json!({"data": {"by": "somebody else"}}),
            Self::Label | Self::Delete => json!({"metadata": {"labels": {"role": "standby"}}}),
            Self::Finalizer => json!({"spec": {"size": 2}}),
            Self::Status => json!({"status": {"by": "somebody else"}}),
        }
    }
}

fn world() -> Server {
    Server::with(&[
        (WIDGET, json!({"metadata": {"name": "w", "namespace": "ns", "uid": "uid-w"}, "spec": {"size": 1}, "status": {"by": "nobody"}})),
        (CHILD, json!({"metadata": {"name": "c", "namespace": "ns", "uid": "uid-c"}, "data": {"by": "nobody"}})),
        (POD, json!({"metadata": {"name": "p", "namespace": "ns", "uid": "uid-p", "labels": {"app": "w"}}, "spec": {"node": "n"}})),
    ])
}

/// The effect's outcome. Between the first look at the lease and the request something happens; afterwards the process `leads`, or does not.
async fn perform(
    server: &Server,
    write: Write,
    leads: bool,
    meanwhile: impl Fn(&Server) + Send + Sync + 'static,
) -> Result<Applied, EffectFailure> {
    let (asked, watched) = (AtomicUsize::new(0), server.clone());
    let gateway = gateway(server, move || {
        let is_first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        if is_first {
            meanwhile(&watched);
        }
        is_first || leads
    });
    gateway.apply(&subject(), &write.effect()).await
}

fn subject() -> Subject {
    let object = ObjectKey::new("example.org/v1", "Widget", "ns", "w");
    Subject { reconciler: "widget".into(), object, uid: "uid-w".into() }
}

fn gateway(server: &Server, fence: impl Fn() -> bool + Send + Sync + 'static) -> Live {
    let kind = |api_version: &str, kind: &str, resource: &str| Resource {
        api_version: api_version.into(),
        kind: kind.into(),
        resource: resource.into(),
        cluster_scoped: false,
        namespaces: Vec::new(),
    };
    let kinds = [kind("example.org/v1", "Widget", "widgets"), kind("v1", "ConfigMap", "configmaps"), kind("v1", "Pod", "pods")];
    let client = server.client();
    let (cluster, _changes) = Cluster::new(client.clone(), kinds, Vec::new(), DigestKey::random().unwrap());
    let cluster = Arc::new(cluster);
    let sql = Sql::new(Arc::new(SecretValues::new(client.clone(), cluster.clone())), SqlLimits::default());
    let (tasks, _ended) = Tasks::new(TaskLimits::from(&Limits::default()), Metrics::new("test"));
    let performer = Performer::new(client.clone(), cluster.clone(), "test", &[]);
    Live::new(cluster, sql, Arc::new(tasks), performer, Events::new(client, "test", "test"), Arc::new(fence))
}

#[rstest]
#[tokio::test]
async fn a_write_is_one_request(#[values(Write::Apply, Write::Label, Write::Delete, Write::Finalizer, Write::Status)] write: Write) {
    let server = world();
    assert_eq!(perform(&server, write, true, |_| ()).await.unwrap(), Applied::Changed);
    assert_eq!(server.requests(), [write.request()]);
    assert!(write.has_happened(&server));
}

#[rstest]
#[tokio::test]
async fn what_is_none_of_a_writes_business_does_not_hinder_it(
    #[values(Write::Apply, Write::Label, Write::Delete, Write::Finalizer, Write::Status)] write: Write,
) {
    let server = world();
    let done = perform(&server, write, true, move |server| server.change(write.path(), &write.other_change())).await;
    assert_eq!(done.unwrap(), Applied::Changed);
    assert_eq!(server.requests(), [write.request(), "GET", write.request()]);
    assert!(write.has_happened(&server));
}

#[rstest]
#[tokio::test]
async fn who_leads_no_more_writes_on_no_version_that_came_since(
    #[values(Write::Apply, Write::Label, Write::Delete, Write::Finalizer, Write::Status)] write: Write,
) {
    let server = world();
    let failure = perform(&server, write, false, move |server| server.change(write.path(), &write.other_change())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable, "{failure:?}");
    assert_eq!(server.requests(), [write.request(), "GET"]);
    assert!(!write.has_happened(&server));
}

#[rstest]
#[tokio::test]
async fn what_somebody_else_decided_meanwhile_stays(
    #[values(Write::Apply, Write::Label, Write::Delete, Write::Finalizer, Write::Status)] write: Write,
) {
    let server = world();
    let failure = perform(&server, write, true, move |server| server.change(write.path(), &write.rival_change())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict, "{failure:?}");
    assert_eq!(server.requests(), [write.request(), "GET"]);
    assert!(!write.has_happened(&server));
}

#[rstest]
#[tokio::test]
async fn what_is_gone_meanwhile_is_not_made_anew(
    #[values(Write::Apply, Write::Label, Write::Delete, Write::Finalizer, Write::Status)] write: Write,
) {
    let server = world();
    let done = perform(&server, write, true, move |server| drop(server.objects().by_path.remove(write.path()))).await;
    match (write, done) {
        (Write::Delete, done) => assert_eq!(done.unwrap(), Applied::Unchanged),
        (_, done) => assert!(matches!(done.unwrap_err().kind, FailureKind::Conflict | FailureKind::NotFound)),
    }
    assert_eq!(server.object(write.path()), None);
}

#[rstest]
#[tokio::test]
async fn a_namesake_is_left_alone(#[values(Write::Apply, Write::Label, Write::Delete, Write::Finalizer, Write::Status)] write: Write) {
    let server = world();
    let done = perform(&server, write, true, move |server| server.change(write.path(), &json!({"metadata": {"uid": "another"}}))).await;
    match (write, done) {
        (Write::Delete, done) => assert_eq!(done.unwrap(), Applied::Unchanged),
        (_, done) => assert_eq!(done.unwrap_err().kind, FailureKind::Conflict),
    }
    assert_eq!(server.object(write.path()).unwrap()["metadata"]["uid"], "another");
    assert!(!write.has_happened(&server));
}

#[tokio::test]
async fn what_is_not_there_is_made_and_what_is_as_it_was_left_is_not_sent_again() {
    let server = world();
    server.objects().by_path.remove(CHILD);
    let gateway = gateway(&server, || true);
    let (subject, effect) = (subject(), Write::Apply.effect());
    assert_eq!(gateway.apply(&subject, &effect).await.unwrap(), Applied::Changed);
    assert!(Write::Apply.has_happened(&server));
    assert_eq!(gateway.apply(&subject, &effect).await.unwrap(), Applied::Unchanged);
    assert_eq!(server.requests(), ["PATCH"]);
}
