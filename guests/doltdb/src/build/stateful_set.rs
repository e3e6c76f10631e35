//! The StatefulSet and the template of its volumes.

use std::collections::BTreeMap;

use crds::{UpdateStrategy, names};
use sdk::ObjectRef;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    annotations,
    form::{self, Template},
    metadata, pod, selector, versioned,
};
use crate::{observe::Observed, target::Target};

pub(super) fn template(target: &Target, observed: &Observed, config: &BTreeMap<String, String>) -> Template {
    form::template(observed, |form| pod::template(target, observed.restore.from.is_some(), config, form))
}

const API_VERSION: &str = "apps/v1";
const KIND: &str = "StatefulSet";

/// The manifest. The template of its pods is there in writing already.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    api_version: &'static str,
    kind: &'static str,
    metadata: Value,
    spec: Spec,
}

#[derive(Serialize)]
struct Spec {
    template: Box<RawValue>,
    /// The other fields.
    #[serde(flatten)]
    others: BTreeMap<&'static str, Value>,
}

pub(super) fn reference(target: &Target) -> ObjectRef {
    sdk::reference(API_VERSION, KIND, target.namespace(), &names::stateful_set(target.name()))
}

pub(super) fn stateful_set(target: &Target, observed: &Observed, replicas: i32, template: Template) -> Manifest {
    let mut annotations = annotations(target);
    annotations.insert(names::ANNOTATION_POD_TEMPLATE.to_owned(), template.noted);
    let (when_deleted, when_scaled) = target.spec.storage.retention();
    let (selector, volumes) = (json!({ "matchLabels": selector(target) }), json!([claim_template(target)]));
    let mut others = BTreeMap::from([
        ("replicas", replicas.into()),
        ("serviceName", names::internal_service(target.name()).into()),
        ("selector", selector),
        // All at once: servers come up without each other, and one that is stuck does not keep another from being made again.
        ("podManagementPolicy", "Parallel".into()),
        ("persistentVolumeClaimRetentionPolicy", json!({ "whenDeleted": when_deleted, "whenScaled": when_scaled })),
        ("updateStrategy", update_strategy(target.spec.update_strategy)),
        ("volumeClaimTemplates", volumes),
    ]);
    // What nobody can change on a StatefulSet that exists stays as it is.
    if let Some(there) = &observed.stateful_set {
        let there = &there.body.spec;
        let immutable = [
            ("serviceName", &there.service_name),
            ("selector", &there.selector),
            ("podManagementPolicy", &there.pod_management_policy),
            ("volumeClaimTemplates", &there.volume_claim_templates),
        ];
        for (field, value) in immutable.into_iter().filter(|(_, value)| !value.is_null()) {
            others.insert(field, value.clone());
        }
    }
    let metadata = metadata(target, &names::stateful_set(target.name()), &versioned(target), &annotations);
    Manifest { api_version: API_VERSION, kind: KIND, metadata, spec: Spec { template: template.pods, others } }
}

/// Only where the user wants it so does Kubernetes replace pods: it knows nothing of primaries.
fn update_strategy(strategy: UpdateStrategy) -> Value {
    match strategy {
        UpdateStrategy::RollingUpdate => json!({ "type": "RollingUpdate" }),
        UpdateStrategy::ReplicasFirstPrimaryLast | UpdateStrategy::OnDelete | UpdateStrategy::Never => json!({ "type": "OnDelete" }),
    }
}

fn claim_template(target: &Target) -> Value {
    let storage = &target.spec.storage;
    let mut labels = selector(target);
    labels.insert(names::LABEL_PVC_ROLE.to_owned(), names::PVC_ROLE_DATA.to_owned());
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": { "requests": { "storage": storage.size } },
    });
    if let Some(class) = &storage.storage_class_name {
        spec["storageClassName"] = json!(class);
    }
    if let Some(snapshot) = storage.volume_snapshot.as_deref().filter(|name| !name.is_empty()) {
        spec["dataSource"] = json!({ "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": snapshot });
    }
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": names::PVC_ROLE_DATA, "labels": labels, "annotations": annotations(target) },
        "spec": spec,
    })
}
