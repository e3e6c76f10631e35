//! The pods of a DoltDB, as Kubernetes tells of them: what keeps one from running, since when its server runs.
//!
//! It knows nothing of what the servers in them say.

use std::collections::BTreeMap;

use crds::names;
use sdk::{Failure, Selector, Timestamp, Typed, World, parse_rfc3339};
use serde::Deserialize;

use crate::{observe::Owner, target::Target};

/// The name of the container with the server.
const SERVER: &str = "dolt";

/// The parts of a Pod that are of concern.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    metadata: PodMetadata,
    status: PodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodMetadata {
    owner_references: Vec<Owner>,
    creation_timestamp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    conditions: Vec<PodCondition>,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    started: bool,
    state: ContainerState,
    last_state: ContainerState,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    waiting: Option<Waiting>,
    running: Option<Running>,
    terminated: Option<Terminated>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Running {
    started_at: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Terminated {}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: String,
    message: String,
}

impl Pod {
    /// Whether it counts as ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|c| c.kind == "Ready" && c.status == "True")
    }

    /// Whether its server has answered once since the container began.
    pub(crate) fn is_started(&self) -> bool {
        self.server().is_some_and(|c| c.started)
    }

    /// Since when its server runs without a break.
    pub(crate) fn running_since(&self) -> Option<Timestamp> {
        parse_rfc3339(self.server()?.state.running.as_ref()?.started_at.as_deref()?)
    }

    /// When it was made, maybe in the place of another.
    pub(crate) fn made_at(&self) -> Option<Timestamp> {
        parse_rfc3339(self.metadata.creation_timestamp.as_deref()?)
    }

    /// Whether a server has run in this very pod and ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.server().is_some_and(|c| c.last_state.terminated.is_some() || c.state.terminated.is_some())
    }

    /// Whether its server has ended and is not back.
    pub(crate) fn is_at_its_end(&self) -> bool {
        self.server().is_some_and(|c| c.state.terminated.is_some())
    }

    fn server(&self) -> Option<&ContainerStatus> {
        self.status.container_statuses.iter().find(|c| c.name == SERVER)
    }

    /// What keeps it from running, if Kubernetes says so.
    pub(crate) fn trouble(&self) -> Option<String> {
        let unscheduled = self.status.conditions.iter().find(|c| c.kind == "PodScheduled" && c.status == "False");
        if let Some(condition) = unscheduled {
            return Some(format!("not scheduled: {}", condition.message));
        }
        let containers = self.status.init_container_statuses.iter().chain(&self.status.container_statuses);
        containers.filter_map(|c| c.state.waiting.as_ref().map(|waiting| (c, waiting))).find_map(|(container, waiting)| {
            let ordinary = matches!(waiting.reason.as_str(), "" | "PodInitializing" | "ContainerCreating");
            (!ordinary).then(|| format!("container {}: {}: {}", container.name, waiting.reason, waiting.message))
        })
    }
}

pub(crate) fn pods(world: &dyn World, target: &Target, stateful_set: &str) -> Result<BTreeMap<i32, Typed<Pod>>, Failure> {
    let selector = Selector::new("v1", "Pod", target.namespace()).label(names::LABEL_NAME, target.name()).fields(&[
        "/metadata/ownerReferences",
        "/metadata/creationTimestamp",
        "/status/conditions/type",
        "/status/conditions/status",
        "/status/conditions/message",
        "/status/containerStatuses/name",
        "/status/containerStatuses/started",
        "/status/containerStatuses/state",
        "/status/containerStatuses/lastState/terminated/finishedAt",
        "/status/initContainerStatuses/name",
        "/status/initContainerStatuses/state/waiting",
    ]);
    let pods = world.select_as::<Pod>(&selector)?;
    // The selector's label is a common one: what counts is who controls the pod.
    let ours =
        pods.into_iter().filter(|pod| pod.body.metadata.owner_references.iter().any(|owner| owner.controller && owner.uid == stateful_set));
    Ok(ours.filter_map(|pod| Some((names::ordinal(&pod.header.name)?, pod))).collect())
}
