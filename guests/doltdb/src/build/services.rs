//! The Services: one that names each pod, and those by which clients come.

use crds::names;
use sdk::{Json, Manifest, list, object};

use super::{Texts, child, metadata, selector};
use crate::{
    form::{FIRST, Form},
    roles::Leadership,
    target::Target,
};

/// All Services of the DoltDB in its present form.
pub(super) fn services(target: &Target, leadership: &Leadership) -> Vec<Manifest> {
    let name = target.name();
    let mut services = vec![internal(target)];
    if target.replication.enabled {
        let leader = match leadership {
            Leadership::One(leader) => *leader,
            _ => target.recorded_primary(),
        };
        let mut primary = selector(target);
        primary.insert(names::LABEL_CLUSTER_ROLE, names::ROLE_PRIMARY.into());
        // The label alone could be on two pods for a moment.
        primary.insert(names::LABEL_POD_NAME, target.pod(leader).into());
        let mut reader = selector(target);
        reader.insert(names::LABEL_CLUSTER_ROLE, names::ROLE_STANDBY.into());
        services.push(for_clients(target, &names::primary_service(name), &primary));
        services.push(for_clients(target, &names::reader_service(name), &reader));
    }
    if !target.replication.enabled || target.form == Form::TurningOn {
        let mut alone = selector(target);
        // The others are there already, and have nothing yet.
        if target.form == Form::TurningOn {
            alone.insert(names::LABEL_POD_NAME, target.pod(FIRST).into());
        }
        services.push(for_clients(target, &names::standalone_service(name), &alone));
    }
    services
}

/// Gives each pod its name. Servers reach each other by it, and are repaired through it, also while they are not ready.
fn internal(target: &Target) -> Manifest {
    let server = &target.spec.server;
    let spec = object! {
        "clusterIP": "None",
        "ports": list![
            port("tcp-dolt", server.listener.port),
            port("grpc-remotesapi", server.cluster.remotes_api.port),
            server.mcp_server.as_ref().map(|mcp| port("http-mcp", mcp.port)),
        ],
        "publishNotReadyAddresses": true,
        "selector": &selector(target),
        "type": "ClusterIP",
    };
    service(target, &names::internal_service(target.name()), spec)
}

fn for_clients(target: &Target, name: &str, selector: &Texts) -> Manifest {
    let server = &target.spec.server;
    let spec = object! {
        "ports": list![port("tcp-dolt", server.listener.port), server.mcp_server.as_ref().map(|mcp| port("http-mcp", mcp.port))],
        "selector": selector,
        "type": "ClusterIP",
    };
    service(target, name, spec)
}

fn service(target: &Target, name: &str, spec: impl Json) -> Manifest {
    let object = child(target, "v1", "Service", name);
    let body = object! {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(target, name, Texts::new(), Texts::new()),
        "spec": spec,
    };
    Manifest { object, body: body.written() }
}

fn port(name: &'static str, port: i32) -> impl Json {
    object! { "name": name, "port": port, "protocol": "TCP", "targetPort": port }
}
