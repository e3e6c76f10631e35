//! What stands in a server's file. The files of a cluster differ in what they say of the other servers and of the server's first role.
//!
//! The bytes are those that a cluster has had before, so that taking it over restarts nothing: order of keys, indent of four, quotes.

use std::fmt::Write;

use crds::names;

use super::{
    files::{LISTENER_TLS_FOLDER, TLS_FOLDER},
    yaml::scalar,
};
use crate::target::Target;

/// The first epoch of a cluster. It counts on an empty volume only.
pub(crate) const BOOTSTRAP_EPOCH: u64 = 1;

/// The parts that files are made of.
pub(super) struct Parts {
    /// Before what is said of the others.
    begin: String,
    /// What is said of each server in the files of the others; without replication there are none.
    servers: Vec<String>,
    /// After what is said of the server's first role.
    end: String,
}

impl Parts {
    pub(super) fn of(target: &Target, replicas: i32) -> Self {
        let replicas = if target.replication.enabled { replicas } else { 0 };
        Self { begin: begin(target), servers: (0..replicas).map(|ordinal| server(target, ordinal)).collect(), end: end(target) }
    }

    /// The file of a server.
    pub(super) fn file(&self, ordinal: i32, bootstrap_role: impl FnOnce() -> &'static str) -> String {
        let mut file = String::with_capacity(self.begin.len() + self.servers.iter().map(String::len).sum::<usize>() + self.end.len() + 64);
        file.push_str(&self.begin);
        for (_, server) in (0..).zip(&self.servers).filter(|(peer, _)| *peer != ordinal) {
            file.push_str(server);
        }
        if !self.servers.is_empty() {
            let _ = writeln!(file, "    bootstrap_epoch: {BOOTSTRAP_EPOCH}\n    bootstrap_role: {}", bootstrap_role());
        }
        file.push_str(&self.end);
        file
    }
}

/// Writing to a string cannot fail, hence the results that are dropped.
fn begin(target: &Target) -> String {
    let server = &target.spec.server;
    let mut file = String::with_capacity(256);
    let _ = writeln!(file, "behavior:\n    auto_gc_behavior:\n        enable: {}", server.behavior.auto_gc_behavior.enabled);
    let _ = writeln!(file, "log_level: {}", scalar(&server.log_level));
    if target.replication.enabled {
        file.push_str("cluster:\n    standby_remotes:\n");
    }
    file
}

fn server(target: &Target, ordinal: i32) -> String {
    let remotes_api = &target.spec.server.cluster.remotes_api;
    let scheme = if remotes_api.tls.is_some() { "https" } else { "http" };
    let (pod, port) = (target.pod(ordinal), remotes_api.port.to_string());
    let host = names::pod_short_host(target.name(), ordinal, target.namespace());
    let url = [scheme, "://", &host, ":", &port, "/{database}"].concat();
    ["        - name: ", &scalar(&pod), "\n          remote_url_template: ", &url, "\n"].concat()
}

fn end(target: &Target) -> String {
    let server = &target.spec.server;
    let mut file = String::with_capacity(512);
    if target.replication.enabled {
        let _ = writeln!(file, "    remotesapi:");
        let _ = writeln!(file, "        port: {}", server.cluster.remotes_api.port);
        if server.cluster.remotes_api.tls.is_some() {
            for (key, name) in [("tls_key", "tls.key"), ("tls_cert", "tls.crt"), ("tls_ca", "ca.crt")] {
                let _ = writeln!(file, "        {key}: {TLS_FOLDER}/{name}");
            }
        }
        let wait = target.spec.replication.as_ref().and_then(|replication| replication.ack_writes_timeout_seconds);
        if let Some(seconds) = wait.filter(|seconds| *seconds > 0) {
            let _ = writeln!(file, "system_variables:");
            let _ = writeln!(file, "    dolt_cluster_ack_writes_timeout_secs: {seconds}");
        }
    }
    let _ = writeln!(file, "listener:");
    let _ = writeln!(file, "    host: {}", scalar(&server.listener.host));
    let _ = writeln!(file, "    port: {}", server.listener.port);
    let _ = writeln!(file, "    max_connections: {}", server.listener.max_connections);
    if let Some(tls) = &target.listener_tls {
        for (key, name) in [("tls_key", "tls.key"), ("tls_cert", "tls.crt")] {
            let _ = writeln!(file, "    {key}: {LISTENER_TLS_FOLDER}/{name}");
        }
        if tls.required {
            let _ = writeln!(file, "    require_secure_transport: true");
        }
    }
    if server.metrics.enabled {
        let _ = writeln!(file, "metrics:");
        if server.metrics.labels.is_empty() {
            let _ = writeln!(file, "    labels: {{}}");
        } else {
            let _ = writeln!(file, "    labels:");
        }
        for (key, value) in &server.metrics.labels {
            let _ = writeln!(file, "        {}: {}", scalar(key), scalar(value));
        }
        let _ = writeln!(file, "    host: {}", scalar(&server.metrics.host));
        let _ = writeln!(file, "    port: {}", server.metrics.port);
    }
    if let Some(mcp) = &server.mcp_server {
        // The server itself puts the values of its environment in.
        let user = if mcp.user.as_deref().unwrap_or_default().is_empty() { "${DOLT_USERNAME}" } else { "${DOLT_MCP_USER}" };
        let _ = writeln!(file, "mcp_server:");
        let _ = writeln!(file, "    port: {}", mcp.port);
        let _ = writeln!(file, "    user: {user}");
        let _ = writeln!(file, "    password: ${{DOLT_MCP_PASSWORD}}");
        if let Some(database) = mcp.database.as_deref().filter(|database| !database.is_empty()) {
            let _ = writeln!(file, "    database: {}", scalar(database));
        }
    }
    file
}
