//! The Services: one that names each pod, and those by which clients come.

use crds::names;
use sdk::{Fields, Json, object};

use super::{metadata, selector};
use crate::{
    form::{FIRST, Form},
    roles::Leadership,
    target::Target,
};

/// All Services of the DoltDB in its present form.
pub(super) fn services<'a>(target: &'a Target, leadership: &Leadership) -> Vec<Fields<'a>> {
    let name = target.name();
    let mut services = vec![internal(target)];
    if target.replication.enabled {
        let leader = match leadership {
            Leadership::One(leader) => *leader,
            _ => target.recorded_primary(),
        };
        let mut primary = selector(target);
        primary.set(names::LABEL_CLUSTER_ROLE, names::ROLE_PRIMARY);
        // The label alone could be on two pods for a moment.
        primary.set(names::LABEL_POD_NAME, target.pod(leader));
        let mut reader = selector(target);
        reader.set(names::LABEL_CLUSTER_ROLE, names::ROLE_STANDBY);
        services.push(for_clients(target, names::primary_service(name), primary));
        services.push(for_clients(target, names::reader_service(name), reader));
    }
    if !target.replication.enabled || target.form == Form::TurningOn {
        let mut alone = selector(target);
        // The others are there already, and have nothing yet.
        if target.form == Form::TurningOn {
            alone.set(names::LABEL_POD_NAME, target.pod(FIRST));
        }
        services.push(for_clients(target, names::standalone_service(name), alone));
    }
    services
}

/// Gives each pod its name. Servers reach each other by it, and are repaired through it, also while they are not ready.
fn internal(target: &Target) -> Fields<'_> {
    let mut ports = client_ports(target);
    ports.insert(1, port("grpc-remotesapi", target.spec.server.cluster.remotes_api.port));
    object! {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(target, names::internal_service(target.name()), Fields::default(), Fields::default()),
        "spec": object! {
            "type": "ClusterIP",
            "clusterIP": "None",
            "publishNotReadyAddresses": true,
            "selector": selector(target),
            "ports": ports,
        },
    }
}

fn for_clients<'a>(target: &'a Target, name: String, selector: Fields<'a>) -> Fields<'a> {
    object! {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(target, name, Fields::default(), Fields::default()),
        "spec": object! { "type": "ClusterIP", "selector": selector, "ports": client_ports(target) },
    }
}

fn client_ports(target: &Target) -> Vec<Json<'static>> {
    let server = &target.spec.server;
    let mut ports = vec![port("tcp-dolt", server.listener.port)];
    ports.extend(server.mcp_server.as_ref().map(|mcp| port("http-mcp", mcp.port)));
    ports
}

fn port(name: &'static str, port: i32) -> Json<'static> {
    object! { "name": name, "port": port, "targetPort": port, "protocol": "TCP" }.into()
}
