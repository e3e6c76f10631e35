//! The parts of a DoltDB's spec that end up in the servers' configuration: `server`, `globalConfig`, and the `probes`.
//! Each part has its defaults on itself, so a manifest may leave out any level.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Probe, SecretKeySelector};

/// Settings of the Dolt server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Server {
    /// Where clients connect.
    pub listener: Listener,
    /// How servers reach each other.
    pub cluster: Cluster,
    /// Metrics for Prometheus.
    pub metrics: Metrics,
    /// How much the server logs: `trace`, `debug`, `info`, `warning`, `error` or `fatal`. Default: `trace`.
    pub log_level: String,
    /// What the server does on its own.
    pub behavior: Behavior,
    /// Go profiling of the server.
    pub profiler: Profiler,
    /// Lets AI tools use the databases by the Model Context Protocol. Being present turns it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp_server: Option<McpServer>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listener: Listener::default(),
            cluster: Cluster::default(),
            metrics: Metrics::default(),
            log_level: "trace".into(),
            behavior: Behavior::default(),
            profiler: Profiler::default(),
            mcp_server: None,
        }
    }
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Listener {
    /// Address to listen on. Default: `0.0.0.0`, all addresses of the pod.
    pub host: String,
    /// TCP port of the MySQL protocol, in the pods and on the Services. Default: 3306.
    pub port: i32,
    /// Connections that a server accepts at once. Default: 1024.
    pub max_connections: i32,
    /// Offers clients TLS, and lets the operator speak to the servers by it. Absent means plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
}

impl Default for Listener {
    fn default() -> Self {
        Self { host: "0.0.0.0".into(), port: 3306, max_connections: 1024, tls: None }
    }
}

/// The certificate that servers show to clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct ListenerTls {
    /// Secret in the same namespace with `tls.crt`, `tls.key` and `ca.crt`, as cert-manager makes it. The certificate must be good for the
    /// names by which the operator and the clients connect; the operator knows servers by the authority in `ca.crt` and no other. Servers
    /// read it when they start.
    pub secret_name: String,
    /// Whether servers refuse clients without TLS. On a cluster that runs, offer TLS first, and require it when all clients use it.
    /// Default: false.
    pub required: bool,
}

/// How servers reach each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Cluster {
    /// The endpoint by which the primary pushes to its standbys.
    #[serde(rename = "remotesAPI")]
    pub remotes_api: RemotesApi,
}

/// The endpoint by which the primary pushes to its standbys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct RemotesApi {
    /// TCP port. Default: 50051. Must differ from the listener's.
    pub port: i32,
    /// Encrypts what servers send each other, and lets them talk only to servers with a certificate of the same authority. Absent means plain text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<RemotesTls>,
}

impl Default for RemotesApi {
    fn default() -> Self {
        Self { port: 50051, tls: None }
    }
}

/// Certificates of the servers among themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct RemotesTls {
    /// Secret in the same namespace with `tls.crt`, `tls.key` and `ca.crt`, as cert-manager makes it. Whoever has a certificate of this
    /// authority is taken for a server of the cluster, so it should have no other use. Servers read it when they start.
    pub secret_name: String,
}

/// Metrics for Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Metrics {
    /// Whether each server offers metrics. Default: false.
    pub enabled: bool,
    /// Labels that each metric carries.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Address to listen on. Default: `0.0.0.0`.
    pub host: String,
    /// TCP port. Default: 11228.
    pub port: i32,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: false, labels: BTreeMap::new(), host: "0.0.0.0".into(), port: 11228 }
    }
}

/// What the server does on its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Behavior {
    /// Collection of garbage in the storage files.
    #[serde(rename = "autoGCBehavior")]
    pub auto_gc_behavior: AutoGcBehavior,
}

/// Collection of garbage in the storage files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct AutoGcBehavior {
    /// Whether the server collects garbage by itself. Default: false.
    pub enabled: bool,
}

/// Go profiling of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Profiler {
    /// Whether each server profiles its memory and offers pprof on port 6060. Default: false.
    #[serde(rename = "enablePProf")]
    pub enable_pprof: bool,
}

/// Lets AI tools use the databases by the Model Context Protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct McpServer {
    /// TCP port, in the pods and on the Services. Default: 7007.
    pub port: i32,
    /// SQL user that the tools act as. Default: the admin of the credentials Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Password of that user, from a Secret in the same namespace. Default: the admin's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_secret_key_ref: Option<SecretKeySelector>,
    /// Database that the tools start in. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

impl Default for McpServer {
    fn default() -> Self {
        Self { port: 7007, user: None, password_secret_key_ref: None, database: None }
    }
}

/// Settings of the `dolt` command that hold for all databases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct GlobalConfig {
    /// Whether Dolt keeps its usage statistics from its makers. Default: false, they are sent.
    pub disable_client_usage_metrics_collection: bool,
    /// Author of commits for which a client names none.
    pub commit_author: CommitAuthor,
}

/// Author of commits for which a client names none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct CommitAuthor {
    /// Name. Default: `dolt kubernetes deployment`.
    pub name: String,
    /// Address. Default: `dolt@kubernetes.deployment`.
    pub email: String,
}

impl Default for CommitAuthor {
    fn default() -> Self {
        Self { name: "dolt kubernetes deployment".into(), email: "dolt@kubernetes.deployment".into() }
    }
}

/// When the kubelet asks whether a server lives and is ready. Only the timing fields count, the question itself is the operator's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Probes {
    /// A server that fails it is restarted. Default: first after 15 seconds, then every 40. Only the timing fields are used.
    pub liveness_probe: Probe,
    /// A server that fails it gets no traffic. Default: first after 15 seconds, then every 40. Only the timing fields are used.
    pub readiness_probe: Probe,
}

impl Default for Probes {
    fn default() -> Self {
        let probe = Probe(json!({"initialDelaySeconds": 15, "periodSeconds": 40}));
        Self { liveness_probe: probe.clone(), readiness_probe: probe }
    }
}
