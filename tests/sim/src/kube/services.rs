//! Services: which pods are behind each.

use std::collections::BTreeMap;

use host::{cluster::Stored, contract::Header};
use serde_json::Value;

use crate::world::World;

impl World {
    /// Ready pods by Service, as the API server would tell them now.
    pub(crate) fn endpoints(&self) -> BTreeMap<String, Vec<String>> {
        let is_ready = |pod: &Stored| {
            let mut conditions = pod.body["status"]["conditions"].as_array().into_iter().flatten();
            !pod.header.deleting && conditions.any(|c| c["type"] == "Ready" && c["status"] == "True")
        };
        let ready: Vec<_> = self.api.all("Pod").filter(|(_, pod)| is_ready(pod)).map(|(_, pod)| &pod.header).collect();
        let mut endpoints = BTreeMap::new();
        for (key, service) in self.api.all("Service") {
            let Some(selector) = service.body["spec"]["selector"].as_object() else { continue };
            let has = |pod: &Header, name: &String, value: &Value| pod.labels.iter().any(|label| label.0 == *name && label.1 == *value);
            let pods =
                ready.iter().filter(|pod| pod.namespace == key.namespace && selector.iter().all(|(name, value)| has(pod, name, value)));
            endpoints.insert(key.name.clone(), pods.map(|pod| pod.name.clone()).collect());
        }
        endpoints
    }
}
