//! The servers' configuration: one file for each ordinal, in one ConfigMap.
//!
//! The bytes are those that a cluster has had before, so that taking it over restarts nothing: order of keys, indent of four, quotes.

use std::{cell::OnceCell, collections::BTreeMap, fmt::Write};

use crds::{UpdateStrategy, names};
use sdk::{Fields, object};
use sha2::{Digest, Sha256};

use super::{
    files::{LISTENER_TLS_FOLDER, TLS_FOLDER},
    metadata, selector, texts,
    yaml::scalar,
};
use crate::{
    form::{FIRST, Form},
    observe::Observed,
    target::Target,
};

/// The first epoch of a cluster. It counts on an empty volume only.
pub(crate) const BOOTSTRAP_EPOCH: u64 = 1;

/// The files by their keys, for so many servers.
pub(super) fn config(target: &Target, observed: &Observed, replicas: i32) -> BTreeMap<String, String> {
    let there = observed.config.as_ref();
    (0..replicas)
        .map(|ordinal| {
            let key = names::config_key(target.name(), ordinal);
            let role = bootstrap_role(target, there, &key, ordinal);
            (key, file(target, ordinal, replicas, role))
        })
        .collect()
}

/// Whether the ConfigMap already holds these files.
pub(super) fn is_there(observed: &Observed, config: &BTreeMap<String, String>) -> bool {
    observed.config.as_ref().is_some_and(|there| config.iter().all(|(key, file)| there.get(key) == Some(file)))
}

/// For how many servers the ConfigMap has a file.
pub(super) fn count(target: &Target, observed: &Observed) -> i32 {
    let has_file =
        |ordinal: &i32| observed.config.as_ref().is_some_and(|files| files.contains_key(&names::config_key(target.name(), *ordinal)));
    (0..).take_while(has_file).last().map_or(0, |last| last + 1)
}

/// Whether the files in the ConfigMap have this hash, all or without some of servers that are going away.
pub(super) fn may_have(hash: &str, target: &Target, observed: &Observed) -> bool {
    let servers = hashes_there(target, observed).len();
    (1..=servers).rev().any(|servers| hash_there(servers, target, observed) == hash)
}

/// Room for the hashes of the files in the ConfigMap: of the first of them, of the first two and so on.
fn hashes_there<'a>(target: &Target, observed: &'a Observed) -> &'a [OnceCell<String>] {
    observed.config_hashes.get_or_init(|| vec![OnceCell::new(); usize::try_from(count(target, observed)).unwrap_or_default()])
}

/// The hash of the first files in the ConfigMap.
fn hash_there<'a>(servers: usize, target: &Target, observed: &'a Observed) -> &'a str {
    hashes_there(target, observed)[servers - 1].get_or_init(|| {
        let file = |ordinal| observed.config.as_ref()?.get_key_value(&names::config_key(target.name(), ordinal));
        hash((0..).take(servers).filter_map(file).collect::<BTreeMap<_, _>>())
    })
}

/// The ConfigMap with the files. A server that is going away keeps its own as long as it is there: it may have to start once more.
pub(super) fn config_map<'a>(target: &'a Target, observed: &'a Observed, config: &'a BTreeMap<String, String>) -> Fields<'a> {
    let running = observed.stateful_set.as_ref().and_then(|set| set.body.spec.replicas).unwrap_or_default();
    let mut data = texts(config);
    for ordinal in i32::try_from(config.len()).unwrap_or(running)..running {
        let key = names::config_key(target.name(), ordinal);
        data.extend(observed.config.as_ref().and_then(|there| there.get_key_value(&key)).map(|(key, file)| (key.as_str(), file)));
    }
    object! {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(target, names::config_map(target.name()), selector(target), Fields::default()),
        "data": data,
    }
}

/// The value of the annotation by which a change of the files reaches the pods, if it is to.
pub(super) fn noted(target: &Target, observed: &Observed, config: &BTreeMap<String, String>) -> Option<String> {
    if target.spec.update_strategy == UpdateStrategy::Never || config.is_empty() {
        return None;
    }
    // Nearly always they are those that are there.
    let is_there = observed.config.as_ref() == Some(config);
    Some(if is_there { hash_there(config.len(), target, observed).to_owned() } else { hash(config) })
}

fn hash<'a>(config: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut hasher = Sha256::new();
    for (key, value) in config {
        for part in [key, "=", value, ";"] {
            hasher.update(part);
        }
    }
    hex::encode(hasher.finalize())
}

/// The names of the other servers in a file.
pub(super) fn peers(file: &str) -> impl Iterator<Item = &str> {
    file.lines().filter_map(|line| line.strip_prefix("        - name: ")).map(|name| name.trim_matches('"'))
}

/// The role that a server has as long as its volume is empty. It is chosen once, when the cluster is made: a server that is added later, or
/// that lost its volume, follows the others.
fn bootstrap_role(target: &Target, there: Option<&BTreeMap<String, String>>, key: &str, ordinal: i32) -> &'static str {
    let was_chosen = || there.is_some_and(|there| there.values().any(|file| role_of(file).is_some()));
    let is_primary = match there.and_then(|there| role_of(there.get(key)?)) {
        Some(role) => role == names::ROLE_PRIMARY,
        // The server that was alone has the data, whoever is to be primary in the end.
        None if target.form == Form::TurningOn => ordinal == FIRST && !was_chosen(),
        None => ordinal == target.replication.pod_index && !was_chosen(),
    };
    if is_primary { names::ROLE_PRIMARY } else { names::ROLE_STANDBY }
}

fn role_of(file: &str) -> Option<&str> {
    file.lines().find_map(|line| line.strip_prefix("    bootstrap_role: "))
}

/// Writing to a string cannot fail, hence the results that are dropped.
fn file(target: &Target, ordinal: i32, replicas: i32, bootstrap_role: &str) -> String {
    let server = &target.spec.server;
    let mut file = String::with_capacity(1024);
    let _ = writeln!(file, "behavior:");
    let _ = writeln!(file, "    auto_gc_behavior:");
    let _ = writeln!(file, "        enable: {}", server.behavior.auto_gc_behavior.enabled);
    let _ = writeln!(file, "log_level: {}", scalar(&server.log_level));
    if target.replication.enabled {
        let port = server.cluster.remotes_api.port;
        let tls = server.cluster.remotes_api.tls.is_some();
        let scheme = if tls { "https" } else { "http" };
        let _ = writeln!(file, "cluster:");
        let _ = writeln!(file, "    standby_remotes:");
        for peer in (0..replicas).filter(|peer| *peer != ordinal) {
            let host = names::pod_short_host(target.name(), peer, target.namespace());
            let _ = writeln!(file, "        - name: {}", scalar(&target.pod(peer)));
            let _ = writeln!(file, "          remote_url_template: {scheme}://{host}:{port}/{{database}}");
        }
        let _ = writeln!(file, "    bootstrap_epoch: {BOOTSTRAP_EPOCH}");
        let _ = writeln!(file, "    bootstrap_role: {bootstrap_role}");
        let _ = writeln!(file, "    remotesapi:");
        let _ = writeln!(file, "        port: {port}");
        if tls {
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
