//! The PodDisruptionBudget: how many servers may be away while nodes are drained.

use crds::names;
use sdk::{Fields, Json, object};

use super::{amount, metadata, selector};
use crate::target::Target;

pub(super) fn pod_disruption_budget(target: &Target) -> Fields<'_> {
    let wanted = target.spec.pod_disruption_budget.as_ref();
    let (field, pods) = match wanted.map(|budget| (&budget.min_available, &budget.max_unavailable)) {
        Some((Some(min), _)) => ("minAvailable", amount(min)),
        Some((None, Some(max))) => ("maxUnavailable", amount(max)),
        Some((None, None)) | None => ("minAvailable", Json::from("50%")),
    };
    let mut spec = object! { "selector": object! { "matchLabels": selector(target) } };
    spec.set(field, pods);
    object! {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(target, names::pod_disruption_budget(target.name()), Fields::default(), Fields::default()),
        "spec": spec,
    }
}
