//! The pods of a DoltDB, as Kubernetes tells of them: what keeps one from running, since when its server runs.
//!
//! It knows nothing of what the servers in them say.

use std::collections::BTreeMap;

use crds::names;
use sdk::{Failure, Owners, Selector, Timestamp, Typed, World, parse_rfc3339};
use serde::Deserialize;

use crate::{listener::Tls, target::Target};

/// The name of the container with the server.
const SERVER: &str = names::SERVER_CONTAINER;

/// The pods of a StatefulSet by ordinal.
pub(crate) type Pods = BTreeMap<i32, Typed<Pod>>;

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
    owner_references: Owners,
    annotations: Annotations,
    creation_timestamp: Option<String>,
}

/// The annotations that the pods are made with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "k8s.dolthub.com/configmap-hash")]
    config_hash: Option<String>,
    #[serde(rename = "k8s.dolthub.com/replication")]
    replication: Option<String>,
    #[serde(rename = "k8s.dolthub.com/listener-tls")]
    listener_tls: Option<String>,
    #[serde(rename = "k8s.dolthub.com/self-fencing")]
    self_fencing: Option<String>,
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
    kind: ConditionKind,
    status: ConditionStatus,
    message: String,
    #[serde(rename = "lastTransitionTime")]
    since: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
enum ConditionKind {
    Ready,
    PodScheduled,
    #[default]
    #[serde(other)]
    Other,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
enum ConditionStatus {
    True,
    False,
    #[default]
    #[serde(other)]
    Unknown,
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
#[serde(default, rename_all = "camelCase")]
struct Terminated {
    finished_at: Option<String>,
    message: String,
}

/// What a container said at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// When that was, by the node's clock.
    pub(crate) at: Timestamp,
    /// The message; an init container that says nothing has an empty one.
    pub(crate) text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: String,
    message: String,
}

impl Pod {
    /// Whether it counts as ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|c| c.kind == ConditionKind::Ready && c.status == ConditionStatus::True)
    }

    /// Since when it does not count as ready.
    pub(crate) fn unready_since(&self) -> Option<Timestamp> {
        let condition = self.status.conditions.iter().find(|c| c.kind == ConditionKind::Ready && c.status != ConditionStatus::True)?;
        parse_rfc3339(condition.since.as_deref()?)
    }

    /// Whether its server has answered once since the container began.
    pub(crate) fn is_started(&self) -> bool {
        self.server().is_some_and(|c| c.started)
    }

    /// Since when its server runs without a break.
    pub(crate) fn running_since(&self) -> Option<Timestamp> {
        parse_rfc3339(self.server()?.state.running.as_ref()?.started_at.as_deref()?)
    }

    /// The hash of the configuration that it was made for.
    pub(crate) fn config_hash(&self) -> Option<&str> {
        self.metadata.annotations.config_hash.as_deref()
    }

    /// Whether it was made for a DoltDB with replication, if it says so.
    pub(crate) fn replicates(&self) -> Option<bool> {
        self.metadata.annotations.replication.as_ref().map(|value| value == "true")
    }

    /// The TLS that its server offers clients, if it does.
    pub(crate) fn listener_tls(&self) -> Option<Tls> {
        Tls::of(self.metadata.annotations.listener_tls.as_ref()?)
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

    /// After how many seconds its server has ended itself when it is primary and cut off; none where it does not.
    pub(crate) fn self_fencing(&self) -> Option<u64> {
        self.metadata.annotations.self_fencing.as_ref()?.strip_suffix('s')?.parse().ok()
    }

    /// What its containers said when they ended, in this order. A server that ends by itself says nothing.
    pub(crate) fn said(&self) -> Vec<Said> {
        let said = |ended: &Terminated| Some(Said { at: parse_rfc3339(ended.finished_at.as_deref()?)?, text: ended.message.clone() });
        let prepared = self.status.init_container_statuses.iter().filter_map(|c| c.state.terminated.as_ref());
        let servers = self.server().into_iter().flat_map(|c| [&c.last_state.terminated, &c.state.terminated]).flatten();
        prepared.chain(servers.filter(|ended| !ended.message.is_empty())).filter_map(said).collect()
    }

    /// Why its server ended itself, if it did so last.
    pub(crate) fn last_words(&self) -> Option<&str> {
        let server = self.server()?;
        let ended = server.state.terminated.as_ref().or(server.last_state.terminated.as_ref())?;
        ended.message.lines().next()
    }

    fn server(&self) -> Option<&ContainerStatus> {
        self.status.container_statuses.iter().find(|c| c.name == SERVER)
    }

    /// What keeps it from running, if Kubernetes says so.
    pub(crate) fn trouble(&self) -> Option<String> {
        let unscheduled = |c: &&PodCondition| c.kind == ConditionKind::PodScheduled && c.status == ConditionStatus::False;
        if let Some(condition) = self.status.conditions.iter().find(unscheduled) {
            return Some(format!("not scheduled: {}", condition.message));
        }
        let containers = self.status.init_container_statuses.iter().chain(&self.status.container_statuses);
        containers.filter_map(|c| c.state.waiting.as_ref().map(|waiting| (c, waiting))).find_map(|(container, waiting)| {
            let ordinary = matches!(waiting.reason.as_str(), "" | "PodInitializing" | "ContainerCreating");
            let words =
                self.last_words().filter(|_| container.name == SERVER).map(|words| format!("; it said: {words}")).unwrap_or_default();
            (!ordinary).then(|| format!("container {}: {}: {}{words}", container.name, waiting.reason, waiting.message))
        })
    }
}

/// The pods of the StatefulSet of this uid; of one that is `released`, also those that nobody controls by now.
pub(crate) fn pods(world: &dyn World, target: &Target, stateful_set: &str, released: bool) -> Result<Pods, Failure> {
    let selector = Selector::new("v1", "Pod", target.namespace()).label(names::LABEL_NAME, target.name()).fields(&[
        "/metadata/ownerReferences",
        "/metadata/annotations/k8s.dolthub.com~1replication",
        "/metadata/annotations/k8s.dolthub.com~1configmap-hash",
        "/metadata/creationTimestamp",
        "/metadata/annotations/k8s.dolthub.com~1self-fencing",
        "/metadata/annotations/k8s.dolthub.com~1listener-tls",
        "/status/conditions/type",
        "/status/conditions/status",
        "/status/conditions/message",
        "/status/conditions/lastTransitionTime",
        "/status/containerStatuses/name",
        "/status/containerStatuses/started",
        "/status/containerStatuses/state",
        "/status/containerStatuses/lastState/terminated/finishedAt",
        "/status/containerStatuses/lastState/terminated/message",
        "/status/initContainerStatuses/name",
        "/status/initContainerStatuses/state/waiting",
        "/status/initContainerStatuses/state/terminated/finishedAt",
        "/status/initContainerStatuses/state/terminated/message",
    ]);
    let pods = world.select_as::<Pod>(&selector)?;
    // The selector's label is a common one: what counts is who controls the pod.
    let is_ours = |pod: &Typed<Pod>| match pod.body.metadata.owner_references.controller() {
        Some(owner) => owner.uid == stateful_set,
        None => released && names::ordinal(&pod.header.name).is_some_and(|ordinal| pod.header.name == target.pod(ordinal)),
    };
    let ours = pods.into_iter().filter(is_ours);
    Ok(ours.filter_map(|pod| Some((names::ordinal(&pod.header.name)?, pod))).collect())
}
