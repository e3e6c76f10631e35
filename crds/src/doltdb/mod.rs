//! DoltDB: a Dolt server, alone or as a primary with standbys. This file owns the spec; its parts are in the files beside it.

mod ignored;
mod replication;
mod server;
mod status;
mod storage;
pub(crate) mod validate;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use replication::{PrimarySpec, Replication, ReplicationSpec, ReplicationStrategy, UpdateStrategy};
pub use server::{
    AutoGcBehavior, Behavior, Cluster, CommitAuthor, GlobalConfig, Listener, ListenerTls, McpServer, Metrics, Probes, Profiler, RemotesApi,
    RemotesTls, Server,
};
pub use status::{
    DoltDBStatus, KeptData, LastPrimaryChange, ListenerTlsStatus, PrimaryChanges, ReplicationLag, ReplicationRole, Transition,
};
pub use storage::{PodDisruptionBudget, RetentionPolicy, Storage};

use crate::{
    Affinity, EnvVar, Kind, LocalObjectReference, Object, PodSecurityContext, ResourceRequirements, SecurityContext, Toleration,
    TopologySpreadConstraint,
};

/// A Dolt server or a replicated cluster of them.
pub type DoltDB = Object<DoltDBSpec>;

impl Kind for DoltDBSpec {
    const KIND: &'static str = "DoltDB";
    const PLURAL: &'static str = "doltdbs";
    const SINGULAR: &'static str = "doltdb";
    type Status = DoltDBStatus;
}

/// The Dolt cluster that is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct DoltDBSpec {
    /// Version of Dolt, used as tag of the image: `1.83.2`. A change updates the pods as `updateStrategy` says.
    pub engine_version: String,
    /// Image without a tag. Default: `dolthub/dolt`. The pods run `<image>:<engineVersion>`.
    pub image: String,
    /// Secrets in the same namespace with credentials for the image's registry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Number of servers, each with a volume of its own. Default: 1. More than one is useful with `replication.enabled` only: without it
    /// they are independent servers behind one Service. At most 50 can replicate.
    pub replicas: i32,
    /// Size and handling of the volumes.
    pub storage: Storage,
    /// One server takes writes, the others follow it. Absent means no replication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replication: Option<ReplicationSpec>,
    /// How servers of a cluster stay in step. Only `DirectStandby` has an effect, the condition `SpecHonored` says so of others.
    pub replication_strategy: ReplicationStrategy,
    /// Order in which pods are replaced when their template changes.
    pub update_strategy: UpdateStrategy,
    /// Reserved: true has no effect, as the condition `SpecHonored` says.
    pub auto_minor_version_upgrade: bool,
    /// Settings of the Dolt server.
    pub server: Server,
    /// Settings of the `dolt` command that hold for all databases.
    pub global_config: GlobalConfig,
    /// When the kubelet asks whether a server lives and is ready. Absent means timings chosen by the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    /// CPU and memory of the server's container. Default: requests of 4 CPUs and 2Gi, limit of 8Gi memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Environment variables of the server and of its init container, after those that the operator sets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Seconds that a server gets to end before it is killed. Default: 60.
    pub termination_grace_period_seconds: i64,
    /// How many pods may be away at once while nodes are drained. Absent means that half of them stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_disruption_budget: Option<PodDisruptionBudget>,
    /// Name of the pods' ServiceAccount, made if it does not exist. Default: the name of this DoltDB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Annotations of that ServiceAccount, for instance to give it a cloud identity.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub service_account_annotations: BTreeMap<String, String>,
    /// Security settings of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,
    /// Security settings of the containers. Default: none beside those of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_security_context: Option<SecurityContext>,
    /// Annotations of the pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_annotations: BTreeMap<String, String>,
    /// Which nodes and which neighbours the pods want or avoid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Taints of nodes that the pods put up with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Labels that a node must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// How pods are spread over zones and nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Other namespaces whose objects may refer to this DoltDB by `doltDBRef`; `*` for all. Whoever may make such objects there rules the
    /// databases and accounts here, as an administrator does. Default: none, only objects of this DoltDB's own namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_namespaces: Vec<String>,
    /// Deprecated and without effect: set `server.listener.maxConnections`. Default: 128. Of another value the condition `SpecHonored` says
    /// so.
    pub max_connections: i32,
}

impl Default for DoltDBSpec {
    fn default() -> Self {
        Self {
            engine_version: String::new(),
            image: "dolthub/dolt".into(),
            image_pull_secrets: Vec::new(),
            replicas: 1,
            storage: Storage::default(),
            replication: None,
            replication_strategy: ReplicationStrategy::default(),
            update_strategy: UpdateStrategy::default(),
            auto_minor_version_upgrade: false,
            server: Server::default(),
            global_config: GlobalConfig::default(),
            probes: None,
            resources: None,
            env: Vec::new(),
            termination_grace_period_seconds: 60,
            pod_disruption_budget: None,
            service_account_name: None,
            service_account_annotations: BTreeMap::new(),
            security_context: None,
            container_security_context: None,
            pod_annotations: BTreeMap::new(),
            affinity: None,
            tolerations: Vec::new(),
            node_selector: BTreeMap::new(),
            topology_spread_constraints: Vec::new(),
            allowed_namespaces: Vec::new(),
            max_connections: 128,
        }
    }
}

impl DoltDBSpec {
    /// Number of servers, at least one, and no more than there may be: a number beyond that is a mistake, and nobody counts so far.
    pub fn replicas(&self) -> i32 {
        self.replicas.clamp(1, validate::MOST)
    }

    /// `spec.replication` with its defaults.
    pub fn replication(&self) -> Replication {
        self.replication.as_ref().map(ReplicationSpec::resolve).unwrap_or_default()
    }

    /// Whether objects of another namespace may refer to this DoltDB.
    pub fn allows(&self, namespace: &str) -> bool {
        self.allowed_namespaces.iter().any(|allowed| allowed == "*" || allowed == namespace)
    }

    /// Image with its tag.
    pub fn full_image(&self) -> String {
        format!("{}:{}", self.image, self.engine_version)
    }

    /// Name of the ServiceAccount, given the DoltDB's name.
    pub fn service_account<'a>(&'a self, n: &'a str) -> &'a str {
        self.service_account_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(n)
    }
}
