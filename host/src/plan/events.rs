//! Events, where a user looks first. The same event on the same object is written again only after a while; another message of the same
//! reason is another event, since the message is what the user has to read.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event as Report},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

use crate::{
    contract::{Event, Severity},
    gateway::Subject,
};

/// For how long the same event on the same object is not written again.
const QUIET: Duration = Duration::from_secs(300);
/// The API server's limit of an event's note, in bytes.
const NOTE: usize = 1024;
/// Where events of cluster-scoped objects go.
const CLUSTER_SCOPED: &str = "default";

/// Writes events.
pub struct Events {
    client: Client,
    product: String,
    instance: String,
    said: Mutex<HashMap<(String, String, String), Instant>>,
}

impl Events {
    /// Events that name `product` as their source and `instance` as the process.
    pub fn new(client: Client, product: &str, instance: &str) -> Self {
        Self { client, product: product.into(), instance: instance.into(), said: Mutex::default() }
    }

    /// Writes an event on the subject. A failure is logged and nothing more: an event never stops a reconcile.
    pub async fn write(&self, subject: &Subject, event: &Event) {
        if !self.is_news(subject, event) {
            return;
        }
        let namespace = if subject.object.namespace.is_empty() { CLUSTER_SCOPED } else { &subject.object.namespace };
        let report = self.report(subject, event, namespace, Timestamp::now());
        match Api::<Report>::namespaced(self.client.clone(), namespace).create(&PostParams::default(), &report).await {
            Ok(_) => {}
            // A namespace that is being deleted takes no new objects, and nobody will look there.
            Err(kube::Error::Api(status)) if status.code == 403 || status.code == 404 => {
                tracing::debug!(object = %subject.object, reason = %event.reason, error = %status.message, "an event was refused");
            }
            Err(error) => tracing::warn!(object = %subject.object, reason = %event.reason, %error, "an event could not be written"),
        }
    }

    fn report(&self, subject: &Subject, event: &Event, namespace: &str, at: Timestamp) -> Report {
        let object = &subject.object;
        Report {
            metadata: ObjectMeta {
                name: Some(format!("{}.{:x}", object.name, at.as_nanosecond())),
                namespace: Some(namespace.into()),
                ..ObjectMeta::default()
            },
            type_: Some(
                match event.severity {
                    Severity::Normal => "Normal",
                    Severity::Warning => "Warning",
                }
                .into(),
            ),
            reason: Some(event.reason.clone()),
            note: Some(cut(&event.message).to_owned()),
            action: Some(if event.action.is_empty() { "Reconcile".into() } else { event.action.clone() }),
            event_time: Some(MicroTime(at)),
            reporting_controller: Some(self.product.clone()),
            reporting_instance: Some(self.instance.clone()),
            regarding: Some(ObjectReference {
                api_version: Some(object.api_version.clone()),
                kind: Some(object.kind.clone()),
                namespace: (!object.namespace.is_empty()).then(|| object.namespace.clone()),
                name: Some(object.name.clone()),
                uid: Some(subject.uid.clone()),
                ..ObjectReference::default()
            }),
            ..Report::default()
        }
    }

    fn is_news(&self, subject: &Subject, event: &Event) -> bool {
        let mut said = self.said.lock().expect("no holder of the lock can panic");
        let now = Instant::now();
        said.retain(|_, at| now.duration_since(*at) < QUIET);
        let key = (subject.uid.clone(), event.reason.clone(), event.message.clone());
        match said.get(&key) {
            Some(_) => false,
            None => {
                said.insert(key, now);
                true
            }
        }
    }
}

fn cut(message: &str) -> &str {
    let mut end = message.len().min(NOTE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}
