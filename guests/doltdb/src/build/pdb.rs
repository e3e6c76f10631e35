//! The PodDisruptionBudget: how many servers may be away while nodes are drained.

use std::collections::BTreeMap;

use crds::names;
use serde_json::{Value, json};

use super::{metadata, selector};
use crate::target::Target;

pub(super) fn pod_disruption_budget(target: &Target) -> Value {
    let wanted = target.spec.pod_disruption_budget.as_ref();
    let mut spec = json!({ "selector": { "matchLabels": selector(target) } });
    match wanted.map(|budget| (&budget.min_available, &budget.max_unavailable)) {
        Some((Some(min), _)) => spec["minAvailable"] = json!(min),
        Some((None, Some(max))) => spec["maxUnavailable"] = json!(max),
        Some((None, None)) | None => spec["minAvailable"] = json!("50%"),
    }
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(target, &names::pod_disruption_budget(target.name()), &BTreeMap::new(), &BTreeMap::new()),
        "spec": spec,
    })
}
