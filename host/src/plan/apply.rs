//! Makes effects happen through the API server: server-side apply, deletes, labels, finalizers, status, generated Secrets.
//!
//! What would change nothing is not sent. What the server answers goes into the cache, so that the next round sees it. Each write on an object
//! that is there is one on the version that is `known`: that it is another by then is a conflict.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
};

use k8s_openapi::jiff::Timestamp;
use kube::{
    Client,
    api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
};
use serde_json::{Value, json};

use super::succession::{CONTESTED_SECONDS, Succession, succession};
use crate::{
    cluster::{Cluster, Stored, api_resource, from_dynamic},
    contract::{Application, Deletion, EffectFailure, FailureKind, Finalizer, GeneratedSecret, Labelling, ObjectRef, Propagation},
    gateway::{Applied, ObjectKey, Parts, Subject},
    settings::Resource,
};

/// Letters and digits without those that look alike.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The type of the condition that the host itself writes, when a reconciler is in trouble with an object.
pub(crate) const HEALTHY: &str = "ReconcilerHealthy";

/// What was sent and what the object was like after it: as long as both stay, sending it again changes nothing.
type Sent = (u64, u64);

/// Applies effects on the cluster.
pub struct Performer {
    client: Client,
    cluster: Arc<Cluster>,
    product: String,
    predecessors: Vec<String>,
    sent: Mutex<HashMap<(String, ObjectKey, &'static str), Sent>>,
}

impl Performer {
    /// `product` is the prefix of the field managers; `predecessors` are those of programs that did the work before.
    pub fn new(client: Client, cluster: Arc<Cluster>, product: &str, predecessors: &[String]) -> Self {
        Self { client, cluster, product: product.into(), predecessors: predecessors.into(), sent: Mutex::default() }
    }

    /// The field manager of a reconciler.
    fn owner(&self, subject: &Subject) -> String {
        format!("{}-{}", self.product, subject.reconciler)
    }

    /// The object as it is known here.
    ///
    /// # Errors
    /// When its kind cannot be watched.
    pub async fn known(&self, object: &ObjectRef) -> Result<Option<Arc<Stored>>, EffectFailure> {
        self.cluster.stored(object).await.map_err(|e| failure(FailureKind::Unavailable, e.to_string()))
    }

    /// The object as the API server has it.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn live(&self, object: &ObjectRef) -> Result<Option<Arc<Stored>>, EffectFailure> {
        let (api, resource) = self.api(object)?;
        let live = api.get_opt(&object.name).await.map_err(refused)?.map(|live| from_dynamic(live, &api_resource(resource)));
        if let Some(live) = &live {
            self.cluster.observe(live.clone());
        }
        Ok(live.map(Arc::new))
    }

    /// Server-side apply of an object's fields.
    ///
    /// # Errors
    /// What the API server says, by [`FailureKind`].
    pub async fn apply(&self, subject: &Subject, application: &Application, known: Option<&Stored>) -> Result<Applied, EffectFailure> {
        let Application { object, uid, body } = application;
        let mut body: Value =
            serde_json::from_str(body).map_err(|e| failure(FailureKind::Invalid, format!("the body is not JSON: {e}")))?;
        if !uid.is_empty() {
            body["metadata"]["uid"] = uid.as_str().into();
        }
        self.patch(subject, object, body, "", known).await
    }

    /// Writes the whole status of the subject.
    ///
    /// # Errors
    /// As [`Performer::apply`].
    pub async fn status(&self, subject: &Subject, status: &str, known: Option<&Stored>) -> Result<Applied, EffectFailure> {
        let known = known.ok_or_else(|| gone(subject))?;
        let status: Value =
            serde_json::from_str(status).map_err(|e| failure(FailureKind::Invalid, format!("the status is not JSON: {e}")))?;
        let Parts { api_version, kind, namespace, name } = &*subject.object;
        let body = json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {"name": name, "namespace": namespace, "uid": subject.uid},
            "status": status,
        });
        self.patch(subject, &ObjectRef::from(&subject.object), body, "status", Some(known)).await
    }

    async fn patch(
        &self,
        subject: &Subject,
        object: &ObjectRef,
        body: Value,
        subresource: &'static str,
        known: Option<&Stored>,
    ) -> Result<Applied, EffectFailure> {
        let (api, resource) = self.api(object)?;
        let place = (subject.reconciler.clone(), ObjectKey::from(object), subresource);
        let fingerprint = |stored: &Stored| if subresource.is_empty() { stored.fingerprint() } else { stored.status_fingerprint() };
        let wanted = hash(&body);
        if let Some(known) = known {
            let sent = self.sent.lock().expect("no holder of the lock can panic").get(&place).copied();
            if sent == Some((wanted, fingerprint(known))) {
                return Ok(Applied::Unchanged);
            }
            // A status is written often, and nobody fights for it who does not fight for the object's children.
            if sent.is_none() || subresource.is_empty() {
                self.succeed(&api, object, &self.owner(subject), subresource).await?;
            }
        }
        let body = on_version(body, known);
        let params = PatchParams::apply(&self.owner(subject)).force();
        let answer = match subresource {
            "" => api.patch(&object.name, &params, &Patch::Apply(&body)).await,
            _ => api.patch_status(&object.name, &params, &Patch::Apply(&body)).await,
        };
        let after = from_dynamic(answer.map_err(refused)?, &api_resource(resource));
        self.sent.lock().expect("no holder of the lock can panic").insert(place, (wanted, fingerprint(&after)));
        let changed = known.is_none_or(|known| known.header.resource_version != after.header.resource_version);
        self.cluster.observe(after);
        Ok(if changed { Applied::Changed } else { Applied::Unchanged })
    }

    /// Makes the fields of predecessors the owner's before its first apply, and writes nothing against one that is still at work.
    async fn succeed(&self, api: &Api<DynamicObject>, object: &ObjectRef, owner: &str, subresource: &str) -> Result<(), EffectFailure> {
        if self.predecessors.is_empty() {
            return Ok(());
        }
        let Some(live) = api.get_metadata_opt(&object.name).await.map_err(refused)? else { return Ok(()) };
        let entries = live.metadata.managed_fields.unwrap_or_default();
        match succession(&entries, &self.predecessors, owner, subresource, Timestamp::now()) {
            Succession::Settled => Ok(()),
            Succession::TakeOver(entries) => {
                let (uid, version) = (live.metadata.uid, live.metadata.resource_version);
                let patch = json!({"metadata": {"uid": uid, "resourceVersion": version, "managedFields": entries}});
                api.patch(&object.name, &PatchParams::default(), &Patch::Merge(&patch)).await.map_err(refused)?;
                tracing::info!(
                    kind = object.kind,
                    namespace = object.namespace,
                    name = object.name,
                    owner,
                    "the fields of a predecessor are taken over"
                );
                Ok(())
            }
            Succession::Contested(manager, ago) => {
                let message = format!(
                    "{} \"{}\": the field manager \"{manager}\" wrote it {ago} s ago, so another operator is still at work: end it; \
                     nothing is written against it until it has been quiet for {CONTESTED_SECONDS} s",
                    object.kind, object.name
                );
                Err(failure(FailureKind::Conflict, message))
            }
        }
    }

    /// Deletes an object with this uid, never a namesake.
    ///
    /// # Errors
    /// As [`Performer::apply`]. That it is gone already is no error.
    pub async fn delete(&self, deletion: &Deletion, known: Option<&Stored>) -> Result<Applied, EffectFailure> {
        let Deletion { object, uid, propagation, grace } = deletion;
        let (api, resource) = self.api(object)?;
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.clone()),
                resource_version: known.map(|known| known.header.resource_version.clone()),
            }),
            propagation_policy: Some(match propagation {
                Propagation::Background => PropagationPolicy::Background,
                Propagation::Foreground => PropagationPolicy::Foreground,
                Propagation::Orphan => PropagationPolicy::Orphan,
            }),
            grace_period_seconds: *grace,
            ..DeleteParams::default()
        };
        if known.is_some_and(|known| known.header.deleting && grace.is_none_or(|grace| ends_within(&known.body, grace))) {
            return Ok(Applied::Unchanged);
        }
        match api.delete(&object.name, &params).await {
            Ok(answer) => {
                match answer.left() {
                    Some(still) => self.cluster.observe(from_dynamic(still, &api_resource(resource))),
                    None => self.cluster.forget(&object.into(), uid),
                }
                Ok(Applied::Changed)
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Applied::Unchanged),
            Err(error) => Err(refused(error)),
        }
    }

    /// Sets and removes labels.
    ///
    /// # Errors
    /// As [`Performer::apply`].
    pub async fn label(&self, labelling: &Labelling, known: Option<&Stored>) -> Result<Applied, EffectFailure> {
        let Labelling { object, uid, labels } = labelling;
        let has = |key: &String| known.and_then(|known| known.header.labels.iter().find(|(k, _)| k == key)).map(|(_, v)| v.clone());
        if known.is_some() && labels.iter().all(|(key, value)| has(key) == *value) {
            return Ok(Applied::Unchanged);
        }
        let labels: BTreeMap<_, _> = labels.iter().map(|(key, value)| (key, value)).collect();
        self.merge(object, on_version(json!({"metadata": {"uid": uid, "labels": labels}}), known)).await
    }

    /// Adds or removes a finalizer of the subject.
    ///
    /// # Errors
    /// As [`Performer::apply`].
    pub async fn finalizer(&self, subject: &Subject, finalizer: &Finalizer, known: Option<&Stored>) -> Result<Applied, EffectFailure> {
        let Some(known) = known else {
            return if finalizer.present { Err(gone(subject)) } else { Ok(Applied::Unchanged) };
        };
        let mut names: Vec<&str> =
            known.body.pointer("/metadata/finalizers").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        if names.contains(&finalizer.name.as_str()) == finalizer.present {
            return Ok(Applied::Unchanged);
        }
        if finalizer.present {
            names.push(&finalizer.name);
        } else {
            names.retain(|name| *name != finalizer.name);
        }
        self.merge(&ObjectRef::from(&subject.object), on_version(json!({"metadata": {"finalizers": names}}), Some(known))).await
    }

    async fn merge(&self, object: &ObjectRef, patch: Value) -> Result<Applied, EffectFailure> {
        let (api, resource) = self.api(object)?;
        let after = api.patch(&object.name, &PatchParams::default(), &Patch::Merge(&patch)).await.map_err(refused)?;
        let after = from_dynamic(after, &api_resource(resource));
        // The last finalizer of a deleting object is the end of the object.
        if after.header.deleting && after.body.pointer("/metadata/finalizers").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            self.cluster.forget(&object.into(), &after.header.uid);
        } else {
            self.cluster.observe(after);
        }
        Ok(Applied::Changed)
    }

    /// Creates a Secret with random values, unless one of this name is there.
    ///
    /// # Errors
    /// As [`Performer::apply`].
    pub async fn generate(&self, subject: &Subject, secret: &GeneratedSecret) -> Result<Applied, EffectFailure> {
        let object =
            ObjectRef { api_version: "v1".into(), kind: "Secret".into(), namespace: secret.namespace.clone(), name: secret.name.clone() };
        let (api, resource) = self.api(&object)?;
        let mut values: BTreeMap<&str, String> = secret.fixed.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        for (key, length) in &secret.random {
            values.insert(key, random(*length)?);
        }
        let labels: BTreeMap<_, _> = secret.labels.iter().map(|(key, value)| (key, value)).collect();
        let owners = match &subject.object {
            owner if secret.owned => {
                json!([{"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": subject.uid, "controller": true}])
            }
            _ => json!([]),
        };
        let body = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": secret.name, "namespace": secret.namespace, "labels": labels, "ownerReferences": owners},
            "stringData": values,
        });
        let body: DynamicObject = serde_json::from_value(body).map_err(|e| failure(FailureKind::Invalid, e.to_string()))?;
        let params = PostParams { field_manager: Some(self.owner(subject)), ..PostParams::default() };
        match api.create(&params, &body).await {
            Ok(created) => {
                self.cluster.observe(from_dynamic(created, &api_resource(resource)));
                Ok(Applied::Changed)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Applied::Unchanged),
            Err(error) => Err(refused(error)),
        }
    }

    /// Writes or takes back the host's own condition on the subject. A failure is logged and nothing more.
    pub async fn health(&self, subject: &Subject, trouble: Option<(&str, &str)>, now: u64, known: &Stored) {
        let object = ObjectRef::from(&subject.object);
        let Ok((api, resource)) = self.api(&object) else { return };
        let status = match trouble {
            Some((reason, message)) => {
                let at = Timestamp::from_millisecond(i64::try_from(now).unwrap_or(0)).unwrap_or_default();
                let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                json!({"conditions": [{"type": HEALTHY, "status": "False", "reason": reason, "message": message, "lastTransitionTime": at}]})
            }
            None => json!({}),
        };
        let Parts { api_version, kind, namespace, name } = &*subject.object;
        let metadata = json!({"name": name, "namespace": namespace});
        let body = on_version(json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "status": status}), Some(known));
        match api.patch_status(name, &PatchParams::apply(&self.product).force(), &Patch::Apply(&body)).await {
            Ok(after) => self.cluster.observe(from_dynamic(after, &api_resource(resource))),
            Err(error) => tracing::warn!(object = %subject.object, %error, "the health of the reconciler could not be written"),
        }
    }

    fn api(&self, object: &ObjectRef) -> Result<(Api<DynamicObject>, &Resource), EffectFailure> {
        let resource = self
            .cluster
            .resource(&object.api_version, &object.kind)
            .ok_or_else(|| failure(FailureKind::Denied, format!("no grant names {} {}", object.api_version, object.kind)))?;
        let kind = api_resource(resource);
        let api = if resource.cluster_scoped {
            Api::all_with(self.client.clone(), &kind)
        } else {
            Api::namespaced_with(self.client.clone(), &object.namespace, &kind)
        };
        Ok((api, resource))
    }
}

/// A patch of this version of an object and of no other. With a uid, its own if it has one, the API server makes no new object where this one is
/// gone.
fn on_version(mut patch: Value, known: Option<&Stored>) -> Value {
    if let Some(known) = known {
        if patch["metadata"]["uid"].is_null() {
            patch["metadata"]["uid"] = known.header.uid.as_str().into();
        }
        patch["metadata"]["resourceVersion"] = known.header.resource_version.as_str().into();
    }
    patch
}

/// Whether an object that is being deleted has no more than these seconds.
fn ends_within(body: &Value, grace: u32) -> bool {
    let granted = body.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_u64);
    granted.is_some_and(|granted| granted <= u64::from(grace))
}

fn hash(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn random(length: u32) -> Result<String, EffectFailure> {
    let mut value = String::new();
    let mut byte = [0];
    while value.len() < length as usize {
        getrandom::fill(&mut byte).map_err(|e| failure(FailureKind::Unavailable, format!("no random numbers: {e}")))?;
        // Bytes past the last whole run of the alphabet are thrown away: each character is as likely as any other.
        let runs = 256 / ALPHABET.len() * ALPHABET.len();
        if usize::from(byte[0]) < runs {
            value.push(char::from(ALPHABET[usize::from(byte[0]) % ALPHABET.len()]));
        }
    }
    Ok(value)
}

/// An effect's failure; its place in the plan is filled in by who knows it.
pub(crate) fn failure(kind: FailureKind, message: String) -> EffectFailure {
    EffectFailure { effect: 0, kind, message, sql: None }
}

fn gone(subject: &Subject) -> EffectFailure {
    failure(FailureKind::NotFound, format!("{} is gone", subject.object))
}

fn refused(error: kube::Error) -> EffectFailure {
    match error {
        kube::Error::Api(status) => {
            let kind = match status.code {
                404 => FailureKind::NotFound,
                409 => FailureKind::Conflict,
                403 => FailureKind::Denied,
                400 | 405..=428 => FailureKind::Invalid,
                _ => FailureKind::Unavailable,
            };
            failure(kind, status.message.clone())
        }
        other => failure(FailureKind::Unavailable, other.to_string()),
    }
}
