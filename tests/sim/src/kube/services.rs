//! Services: which pods are behind each.

use std::collections::BTreeMap;

use super::kubelet::labels;
use crate::world::World;

impl World {
    /// Ready pods by Service, as the API server would tell them now.
    pub(crate) fn endpoints(&self) -> BTreeMap<String, Vec<String>> {
        let mut endpoints = BTreeMap::new();
        for (key, service) in self.api.all("Service") {
            let Some(selector) = service.body["spec"]["selector"].as_object() else { continue };
            let pods = self.api.all("Pod").filter(|(_, pod)| {
                let labels = labels(&pod.body);
                let ready = pod.body["status"]["conditions"].as_array().into_iter().flatten();
                let ready = ready.filter(|c| c["type"] == "Ready").any(|c| c["status"] == "True");
                ready
                    && !pod.header.deleting
                    && pod.header.namespace == key.namespace
                    && selector.iter().all(|(name, value)| labels.get(name.as_str()).copied() == value.as_str())
            });
            endpoints.insert(key.name.clone(), pods.map(|(_, pod)| pod.header.name.clone()).collect());
        }
        endpoints
    }
}
