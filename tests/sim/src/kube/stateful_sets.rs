//! StatefulSets with pods started in parallel: missing pods and claims are made, superfluous ones deleted, the status is kept.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use host::{cluster::Stored, gateway::ObjectKey};
use serde_json::json;

use crate::{
    api::{controller, key},
    world::{World, clock},
};

const REVISION: &str = "controller-revision-hash";

impl World {
    pub(super) fn run_stateful_sets(&mut self) {
        let sets: Vec<(ObjectKey, Arc<Stored>)> =
            self.api.all("StatefulSet").filter(|(_, set)| !set.header.deleting).map(|(key, set)| (key.clone(), set.clone())).collect();
        for (key, set) in sets {
            self.run_stateful_set(&key, &set);
        }
    }

    fn run_stateful_set(&mut self, set_key: &ObjectKey, set: &Stored) {
        let spec = &set.body["spec"];
        let wanted = spec["replicas"].as_i64().unwrap_or(1);
        let revision = self.revision(set);
        let pods: Vec<(i64, Arc<Stored>)> = self
            .api
            .all("Pod")
            .filter(|(_, pod)| controller(&pod.body) == Some(&set.header.uid))
            .filter_map(|(_, pod)| Some((pod.header.name.rsplit_once('-')?.1.parse().ok()?, pod.clone())))
            .collect();
        for ordinal in (0..wanted).filter(|ordinal| !pods.iter().any(|(o, _)| o == ordinal)) {
            self.make_pod(set, ordinal, &revision);
        }
        for (_, pod) in pods.iter().filter(|(ordinal, _)| *ordinal >= wanted) {
            self.api.delete(&pod.key(), Some(&pod.header.uid));
        }
        if spec["persistentVolumeClaimRetentionPolicy"]["whenScaled"] == "Delete" {
            self.release_claims(set, wanted, &pods);
        }
        let is_ready = |pod: &Stored| {
            let conditions = pod.body["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
        };
        let is_current = |pod: &Stored| pod.header.labels.iter().any(|(name, value)| name == REVISION && *value == revision);
        let ready = pods.iter().filter(|(_, pod)| is_ready(pod) && !pod.header.deleting).count();
        let complete = i64::try_from(ready).unwrap_or_default() == wanted;
        if spec["updateStrategy"]["type"] == "RollingUpdate"
            && complete
            && let Some((_, pod)) = pods.iter().filter(|(_, pod)| !is_current(pod)).max_by_key(|(ordinal, _)| *ordinal)
        {
            self.api.delete(&pod.key(), Some(&pod.header.uid));
        }
        let status = json!({
            "observedGeneration": set.header.generation,
            "replicas": pods.len(),
            "readyReplicas": ready,
            "updatedReplicas": pods.iter().filter(|(_, pod)| is_current(pod)).count(),
            "updateRevision": revision,
        });
        self.api.set_status(set_key, status);
    }

    /// [`revision`], worked out once for each generation.
    pub(crate) fn revision(&mut self, set: &Stored) -> String {
        let known = self.revisions.get(&set.header.uid).filter(|(generation, _)| *generation == set.header.generation);
        if let Some((_, revision)) = known {
            return revision.clone();
        }
        let revision = revision(set);
        self.revisions.insert(set.header.uid.clone(), (set.header.generation, revision.clone()));
        revision
    }

    fn make_pod(&mut self, set: &Stored, ordinal: i64, revision: &str) {
        let now = clock(self.now);
        let header = &set.header;
        let name = format!("{}-{ordinal}", header.name);
        for template in set.body["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
            let claim = format!("{}-{name}", template["metadata"]["name"].as_str().unwrap_or_default());
            self.api.create(
                json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "metadata": {
                        "name": claim, "namespace": header.namespace, "labels": template["metadata"]["labels"],
                        "annotations": {"volume.kubernetes.io/storage-provisioner": super::DRIVER},
                    },
                    "spec": template["spec"], "status": {"phase": "Bound"},
                }),
                now,
            );
        }
        let template = &set.body["spec"]["template"];
        let mut labels = template["metadata"]["labels"].clone();
        labels[REVISION] = revision.into();
        labels["statefulset.kubernetes.io/pod-name"] = name.as_str().into();
        labels["apps.kubernetes.io/pod-index"] = ordinal.to_string().into();
        let owner = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": header.name, "uid": header.uid, "controller": true});
        self.api.create(
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": name, "namespace": header.namespace, "labels": labels, "annotations": template["metadata"]["annotations"],
                    "ownerReferences": [owner],
                },
                "spec": {"volumes": template["spec"]["volumes"]},
                "status": {"phase": "Pending"},
            }),
            now,
        );
    }

    /// Claims of pods that a smaller number has removed.
    fn release_claims(&mut self, set: &Stored, wanted: i64, pods: &[(i64, Arc<Stored>)]) {
        for template in set.body["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
            let volume = template["metadata"]["name"].as_str().unwrap_or_default();
            for ordinal in (wanted..wanted + 16).filter(|ordinal| !pods.iter().any(|(o, _)| o == ordinal)) {
                let claim = format!("{volume}-{}-{ordinal}", set.header.name);
                if self.api.remove(&key("v1", "PersistentVolumeClaim", &set.header.namespace, &claim)) {
                    self.dolt.wipe(&claim);
                }
            }
        }
    }
}

/// The revision of the template that a StatefulSet has now, whether or not its controller has seen it.
pub(crate) fn revision(set: &Stored) -> String {
    let mut hasher = DefaultHasher::new();
    set.body["spec"]["template"].hash(&mut hasher);
    format!("{:010x}", hasher.finish() & 0xff_ffff_ffff)
}
