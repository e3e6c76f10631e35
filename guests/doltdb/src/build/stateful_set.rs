//! The StatefulSet and the template of its volumes.

use std::collections::BTreeMap;

use crds::{UpdateStrategy, names};
use sdk::{Json, Manifest, With, Written, list, object};
use serde_json::value::RawValue;

use super::{
    amount, annotations, child, config,
    form::{self, Template},
    metadata, pod, selector, versioned,
};
use crate::{observe::Observed, target::Target};

pub(super) fn template(target: &Target, observed: &Observed, config: &BTreeMap<String, String>) -> Template {
    let config = config::noted(target, observed, config);
    form::template(observed, |form| {
        let mut written = String::with_capacity(pod::ROOM);
        pod::template(target, observed.restore.from.is_some(), config.as_deref(), form).write(&mut written);
        written
    })
}

pub(super) fn stateful_set(target: &Target, observed: &Observed, replicas: i32, template: &Template) -> Manifest {
    let name = names::stateful_set(target.name());
    let mut annotations = annotations(target);
    annotations.insert(names::ANNOTATION_POD_TEMPLATE, (&template.noted).into());
    let (when_deleted, when_scaled) = target.spec.storage.retention();
    let there = observed.stateful_set.as_ref().map(|set| &set.body.spec);
    let spec = object! {
        "persistentVolumeClaimRetentionPolicy": object! { "whenDeleted": when_deleted, "whenScaled": when_scaled },
        // All at once: servers come up without each other, and one that is stuck does not keep another from being made again.
        "podManagementPolicy": fixed(there.and_then(|there| there.pod_management_policy.as_deref()), "Parallel"),
        "replicas": replicas,
        "selector": fixed(there.and_then(|there| there.selector.as_deref()), object! { "matchLabels": &selector(target) }),
        "serviceName": fixed(there.and_then(|there| there.service_name.as_deref()), names::internal_service(target.name())),
        // It is there in writing already.
        "template": Written(&template.pods),
        "updateStrategy": object! { "type": update_strategy(target.spec.update_strategy) },
        "volumeClaimTemplates": fixed(there.and_then(|there| there.volume_claim_templates.as_deref()), list![claim_template(target)]),
    };
    let object = child(target, "apps/v1", "StatefulSet", &name);
    let body = object! {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(target, &name, versioned(target), annotations),
        "spec": spec,
    };
    let mut written = String::with_capacity(template.pods.len() + 4_096);
    body.write(&mut written);
    Manifest { object, body: written }
}

/// What nobody can change on a StatefulSet that exists stays as it is.
fn fixed(there: Option<&RawValue>, wanted: impl Json) -> impl Json {
    With(move |out: &mut String| match there {
        Some(there) => Written(there.get()).write(out),
        None => wanted.write(out),
    })
}

/// Only where the user wants it so does Kubernetes replace pods: it knows nothing of primaries.
fn update_strategy(strategy: UpdateStrategy) -> &'static str {
    match strategy {
        UpdateStrategy::RollingUpdate => "RollingUpdate",
        UpdateStrategy::ReplicasFirstPrimaryLast | UpdateStrategy::OnDelete | UpdateStrategy::Never => "OnDelete",
    }
}

fn claim_template(target: &Target) -> impl Json {
    let storage = &target.spec.storage;
    let mut labels = selector(target);
    labels.insert(names::LABEL_PVC_ROLE, names::PVC_ROLE_DATA.into());
    let snapshot = storage.volume_snapshot.as_deref().filter(|name| !name.is_empty());
    object! {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": object! { "annotations": &annotations(target), "labels": &labels, "name": names::PVC_ROLE_DATA },
        "spec": object! {
            "accessModes": list!["ReadWriteOnce"],
            "dataSource": snapshot.map(|name| {
                object! { "apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": name }
            }),
            "resources": object! { "requests": object! { "storage": amount(&storage.size.0) } },
            "storageClassName": storage.storage_class_name.as_ref(),
        },
    }
}
