//! The simulator's model of the API server against the real one: the same effects by the host's own hand, the same answers, the same objects.

use std::{cell::RefCell, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use e2e::{MINUTE, Namespace, in_namespace, wait_for};
use host::{
    cluster::{Cluster, DigestKey, Stored, api_resource, from_dynamic},
    contract::{Application, Deletion, Effect, EffectFailure, FailureKind, Finalizer, Labelling, ObjectRef, Propagation},
    gateway::{Applied, ObjectKey, Subject},
    plan::Performer,
    settings::Resource,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

const GROUP: &str = "model.k8s.dolthub.com";
const OTHER_UID: &str = "00000000-0000-0000-0000-000000000000";

/// A step of a script. All are about one object, but for those that name another.
enum Step {
    /// Somebody else makes it.
    Make(Value),
    /// Somebody else merges something into it.
    Merge(Value),
    /// This reconciler applies a body.
    Apply(&'static str, Value, On),
    /// This reconciler writes the status.
    Status(&'static str, Value, On),
    Label(&'static [(&'static str, Option<&'static str>)], On),
    Finalizer(bool, On),
    Delete(On),
    /// It comes to be gone, by whoever collects what belongs to nobody.
    Collected,
    /// From here on it is about the object of this name.
    Of(&'static str),
    /// And it belongs to the object of this name from now on.
    OwnedBy(&'static str),
}

/// On which of its versions.
#[derive(Clone, Copy, PartialEq)]
enum On {
    /// The one that is there.
    Newest,
    /// The one before it.
    Former,
    /// The one that is there, but for another object of the name.
    Namesake,
}

use On::{Former, Namesake, Newest};
use Step::{Apply, Collected, Delete, Finalizer as Final, Label, Make, Merge, Of, OwnedBy, Status};

fn scripts(kind: &str) -> Vec<(&'static str, Vec<Step>)> {
    let thing = |fields: Value| {
        let mut body = json!({"spec": {}});
        body["spec"] = fields;
        body
    };
    let data = |data: Value| json!({ "data": data });
    if kind == "ConfigMap" {
        return vec![
            (
                "what is applied is there, what is applied no longer goes",
                vec![
                    Apply("one", data(json!({"a": "1", "b": "2"})), Newest),
                    Apply("one", data(json!({"a": "1", "b": "2"})), Newest),
                    Apply("one", data(json!({"a": "3"})), Newest),
                    Apply("one", json!({}), Newest),
                    Apply("one", data(json!({"a": "1"})), Newest),
                    Delete(Newest),
                    Delete(Newest),
                    Apply("one", data(json!({"c": "1"})), Newest),
                ],
            ),
            (
                "two who apply do not take from each other",
                vec![
                    Apply("one", data(json!({"a": "1", "both": "x"})), Newest),
                    Apply("two", data(json!({"b": "2", "both": "x"})), Newest),
                    Apply("one", data(json!({"a": "1"})), Newest),
                    Apply("two", data(json!({"b": "2"})), Newest),
                    Apply("one", data(json!({"a": "1", "b": "mine"})), Newest),
                    Apply("two", data(json!({"b": "2"})), Newest),
                ],
            ),
            (
                "what somebody else has changed is put right",
                vec![
                    Make(data(json!({"a": "theirs", "other": "o"}))),
                    Apply("one", data(json!({"a": "1"})), Newest),
                    Merge(data(json!({"a": "changed", "more": "m"}))),
                    Apply("one", data(json!({"a": "1"})), Newest),
                    Apply("one", data(json!({"b": "1"})), Newest),
                ],
            ),
            (
                "nothing is written on another version",
                vec![
                    Apply("one", data(json!({"a": "1"})), Newest),
                    Merge(data(json!({"b": "2"}))),
                    Apply("one", data(json!({"a": "2"})), Former),
                    Label(&[("l", Some("1"))], Former),
                    Final(true, Former),
                    Delete(Former),
                    Delete(Newest),
                ],
            ),
            (
                "nothing is written on a namesake",
                vec![
                    Apply("one", data(json!({"a": "1"})), Newest),
                    Apply("one", data(json!({"a": "2"})), Namesake),
                    Label(&[("l", Some("1"))], Namesake),
                    Delete(Namesake),
                ],
            ),
            (
                "labels come and go",
                vec![
                    Apply("one", json!({"metadata": {"labels": {"mine": "1"}}}), Newest),
                    Label(&[("l", Some("1")), ("m", Some("2"))], Newest),
                    Label(&[("l", Some("1"))], Newest),
                    Label(&[("l", None), ("absent", None)], Newest),
                    Apply("one", json!({"metadata": {"labels": {"mine": "2"}}}), Newest),
                    Apply("one", json!({}), Newest),
                ],
            ),
            (
                "what belongs to nobody goes",
                vec![
                    Of("owner"),
                    Apply("one", data(json!({"a": "1"})), Newest),
                    Of("owned"),
                    OwnedBy("owner"),
                    Of("owner"),
                    Delete(Newest),
                    Of("owned"),
                    Collected,
                ],
            ),
        ];
    }
    let condition = |type_: &str, status: &str| json!({"type": type_, "status": status});
    let conditions = |all: &[Value]| json!({ "conditions": all });
    vec![
        (
            "a generation is one of the spec",
            vec![
                Apply("one", thing(json!({"a": 1, "list": [1, 2]})), Newest),
                Apply("one", thing(json!({"a": 1, "list": [1, 2]})), Newest),
                Apply("one", thing(json!({"a": 2, "list": [2]})), Newest),
                Label(&[("l", Some("1"))], Newest),
                Status("one", json!({"ready": true}), Newest),
                Status("one", json!({"ready": true}), Newest),
                Apply("one", thing(json!({"a": 2, "list": [2], "deep": {"x": 1, "y": 2}})), Newest),
                Apply("one", thing(json!({"a": 2, "list": [2], "deep": {"x": 1}})), Newest),
                Apply("one", thing(json!({"a": 2, "list": [2]})), Newest),
            ],
        ),
        (
            "a status is whole, and each keeps the conditions of the other",
            vec![
                Make(thing(json!({"a": 1}))),
                Status("one", json!({"phase": "x", "conditions": [condition("Ready", "False")]}), Newest),
                Status("two", conditions(&[condition("Healthy", "True")]), Newest),
                Status("one", json!({"conditions": [condition("Ready", "True"), condition("Updated", "True")]}), Newest),
                Status("one", conditions(&[condition("Ready", "True")]), Newest),
                Status("two", json!({}), Newest),
                Status("one", json!({"phase": "y"}), Former),
            ],
        ),
        (
            "a finalizer holds what is deleted",
            vec![
                Make(thing(json!({"a": 1}))),
                Final(false, Newest),
                Final(true, Newest),
                Final(true, Newest),
                Delete(Newest),
                Delete(Newest),
                Status("one", json!({"phase": "going"}), Newest),
                Merge(json!({"spec": {"a": 2}})),
                Final(false, Former),
                Final(false, Newest),
                Final(false, Newest),
                Status("one", json!({"phase": "gone"}), Newest),
            ],
        ),
    ]
}

/// What a step came to: whether it changed anything, or which kind of failure.
type Came = Result<bool, FailureKind>;

/// An object in both worlds: what it is, and what it was before the last change.
#[derive(Default, Clone)]
struct Seen {
    now: Option<Arc<Stored>>,
    former: Option<Arc<Stored>>,
}

impl Seen {
    fn take(&mut self, now: Option<Arc<Stored>>) {
        if now.as_ref().map(|o| o.version()) != self.now.as_ref().map(|o| o.version()) {
            self.former = std::mem::replace(&mut self.now, now);
        }
    }

    fn uid(&self, on: On) -> String {
        match &self.now {
            Some(_) if on == Namesake => OTHER_UID.to_owned(),
            Some(now) => now.header.uid.clone(),
            None => String::new(),
        }
    }

    fn known(&self, on: On) -> Option<&Stored> {
        if on == Former { self.former.as_deref() } else { self.now.as_deref() }
    }
}

struct Real<'a> {
    namespace: &'a Namespace,
    resource: Resource,
    api: Api<DynamicObject>,
    performer: Performer,
}

impl<'a> Real<'a> {
    fn new(namespace: &'a Namespace, resource: &Resource) -> Result<Self> {
        let client = namespace.cluster.client.clone();
        let (cluster, _) = Cluster::new(client.clone(), [resource.clone()], vec![namespace.name.clone()], DigestKey::random()?);
        let performer = Performer::new(client.clone(), Arc::new(cluster), "doltdb-operator", &[]);
        let api = Api::namespaced_with(client, &namespace.name, &api_resource(resource));
        Ok(Self { namespace, resource: resource.clone(), api, performer })
    }

    async fn get(&self, name: &str) -> Result<Option<Arc<Stored>>> {
        let found = self.api.get_opt(name).await?;
        Ok(found.map(|object| Arc::new(from_dynamic(object, &api_resource(&self.resource)))))
    }

    async fn perform(&self, subject: &Subject, effect: &Effect, known: Option<&Stored>) -> Result<Applied, EffectFailure> {
        match effect {
            Effect::Apply(application) => self.performer.apply(subject, application, known).await,
            Effect::Status(status) => self.performer.status(subject, status, known).await,
            Effect::Label(labelling) => self.performer.label(labelling, known).await,
            Effect::Finalizer(finalizer) => self.performer.finalizer(subject, finalizer, known).await,
            Effect::Delete(deletion) => self.performer.delete(deletion, known).await,
            _ => unreachable!("no script has another effect"),
        }
    }
}

/// Both worlds, and the object that a script is about.
struct Both<'a> {
    real: Real<'a>,
    model: RefCell<sim::api::Api>,
    name: String,
}

impl Both<'_> {
    fn key(&self) -> ObjectKey {
        self.key_of(&self.name)
    }

    fn key_of(&self, name: &str) -> ObjectKey {
        let Resource { api_version, kind, .. } = &self.real.resource;
        sim::api::key(api_version, kind, &self.real.namespace.name, name)
    }

    /// The name of another object of the script.
    fn named(&self, name: &str) -> String {
        format!("{}-{name}", self.name.split('-').next().unwrap_or_default())
    }

    fn body(&self, fields: &Value) -> Value {
        let key = self.key();
        let mut body = fields.clone();
        body["apiVersion"] = key.api_version.clone().into();
        body["kind"] = key.kind.clone().into();
        body["metadata"]["name"] = key.name.clone().into();
        body["metadata"]["namespace"] = key.namespace.clone().into();
        body
    }

    /// The effect of a step, for the world in which the object is as `seen`.
    fn effect(&self, step: &Step, seen: &Seen) -> Option<(Subject, Effect, On)> {
        let object = ObjectRef::from(&self.key());
        let subject = |by: &str, on| Subject { reconciler: by.to_owned(), object: self.key(), uid: seen.uid(on) };
        Some(match step {
            Apply(by, body, on) => {
                let body = self.body(body).to_string();
                (subject(by, *on), Effect::Apply(Application { object, uid: seen.uid(*on), body }), *on)
            }
            Status(by, status, on) => (subject(by, *on), Effect::Status(status.to_string()), *on),
            Label(labels, on) => {
                let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), value.map(ToOwned::to_owned))).collect();
                (subject("one", *on), Effect::Label(Labelling { object, uid: seen.uid(*on), labels }), *on)
            }
            Final(present, on) => {
                let finalizer = Finalizer { name: format!("{GROUP}/hold"), present: *present };
                (subject("one", *on), Effect::Finalizer(finalizer), *on)
            }
            Delete(on) => {
                let deletion = Deletion { object, uid: seen.uid(*on), propagation: Propagation::Background, grace: None };
                (subject("one", *on), Effect::Delete(deletion), *on)
            }
            _ => return None,
        })
    }

    async fn step(&self, step: &Step, real: &Seen, model: &Seen) -> Result<(Came, Came)> {
        let key = self.key();
        match step {
            Make(fields) => {
                let body = self.body(fields);
                self.real.api.create(&PostParams::default(), &serde_json::from_value(body.clone())?).await?;
                return Ok((Ok(true), Ok(self.model.borrow_mut().create(body, 0))));
            }
            Merge(patch) => {
                self.real.api.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
                return Ok((Ok(true), Ok(self.model.borrow_mut().modify(&key, |body| merge(body, patch)))));
            }
            OwnedBy(owner) => {
                let owner = &self.named(owner);
                let real_owner = self.real.get(owner).await?.context("there is no owner")?;
                let model_owner = self.model.borrow().get(&self.key_of(owner)).context("the model has no owner")?.clone();
                let owned = |owner: &Stored| {
                    let header = &owner.header;
                    let mut body = self.body(&json!({}));
                    body["metadata"]["ownerReferences"] = json!([{
                        "apiVersion": header.api_version, "kind": header.kind, "name": header.name, "uid": header.uid, "controller": true,
                    }]);
                    body
                };
                self.real.api.create(&PostParams::default(), &serde_json::from_value(owned(&real_owner))?).await?;
                return Ok((Ok(true), Ok(self.model.borrow_mut().create(owned(&model_owner), 0))));
            }
            Collected => {
                self.model.borrow_mut().collect();
                wait_for("what belongs to nobody goes", MINUTE, async || {
                    ensure!(self.real.get(&self.name).await?.is_none(), "it is still there");
                    Ok(())
                })
                .await?;
                return Ok((Ok(true), Ok(true)));
            }
            _ => {}
        }
        let (Some((subject, effect, on)), Some((model_subject, model_effect, _))) = (self.effect(step, real), self.effect(step, model))
        else {
            bail!("a step without an effect");
        };
        let came = self.real.perform(&subject, &effect, real.known(on)).await;
        let modelled = self.model.borrow_mut().perform(&model_subject, &model_effect, model.known(on));
        Ok((came.map(|applied| applied == Applied::Changed).map_err(|failure| failure.kind), modelled.map_err(|failure| failure.kind)))
    }

    /// Plays a script, and says where the worlds differ.
    async fn play(&mut self, steps: &[Step]) -> Result<Vec<String>> {
        let mut differences = Vec::new();
        let (mut real, mut model) = (Seen::default(), Seen::default());
        for (at, step) in steps.iter().enumerate() {
            if let Of(name) = step {
                self.name = self.named(name);
                (real, model) = (Seen::default(), Seen::default());
                // What belongs to nobody may be gone already.
                real.take(self.real.get(&self.name).await?);
                model.take(self.model.borrow().get(&self.key()).cloned());
                continue;
            }
            let (came, modelled) = self.step(step, &real, &model).await.with_context(|| format!("step {at}"))?;
            if came != modelled {
                differences.push(format!("step {at} came to {came:?}, and in the model to {modelled:?}"));
            }
            real.take(self.real.get(&self.name).await?);
            model.take(self.model.borrow().get(&self.key()).cloned());
            let (is, modelled) = (picture(real.now.as_deref()), picture(model.now.as_deref()));
            if is != modelled {
                differences.push(format!("after step {at} there is\n{is}\nand in the model\n{modelled}"));
            }
        }
        Ok(differences)
    }
}

/// What an object says, without what each API server makes up for itself.
fn picture(stored: Option<&Stored>) -> Value {
    let Some(stored) = stored else { return Value::Null };
    let mut body = stored.body.clone();
    let Some(metadata) = body["metadata"].as_object_mut() else { return body };
    for field in ["uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences"] {
        metadata.remove(field);
    }
    // Nothing, in one of the ways to write it.
    for field in ["labels", "finalizers"] {
        if metadata.get(field).is_some_and(|value| *value == json!({}) || *value == json!([])) {
            metadata.remove(field);
        }
    }
    for field in ["data", "spec", "status"] {
        if body[field].is_null() || body[field] == json!({}) {
            body.as_object_mut().map(|body| body.remove(field));
        }
    }
    body["deleting"] = stored.header.deleting.into();
    body
}

/// A JSON merge patch.
fn merge(to: &mut Value, patch: &Value) {
    match patch {
        Value::Object(fields) => {
            if !to.is_object() {
                *to = json!({});
            }
            for (name, value) in fields {
                if value.is_null() {
                    to.as_object_mut().map(|to| to.remove(name));
                } else {
                    merge(&mut to[name], value);
                }
            }
        }
        value => *to = value.clone(),
    }
}

/// A kind of our own, with all that one can have: a status apart, a generation, conditions that are known by their type.
fn definition() -> Result<CustomResourceDefinition> {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let mut status = open.clone();
    status["properties"]["conditions"] = json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "items": {"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}, "status": {"type": "string"}}},
    });
    Ok(serde_json::from_value(json!({
        "metadata": {"name": format!("things.{GROUP}")},
        "spec": {
            "group": GROUP, "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": open, "status": status}}},
            }],
        },
    }))?)
}

fn resource(api_version: &str, kind: &str, plural: &str) -> Resource {
    Resource {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        resource: plural.to_owned(),
        cluster_scoped: false,
        namespaces: Vec::new(),
    }
}

/// Plays each script, and gives what each that fails says.
async fn compare(namespace: &Namespace, resource: &Resource) -> Result<Vec<String>> {
    let mut differences = Vec::new();
    for (number, (title, steps)) in scripts(&resource.kind).into_iter().enumerate() {
        let real = Real::new(namespace, resource)?;
        let mut both = Both { real, model: RefCell::default(), name: format!("s{number}") };
        let found = both.play(&steps).await.with_context(|| format!("{}: {title}", resource.kind))?;
        differences.extend(found.into_iter().map(|difference| format!("{}: {title}: {difference}", resource.kind)));
    }
    Ok(differences)
}

#[tokio::test]
async fn the_model_of_the_api_server_does_what_the_api_server_does() -> Result<()> {
    in_namespace("model", async |namespace| {
        let definitions: Api<CustomResourceDefinition> = Api::all(namespace.cluster.client.clone());
        let definition = definition()?;
        let name = format!("things.{GROUP}");
        definitions.patch(&name, &PatchParams::apply("e2e").force(), &Patch::Apply(&definition)).await?;
        let things = resource(&format!("{GROUP}/v1"), "Thing", "things");
        wait_for("the kind is served", MINUTE, async || Ok(Real::new(namespace, &things)?.get("none").await.map(drop)?)).await?;
        let config_maps = resource("v1", "ConfigMap", "configmaps");
        let differences = [compare(namespace, &config_maps).await?, compare(namespace, &things).await?].concat();
        ensure!(differences.is_empty(), "{}", differences.join("\n"));
        Ok(())
    })
    .await
}
