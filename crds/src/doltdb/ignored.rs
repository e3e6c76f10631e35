//! What in a spec has no effect, though it looks as if it had: accepted as it always was, and told to the user.

use super::{DoltDBSpec, ReplicationStrategy};
use crate::Probe;

/// `maxConnections` where nobody has set it.
const MAX_CONNECTIONS: i32 = 128;
/// Fields of a probe that say what is asked, not when.
const HANDLERS: [&str; 4] = ["exec", "grpc", "httpGet", "tcpSocket"];

impl DoltDBSpec {
    /// A sentence for each field that has no effect: what is set, and what to do instead.
    pub fn ignored(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.max_connections != MAX_CONNECTIONS {
            found.push(format!("spec.maxConnections: {} has no effect: set spec.server.listener.maxConnections", self.max_connections));
        }
        if self.auto_minor_version_upgrade {
            found.push("spec.autoMinorVersionUpgrade: true has no effect: a new version is a new spec.engineVersion".to_owned());
        }
        if self.replication_strategy == ReplicationStrategy::Remote {
            found.push(
                "spec.replicationStrategy: Remote has no effect: the primary pushes to its standbys, as with DirectStandby".to_owned(),
            );
        }
        if self.replicas() > 1 && !self.replication().enabled {
            found.push(format!(
                "spec.replicas: {} servers know nothing of each other behind one Service: set spec.replication.enabled, or replicas to 1",
                self.replicas
            ));
        }
        let probes =
            self.probes.iter().flat_map(|probes| [("livenessProbe", &probes.liveness_probe), ("readinessProbe", &probes.readiness_probe)]);
        for (name, Probe(probe)) in probes {
            let handlers = HANDLERS.into_iter().filter(|handler| !probe[*handler].is_null());
            found.extend(handlers.map(|handler| {
                format!("spec.probes.{name}.{handler}: has no effect: the operator knows how to ask a server, only the timing counts")
            }));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use crate::DoltDB;

    #[rstest]
    #[case::nothing(json!({}), &[])]
    #[case::defaults(json!({"maxConnections": 128, "autoMinorVersionUpgrade": false, "replicationStrategy": "DirectStandby"}), &[])]
    #[case::max_connections(json!({"maxConnections": 500}), &["spec.maxConnections: 500 has no effect: set spec.server.listener"])]
    #[case::upgrade(json!({"autoMinorVersionUpgrade": true}), &["spec.autoMinorVersionUpgrade: true"])]
    #[case::strategy(json!({"replicationStrategy": "Remote"}), &["spec.replicationStrategy: Remote"])]
    #[case::independent(json!({"replicas": 2}), &["spec.replicas: 2 servers"])]
    #[case::replicated(json!({"replicas": 2, "replication": {"enabled": true}}), &[])]
    #[case::handler(json!({"probes": {"livenessProbe": {"httpGet": {"port": 1}, "periodSeconds": 3}}}), &["spec.probes.livenessProbe.httpGet"])]
    #[case::timing(json!({"probes": {"livenessProbe": {"periodSeconds": 3}}}), &[])]
    fn what_has_no_effect_is_named(#[case] spec: serde_json::Value, #[case] expected: &[&str]) {
        let db: DoltDB = serde_json::from_value(json!({ "spec": spec })).unwrap();
        let found = db.spec.ignored();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:?}");
    }
}
