//! What a spec must satisfy beyond its types. The API server checks the same rules at apply; objects stored before the
//! rules existed are caught here, with the same words.

use super::{DoltDBSpec, replication::FAILOVER_DELAY};
use crate::{FieldError, parse_duration};

const LISTENER: &str = "spec.server.listener.port";
const REMOTES: &str = "spec.server.cluster.remotesAPI.port";
const MCP: &str = "spec.server.mcpServer.port";
const REQUIRED: &str = "spec.server.listener.tls.required";
const METRICS: &str = "spec.server.metrics.port";
const INDEX: &str = "spec.replication.primary.podIndex";
const REPLICAS: &str = "spec.replicas";

/// The most servers that can replicate: the configurations, in which each names all others, have to fit into one ConfigMap.
pub(crate) const MOST_REPLICATED: i32 = 50;
/// The most servers of their own, for the same reason.
pub(crate) const MOST: i32 = 500;
/// That reason.
pub(crate) const TOO_MANY: &str = "the configuration of all servers has to fit into one ConfigMap";

impl DoltDBSpec {
    /// All mistakes in the spec, each naming its field; empty when it can be reconciled.
    pub fn mistakes(&self) -> Vec<FieldError> {
        let mut found = Vec::new();
        if self.engine_version.is_empty() {
            found.push(FieldError::new("spec.engineVersion", "", "is required: name a version of Dolt such as 1.83.2"));
        }
        let replication = self.replication();
        if replication.enabled && self.replicas() == 1 {
            let problem = "replication cannot be enabled with a single replica; set replicas > 1 or disable replication";
            found.push(FieldError::new("spec.replication.enabled", "", problem));
        } else if replication.enabled && !(0..self.replicas()).contains(&replication.pod_index) {
            let problem = format!("must be 0 or more and less than spec.replicas ({})", self.replicas());
            found.push(FieldError::new(INDEX, replication.pod_index, problem));
        }
        let most = if replication.enabled { MOST_REPLICATED } else { MOST };
        if self.replicas > most {
            found.push(FieldError::new(REPLICAS, self.replicas, format!("must be at most {most}: {TOO_MANY}")));
        }
        let delay = self.replication.as_ref().and_then(|replication| replication.primary.as_ref()?.failover_delay.as_deref());
        if let Some(Err(error)) = delay.map(|delay| parse_duration(FAILOVER_DELAY, delay)) {
            found.push(error);
        }
        if let Err(error) = self.storage.size.bytes("spec.storage.size") {
            found.push(error);
        }
        found.extend(self.port_mistakes(replication.enabled));
        let required = self.server.listener.tls.as_ref().is_some_and(|tls| tls.required);
        if required && self.server.mcp_server.is_some() {
            let problem = "cannot be set with mcpServer, which reaches its own server in plain text: remove one of them";
            found.push(FieldError::new(REQUIRED, "", problem));
        }
        found
    }

    fn port_mistakes(&self, replicated: bool) -> Vec<FieldError> {
        let server = &self.server;
        let mut ports = vec![(LISTENER, server.listener.port), (REMOTES, server.cluster.remotes_api.port)];
        ports.extend(server.mcp_server.as_ref().map(|mcp| (MCP, mcp.port)));
        if server.metrics.enabled {
            ports.push((METRICS, server.metrics.port));
        }
        // Nothing listens on the remotes port without replication, and it is no metrics port of any Service.
        let apart = |a: &str, b: &str| !replicated && a == REMOTES && b == METRICS;
        let mut found = Vec::new();
        for (i, (field, port)) in ports.iter().enumerate() {
            if !(1..=65535).contains(port) {
                found.push(FieldError::new(*field, port, "must be a port from 1 to 65535"));
            }
            if let Some((other, _)) = ports[..i].iter().find(|(other, taken)| taken == port && !apart(other, field)) {
                found.push(FieldError::new(*field, port, format!("is already {other}: choose another")));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::DoltDB;

    #[rstest]
    #[case::fine(json!({}), &[])]
    #[case::port_zero(json!({"server": {"listener": {"port": 0}}}), &[LISTENER])]
    #[case::port_too_large(json!({"server": {"cluster": {"remotesAPI": {"port": 70000}}}}), &[REMOTES])]
    #[case::unused_metrics_port(json!({"server": {"metrics": {"port": 0}}}), &[])]
    #[case::metrics_port(json!({"server": {"metrics": {"port": 0, "enabled": true}}}), &[METRICS])]
    #[case::listener_and_remotes(json!({"server": {"listener": {"port": 50051}}}), &[REMOTES])]
    #[case::listener_and_mcp(json!({"server": {"listener": {"port": 7007}, "mcpServer": {}}}), &[MCP])]
    #[case::tls_and_mcp(json!({"server": {"listener": {"tls": {"secretName": "a"}}, "mcpServer": {}}}), &[])]
    #[case::tls_required_and_mcp(json!({"server": {"listener": {"tls": {"secretName": "a", "required": true}}, "mcpServer": {}}}), &[REQUIRED])]
    #[case::metrics_and_unused_remotes(json!({"server": {"metrics": {"port": 50051, "enabled": true}}}), &[])]
    #[case::metrics_and_remotes(
        json!({"replicas": 2, "replication": {"enabled": true}, "server": {"metrics": {"port": 50051, "enabled": true}}}),
        &[METRICS]
    )]
    #[case::one_replica(json!({"replication": {"enabled": true}}), &["spec.replication.enabled"])]
    #[case::index_too_large(json!({"replicas": 2, "replication": {"enabled": true, "primary": {"podIndex": 2}}}), &[INDEX])]
    #[case::index_negative(json!({"replicas": 2, "replication": {"enabled": true, "primary": {"podIndex": -1}}}), &[INDEX])]
    #[case::many(json!({"replicas": 50, "replication": {"enabled": true}}), &[])]
    #[case::too_many(json!({"replicas": 51, "replication": {"enabled": true}}), &[REPLICAS])]
    #[case::many_of_their_own(json!({"replicas": 500}), &[])]
    #[case::too_many_of_their_own(json!({"replicas": 501}), &[REPLICAS])]
    #[case::index_unused(json!({"replicas": 1, "replication": {"enabled": false, "primary": {"podIndex": 2}}}), &[])]
    #[case::delay(json!({"replication": {"primary": {"failoverDelay": "soon"}}}), &["spec.replication.primary.failoverDelay"])]
    #[case::size(json!({"storage": {"size": "large"}}), &["spec.storage.size"])]
    #[case::version(json!({"engineVersion": ""}), &["spec.engineVersion"])]
    fn names_each_field(#[case] mut spec: serde_json::Value, #[case] fields: &[&str]) {
        if spec.get("engineVersion").is_none() {
            spec["engineVersion"] = json!("1.83.2");
        }
        let db: DoltDB = serde_json::from_value(json!({"spec": spec})).unwrap();
        let found: Vec<_> = db.spec.mistakes().into_iter().map(|m| m.field).collect();
        assert_eq!(found, fields);
    }
}
