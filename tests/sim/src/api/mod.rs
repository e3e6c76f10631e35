//! A model of the API server: objects with versions, conflicts, generations, owners and finalizers, and the history that watches show.
//!
//! It knows nothing of what the objects mean; the controllers of the cluster are in `kube`.

mod effects;
mod fields;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use host::{
    cluster::Stored,
    contract::{FailureKind, Header},
    gateway::ObjectKey,
};
use serde_json::{Value, json};

/// What every deleted object that is still there has.
const DELETED_AT: &str = "2026-01-01T00:00:00Z";

/// The object cannot be written.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

/// A change, as a watch shows it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: ObjectKey,
    /// None where the object is gone.
    pub(crate) object: Option<Arc<Stored>>,
    /// Whether there was none before.
    pub(crate) is_new: bool,
}

#[derive(Debug, Clone)]
struct Kept {
    object: Arc<Stored>,
    /// What each field manager has applied last, by manager and subresource.
    applied: BTreeMap<(String, &'static str), Applied>,
}

/// What a field manager has applied.
#[derive(Debug, Clone)]
struct Applied {
    fields: Arc<Value>,
    /// The same, as it came.
    text: Arc<str>,
    /// The object's version after it.
    version: u64,
}

/// The objects.
#[derive(Debug, Clone, Default)]
pub struct Api {
    objects: BTreeMap<ObjectKey, Kept>,
    version: u64,
    uids: u64,
    /// The time on its clock, for what is made by an apply.
    pub(crate) now: Option<u64>,
    /// The objects when the history begins.
    base: BTreeMap<ObjectKey, Arc<Stored>>,
    /// How many changes were before that.
    forgotten: usize,
    /// Whether there may be objects whose owners are gone.
    orphans: bool,
    history: VecDeque<Change>,
}

/// A key.
pub fn key(api_version: &str, kind: &str, namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::new(api_version, kind, namespace, name)
}

/// The key of a manifest.
pub(crate) fn key_of(body: &Value) -> ObjectKey {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    key(text("/apiVersion"), text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
}

/// The uid of the owner that controls an object.
pub(crate) fn controller(body: &Value) -> Option<&str> {
    let owners = body["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["controller"] == true)?["uid"].as_str()
}

impl Api {
    /// An object, if it is there.
    pub fn get(&self, key: &ObjectKey) -> Option<&Arc<Stored>> {
        self.objects.get(key).map(|kept| &kept.object)
    }

    /// Objects of a kind, by namespace and name.
    pub(crate) fn all(&self, kind: &str) -> impl Iterator<Item = (&ObjectKey, &Arc<Stored>)> {
        self.objects.iter().filter(move |(key, _)| key.kind == kind).map(|(key, kept)| (key, &kept.object))
    }

    /// The number of changes so far.
    pub(crate) fn changes(&self) -> usize {
        self.forgotten + self.history.len()
    }

    /// One change of the history, unless it is forgotten.
    pub(crate) fn change(&self, at: usize) -> Option<&Change> {
        self.history.get(at.checked_sub(self.forgotten)?)
    }

    /// The objects as they were before the last `back` changes, and the place in the history after which changes are missing.
    pub(crate) fn earlier(&self, back: usize) -> (BTreeMap<ObjectKey, Arc<Stored>>, usize) {
        let until = self.history.len().saturating_sub(back);
        let mut objects = self.base.clone();
        self.history.iter().take(until).for_each(|change| follow(&mut objects, change));
        (objects, self.forgotten + until)
    }

    /// Forgets the history: nobody watches yet.
    pub(crate) fn forget_history(&mut self) {
        self.forget(self.changes());
        self.forgotten = 0;
    }

    /// Forgets the changes before this place: whoever watches has heard of them.
    pub(crate) fn forget(&mut self, until: usize) {
        while self.forgotten < until
            && let Some(change) = self.history.pop_front()
        {
            self.forgotten += 1;
            follow(&mut self.base, &change);
        }
    }

    /// Creates an object, unless it exists. `at` is the time on the API server's clock.
    pub fn create(&mut self, mut body: Value, at: u64) -> bool {
        body["metadata"]["creationTimestamp"] = sdk::rfc3339(at).into();
        let key = key_of(&body);
        !self.objects.contains_key(&key) && self.commit(&key, body)
    }

    /// Server-side apply, forced, of an object or of a part of it. Gives whether anything changed.
    pub(crate) fn apply(&mut self, manager: &str, key: &ObjectKey, uid: &str, text: &str, part: &'static str) -> Result<bool, Refusal> {
        let there = self.objects.get(key);
        let place = (manager.to_owned(), part);
        let before = there.and_then(|kept| kept.applied.get(&place));
        let is_there_already = |(kept, before): (&Kept, &Applied)| {
            (uid.is_empty() || uid == kept.object.header.uid) && before.version == kept.object.version() && *before.text == *text
        };
        if there.zip(before).is_some_and(is_there_already) {
            return Ok(false);
        }
        let mut body: Value = serde_json::from_str(text).map_err(|error| invalid(key, &error.to_string()))?;
        if !part.is_empty() {
            body = Value::Object([(part.to_owned(), body)].into_iter().collect());
        } else if let Value::Object(fields) = &mut body {
            fields.remove("status");
        }
        let mut next = match there {
            None if !part.is_empty() || !uid.is_empty() => return Err(not_found(key)),
            None => {
                let mut metadata = json!({"name": key.name, "namespace": key.namespace});
                if let Some(now) = self.now {
                    metadata["creationTimestamp"] = sdk::rfc3339(now).into();
                }
                json!({"apiVersion": key.api_version, "kind": key.kind, "metadata": metadata})
            }
            Some(kept) if !uid.is_empty() && kept.object.header.uid != uid => return Err(invalid(key, "the uid is another")),
            Some(kept) => kept.object.body.clone(),
        };
        let owned_before = before.is_some_and(|before| fields::are_the_same(&before.fields, &body));
        if let Some(before) = before.filter(|_| !owned_before) {
            let others: Vec<&Value> =
                there.iter().flat_map(|kept| &kept.applied).filter(|(by, _)| **by != place).map(|(_, applied)| &*applied.fields).collect();
            fields::remove_absent(&mut next, &before.fields, &body, &others);
        }
        fields::overlay(&mut next, &body);
        if let Some(kept) = there
            && key.kind == "StatefulSet"
            && let Some(field) = ["serviceName", "selector", "podManagementPolicy", "volumeClaimTemplates"]
                .into_iter()
                .find(|field| kept.object.body["spec"][field] != next["spec"][field])
        {
            let message = format!("StatefulSet {}: spec.{field}: updates to it are forbidden", key.name);
            return Err(Refusal { kind: FailureKind::Invalid, message });
        }
        // Who owns which field is a part of the object, too, though nobody here gets to see it.
        let changed = self.commit(key, next) || (!owned_before && self.touch(key));
        if let Some(kept) = self.objects.get_mut(key) {
            let applied = Applied { fields: Arc::new(body), text: text.into(), version: kept.object.version() };
            kept.applied.insert(place, applied);
        }
        Ok(changed)
    }

    /// Sets and removes labels of the object with this uid.
    pub(crate) fn label(&mut self, key: &ObjectKey, uid: &str, labels: &[(String, Option<String>)]) -> Result<bool, Refusal> {
        let kept = self.objects.get(key).ok_or_else(|| not_found(key))?;
        if kept.object.header.uid != uid {
            return Err(invalid(key, "the uid is another"));
        }
        let mut body = kept.object.body.clone();
        for (name, value) in labels {
            match value {
                Some(value) => body["metadata"]["labels"][name] = value.as_str().into(),
                None => drop(body["metadata"]["labels"].as_object_mut().and_then(|labels| labels.remove(name))),
            }
        }
        Ok(self.commit(key, body))
    }

    /// Adds or removes a finalizer.
    pub(crate) fn finalizer(&mut self, key: &ObjectKey, uid: &str, name: &str, present: bool) -> Result<bool, Refusal> {
        let Some(kept) = self.objects.get(key).filter(|kept| kept.object.header.uid == uid) else {
            return if present { Err(not_found(key)) } else { Ok(false) };
        };
        let mut body = kept.object.body.clone();
        let there = body["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
        if there.iter().any(|there| there == name) == present {
            return Ok(false);
        }
        let mut names: Vec<Value> = there.into_iter().filter(|there| there != name).collect();
        if present {
            names.push(name.into());
        }
        body["metadata"]["finalizers"] = names.into();
        Ok(self.commit(key, body))
    }

    /// Puts another status in the place of an object's. Gives whether it is different now.
    pub(crate) fn set_status(&mut self, key: &ObjectKey, status: Value) -> bool {
        let Some(kept) = self.objects.get(key).filter(|kept| kept.object.body["status"] != status) else { return false };
        let mut body = kept.object.body.clone();
        body["status"] = status;
        self.keep(key, body, false);
        true
    }

    /// Changes an object in place. Gives whether it is different now.
    pub fn modify(&mut self, key: &ObjectKey, change: impl FnOnce(&mut Value)) -> bool {
        let Some(kept) = self.objects.get(key) else { return false };
        let mut body = kept.object.body.clone();
        change(&mut body);
        self.commit(key, body)
    }

    /// Deletes the object with this uid: at once, or as soon as its finalizers are gone. A pod goes when its kubelet says so, unless it is
    /// given no time at all. `grace` is in seconds.
    pub(crate) fn delete_within(&mut self, key: &ObjectKey, uid: &str, grace: Option<u64>) -> bool {
        let Some(kept) = self.objects.get(key).filter(|kept| kept.object.header.uid == uid) else { return false };
        match grace {
            Some(0) if key.kind == "Pod" => self.remove(key),
            Some(grace) if key.kind == "Pod" => {
                let sooner = kept.object.body["metadata"]["deletionGracePeriodSeconds"].as_u64().is_none_or(|before| grace < before);
                sooner
                    && self.modify(key, |body| {
                        body["metadata"]["deletionTimestamp"] = DELETED_AT.into();
                        body["metadata"]["deletionGracePeriodSeconds"] = grace.into();
                    })
            }
            _ => self.delete(key, Some(uid)),
        }
    }

    /// Deletes an object as [`Api::delete_within`] does, with the time that is usual.
    pub fn delete(&mut self, key: &ObjectKey, uid: Option<&str>) -> bool {
        let Some(kept) = self.objects.get(key) else { return false };
        let header = &kept.object.header;
        if header.deleting || uid.is_some_and(|uid| uid != header.uid) {
            return false;
        }
        let held = kept.object.body["metadata"]["finalizers"].as_array().is_some_and(|names| !names.is_empty());
        if key.kind != "Pod" && !held {
            return self.remove(key);
        }
        self.modify(key, |body| {
            body["metadata"]["deletionTimestamp"] = DELETED_AT.into();
            if let Some(generation) = body["metadata"]["generation"].as_u64() {
                body["metadata"]["generation"] = (generation + 1).into();
            }
        })
    }

    /// Takes an object away.
    pub(crate) fn remove(&mut self, key: &ObjectKey) -> bool {
        let gone = self.objects.remove(key).is_some();
        if gone {
            self.orphans = true;
            self.version += 1;
            self.history.push_back(Change { version: self.version, key: key.clone(), object: None, is_new: false });
        }
        gone
    }

    /// Deletes what belongs to an owner that is gone. Gives whether anything did.
    pub fn collect(&mut self) -> bool {
        if !std::mem::take(&mut self.orphans) {
            return false;
        }
        let uids: std::collections::BTreeSet<&str> = self.objects.values().map(|kept| kept.object.header.uid.as_str()).collect();
        let orphans: Vec<ObjectKey> = self
            .objects
            .iter()
            .filter(|(_, kept)| !kept.object.header.deleting && controller(&kept.object.body).is_some_and(|owner| !uids.contains(owner)))
            .map(|(key, _)| key.clone())
            .collect();
        orphans.iter().filter(|key| self.delete(key, None)).count() > 0
    }

    /// The same object, as the next version.
    fn touch(&mut self, key: &ObjectKey) -> bool {
        let Some(mut body) = self.objects.get(key).map(|kept| kept.object.body.clone()) else { return false };
        body["metadata"]["resourceVersion"] = Value::Null;
        self.commit(key, body)
    }

    /// Keeps a body, if it is different, as the next version.
    fn commit(&mut self, key: &ObjectKey, body: Value) -> bool {
        let before = self.objects.get(key).map(|kept| &kept.object.body);
        if before == Some(&body) {
            return false;
        }
        let spec_changed = before.is_none_or(|before| before["spec"] != body["spec"]);
        self.keep(key, body, spec_changed);
        true
    }

    /// Keeps a body that is different as the next version.
    fn keep(&mut self, key: &ObjectKey, mut body: Value, spec_changed: bool) {
        let before = self.objects.get(key).map(|kept| kept.object.clone());
        self.version += 1;
        self.orphans |=
            before.as_ref().is_none_or(|before| before.body["metadata"]["ownerReferences"] != body["metadata"]["ownerReferences"]);
        if before.is_none() {
            self.uids += 1;
            body["metadata"]["uid"] = format!("uid-{}", self.uids).into();
        }
        if spec_changed && !body["spec"].is_null() {
            let generation = before.as_ref().map_or(0, |before| before.header.generation) + 1;
            body["metadata"]["generation"] = generation.into();
        }
        body["metadata"]["resourceVersion"] = self.version.to_string().into();
        let object = Arc::new(Stored { header: header(key, &body), body });
        let released =
            object.header.deleting && key.kind != "Pod" && object.body["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        self.history.push_back(Change { version: self.version, key: key.clone(), object: Some(object.clone()), is_new: before.is_none() });
        match self.objects.get_mut(key) {
            Some(kept) => kept.object = object,
            None => drop(self.objects.insert(key.clone(), Kept { object, applied: BTreeMap::new() })),
        }
        if released {
            self.remove(key);
        }
    }
}

/// What objects are after a change.
fn follow(objects: &mut BTreeMap<ObjectKey, Arc<Stored>>, change: &Change) {
    match &change.object {
        Some(object) => drop(objects.insert(change.key.clone(), object.clone())),
        None => drop(objects.remove(&change.key)),
    }
}

fn header(key: &ObjectKey, body: &Value) -> Header {
    let metadata = &body["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
    let labels = metadata["labels"].as_object().into_iter().flatten();
    Header {
        api_version: key.api_version.clone(),
        kind: key.kind.clone(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        generation: metadata["generation"].as_u64().unwrap_or_default(),
        deleting: metadata["deletionTimestamp"].is_string(),
        labels: labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect(),
    }
}

fn not_found(key: &ObjectKey) -> Refusal {
    Refusal { kind: FailureKind::NotFound, message: format!("{key} is not found") }
}

fn invalid(key: &ObjectKey, why: &str) -> Refusal {
    Refusal { kind: FailureKind::Invalid, message: format!("{key}: {why}") }
}
