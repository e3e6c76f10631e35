//! The StatefulSet and the template of its volumes.

use std::collections::BTreeMap;

use crds::{UpdateStrategy, names};
use sdk::{Fields, Json, list, object};

use super::{
    amount, annotations, config,
    form::{self, Template},
    metadata, pod, selector, versioned,
};
use crate::{observe::Observed, target::Target};

pub(super) fn template(target: &Target, observed: &Observed, config: &BTreeMap<String, String>) -> Template {
    let config = config::noted(target, observed, config);
    form::template(observed, |form| pod::template(target, observed.restore.from.is_some(), config.as_deref(), form))
}

pub(super) fn stateful_set<'a>(target: &'a Target, observed: &'a Observed, replicas: i32, template: &'a Template) -> Fields<'a> {
    let mut annotations = annotations(target);
    annotations.set(names::ANNOTATION_POD_TEMPLATE, &template.noted);
    let (when_deleted, when_scaled) = target.spec.storage.retention();
    let mut spec = object! {
        "replicas": replicas,
        "serviceName": names::internal_service(target.name()),
        "selector": object! { "matchLabels": selector(target) },
        // It is there in writing already.
        "template": Json::Written(template.pods.as_str().into()),
        // All at once: servers come up without each other, and one that is stuck does not keep another from being made again.
        "podManagementPolicy": "Parallel",
        "persistentVolumeClaimRetentionPolicy": object! { "whenDeleted": when_deleted, "whenScaled": when_scaled },
        "updateStrategy": object! { "type": update_strategy(target.spec.update_strategy) },
        "volumeClaimTemplates": list![claim_template(target)],
    };
    // What nobody can change on a StatefulSet that exists stays as it is.
    if let Some(there) = &observed.stateful_set {
        let there = &there.body.spec;
        let immutable = [
            ("serviceName", &there.service_name),
            ("selector", &there.selector),
            ("podManagementPolicy", &there.pod_management_policy),
            ("volumeClaimTemplates", &there.volume_claim_templates),
        ];
        spec.extend(immutable.into_iter().filter(|(_, value)| !value.is_null()));
    }
    object! {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(target, names::stateful_set(target.name()), versioned(target), annotations),
        "spec": spec,
    }
}

/// Only where the user wants it so does Kubernetes replace pods: it knows nothing of primaries.
fn update_strategy(strategy: UpdateStrategy) -> &'static str {
    match strategy {
        UpdateStrategy::RollingUpdate => "RollingUpdate",
        UpdateStrategy::ReplicasFirstPrimaryLast | UpdateStrategy::OnDelete | UpdateStrategy::Never => "OnDelete",
    }
}

fn claim_template(target: &Target) -> Fields<'_> {
    let storage = &target.spec.storage;
    let mut labels = selector(target);
    labels.set(names::LABEL_PVC_ROLE, names::PVC_ROLE_DATA);
    let mut spec = object! {
        "accessModes": list!["ReadWriteOnce"],
        "resources": object! { "requests": object! { "storage": amount(&storage.size.0) } },
    };
    if let Some(class) = &storage.storage_class_name {
        spec.set("storageClassName", class);
    }
    if let Some(snapshot) = storage.volume_snapshot.as_deref().filter(|name| !name.is_empty()) {
        spec.set("dataSource", object! { "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": snapshot });
    }
    object! {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": object! { "name": names::PVC_ROLE_DATA, "labels": labels, "annotations": annotations(target) },
        "spec": spec,
    }
}
