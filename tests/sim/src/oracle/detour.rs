//! There and back: when a spec is what it was, so is all that was made for it.

use std::collections::BTreeMap;

use crds::names;
use host::gateway::ObjectKey;
use serde_json::{Value, json};

use crate::{scenario::Field, world::World};

/// What is made for an object, and stays or goes with its spec. Claims stay where servers go, unless the user wants otherwise; a ServiceAccount stays
/// as long as the DoltDB does, as pods may still run that have it.
const KINDS: [&str; 7] = ["Backup", "ConfigMap", "Pod", "PodDisruptionBudget", "Service", "StatefulSet", "VolumeSnapshot"];

/// What makes copies tells by its conditions how it takes its spec.
const COPYING: [&str; 2] = ["BackupSchedule", "Snapshot"];

/// What each version of an object has of its own.
const BOOKKEEPING: [&str; 5] = ["uid", "resourceVersion", "generation", "creationTimestamp", "ownerReferences"];

/// A change that is taken back.
#[derive(Debug, Clone)]
pub(crate) struct Detour {
    field: &'static Field,
    before: Option<Before>,
}

/// How it was before.
#[derive(Debug, Clone)]
struct Before {
    spec: Value,
    /// What there was, if all was as it should.
    made: Option<BTreeMap<ObjectKey, Value>>,
}

impl Detour {
    pub(crate) fn new(field: &'static Field) -> Self {
        Self { field, before: None }
    }
}

impl World {
    /// The user changes the field.
    pub(crate) fn go_there(&mut self) {
        let Some(detour) = &self.detour else { return };
        let field = detour.field;
        let Some((key, spec)) = self.api.all(field.kind).next().map(|(key, object)| (key.clone(), object.body["spec"].clone())) else {
            return;
        };
        let made = self.unsettled().is_none().then(|| self.made());
        let other = field.put_into(&spec);
        self.say(|| format!("{} is {other}", field.path.join(".")));
        self.detour = Some(Detour { field, before: Some(Before { spec, made }) });
        self.api.modify(&key, |body| body["spec"] = other);
    }

    /// The user takes the change back.
    pub(crate) fn go_back(&mut self) {
        let Some(Detour { field, before: Some(Before { spec, .. }) }) = self.detour.clone() else { return };
        let Some(key) = self.api.all(field.kind).next().map(|(key, _)| key.clone()) else { return };
        self.api.modify(&key, |body| body["spec"] = spec);
    }

    /// In what the cluster is another than before the change.
    pub(super) fn changed_by_detour(&self) -> Option<String> {
        let Detour { field, before: Some(Before { made: Some(before), .. }) } = self.detour.as_ref()? else { return None };
        let now = self.made();
        let keys = before.keys().chain(now.keys());
        let (key, difference) = keys.into_iter().find_map(|key| Some((key, difference(before.get(key), now.get(key), String::new())?)))?;
        Some(format!(
            "after {}.{} was changed and changed back, {} {} is another: {difference}",
            field.kind,
            field.path.join("."),
            key.kind,
            key.name
        ))
    }

    /// What there is, without what says who is primary and which version of an object it is.
    fn made(&self) -> BTreeMap<ObjectKey, Value> {
        let objects = KINDS.iter().flat_map(|kind| self.api.all(kind));
        let told = COPYING.iter().flat_map(|kind| self.api.all(kind)).map(|(key, object)| (key.clone(), conditions(&object.body)));
        objects
            .map(|(key, object)| {
                let mut body = object.body.clone();
                body.as_object_mut().map(|body| body.remove("status"));
                for field in BOOKKEEPING {
                    body["metadata"].as_object_mut().map(|metadata| metadata.remove(field));
                }
                for (place, label) in [("/metadata/labels", names::LABEL_CLUSTER_ROLE), ("/spec/selector", names::LABEL_POD_NAME)] {
                    let is_left_out = key.kind != "StatefulSet" && (key.kind == "Service" || label == names::LABEL_CLUSTER_ROLE);
                    if let Some(labels) = body.pointer_mut(place).and_then(Value::as_object_mut).filter(|_| is_left_out) {
                        labels.remove(label);
                    }
                }
                (key.clone(), body)
            })
            .chain(told)
            .collect()
    }
}

/// What conditions say of an object, without their times. That something is as it should be is said of most only after it was not.
fn conditions(body: &Value) -> Value {
    let told = |condition: &Value| {
        let kind = condition["type"].as_str().filter(|kind| *kind == "Ready" || condition["status"] != "True")?;
        Some((kind.to_owned(), json!([condition["status"], condition["reason"]])))
    };
    Value::Object(body["status"]["conditions"].as_array().into_iter().flatten().filter_map(told).collect())
}

/// The first place where two values differ.
fn difference(one: Option<&Value>, other: Option<&Value>, place: String) -> Option<String> {
    match (one, other) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let names = one.keys().chain(other.keys());
            names.into_iter().find_map(|name| difference(one.get(name), other.get(name), format!("{place}/{name}")))
        }
        (one, other) if one == other => None,
        (one, other) => {
            let shown =
                |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), |value| value.to_string().chars().take(120).collect());
            Some(format!("{place} was {}, is {}", shown(one), shown(other)))
        }
    }
}
