//! The Services: one that names each pod, and those by which clients come.

use std::collections::BTreeMap;

use crds::names;
use serde_json::{Value, json};

use super::{metadata, selector, with};
use crate::{
    form::{FIRST, Form},
    roles::Leadership,
    target::Target,
};

/// All Services of the DoltDB in its present form.
pub(super) fn services(target: &Target, leadership: &Leadership) -> Vec<Value> {
    let name = target.name();
    let mut services = vec![internal(target)];
    if target.replication.enabled {
        let leader = match leadership {
            Leadership::One(leader) => *leader,
            _ => target.recorded_primary(),
        };
        let mut primary = selector(target);
        primary.insert(names::LABEL_CLUSTER_ROLE.to_owned(), names::ROLE_PRIMARY.to_owned());
        // The label alone could be on two pods for a moment.
        primary.insert(names::LABEL_POD_NAME.to_owned(), target.pod(leader));
        let mut reader = selector(target);
        reader.insert(names::LABEL_CLUSTER_ROLE.to_owned(), names::ROLE_STANDBY.to_owned());
        services.push(for_clients(target, &names::primary_service(name), &primary));
        services.push(for_clients(target, &names::reader_service(name), &reader));
    }
    if !target.replication.enabled || target.form == Form::TurningOn {
        let mut alone = selector(target);
        // The others are there already, and have nothing yet.
        if target.form == Form::TurningOn {
            alone.insert(names::LABEL_POD_NAME.to_owned(), target.pod(FIRST));
        }
        services.push(for_clients(target, &names::standalone_service(name), &alone));
    }
    services
}

/// Gives each pod its name. Servers reach each other by it, and are repaired through it, also while they are not ready.
fn internal(target: &Target) -> Value {
    let mut ports = client_ports(target);
    ports.insert(1, port("grpc-remotesapi", target.spec.server.cluster.remotes_api.port));
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(target, &names::internal_service(target.name()), &BTreeMap::new(), &BTreeMap::new()),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": selector(target),
            "ports": ports,
        },
    })
}

fn for_clients(target: &Target, name: &str, selector: &BTreeMap<String, String>) -> Value {
    let spec = with(json!({ "type": "ClusterIP", "selector": selector }), [("ports", client_ports(target).into())]);
    let metadata = metadata(target, name, &BTreeMap::new(), &BTreeMap::new());
    with(json!({ "apiVersion": "v1", "kind": "Service" }), [("metadata", metadata), ("spec", spec)])
}

fn client_ports(target: &Target) -> Vec<Value> {
    let server = &target.spec.server;
    let mut ports = vec![port("tcp-dolt", server.listener.port)];
    ports.extend(server.mcp_server.as_ref().map(|mcp| port("http-mcp", mcp.port)));
    ports
}

fn port(name: &str, port: i32) -> Value {
    json!({ "name": name, "port": port, "targetPort": port, "protocol": "TCP" })
}
