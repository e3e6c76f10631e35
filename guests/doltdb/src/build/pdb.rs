//! The PodDisruptionBudget: how many servers may be away while nodes are drained.

use crds::{IntOrString, names};
use sdk::{Json, Manifest, object};

use super::{Texts, amount, child, metadata, selector};
use crate::target::Target;

/// How many stay where the user says nothing.
const HALF: &str = "50%";

pub(super) fn pod_disruption_budget(target: &Target) -> Manifest {
    let half = IntOrString::String(HALF.to_owned());
    let (min, max) = match target.spec.pod_disruption_budget.as_ref().map(|budget| (&budget.min_available, &budget.max_unavailable)) {
        Some((Some(min), _)) => (Some(min), None),
        Some((None, Some(max))) => (None, Some(max)),
        Some((None, None)) | None => (Some(&half), None),
    };
    let name = names::pod_disruption_budget(target.name());
    let object = child(target, "policy/v1", "PodDisruptionBudget", &name);
    let body = object! {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(target, &name, Texts::new(), Texts::new()),
        "spec": object! {
            "maxUnavailable": max.map(amount),
            "minAvailable": min.map(amount),
            "selector": object! { "matchLabels": &selector(target) },
        },
    };
    Manifest { object, body: body.written() }
}
