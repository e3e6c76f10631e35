//! The servers' configuration: one file for each ordinal, in one ConfigMap. What stands in a file is in [`parts`](super::parts).

use std::{cell::OnceCell, collections::BTreeMap};

use crds::{UpdateStrategy, names};
use memchr::memmem;
use sdk::{Json, Manifest, object};
use sha2::{Digest, Sha256};

use super::{Texts, child, metadata, parts::Parts, selector, texts};
use crate::{
    form::{FIRST, Form},
    observe::Observed,
    target::Target,
};

/// The files by their keys, for so many servers.
pub(super) fn config(target: &Target, observed: &Observed, replicas: i32) -> BTreeMap<String, String> {
    let there = observed.config.as_ref();
    let parts = Parts::of(target, replicas);
    (0..replicas)
        .map(|ordinal| {
            let key = names::config_key(target.name(), ordinal);
            let file = parts.file(ordinal, || bootstrap_role(target, there, &key, ordinal));
            (key, file)
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
pub(super) fn config_map(target: &Target, observed: &Observed, config: &BTreeMap<String, String>) -> Manifest {
    let running = observed.stateful_set.as_ref().and_then(|set| set.body.spec.replicas).unwrap_or_default();
    let mut data: Texts = texts(config).collect();
    for ordinal in i32::try_from(config.len()).unwrap_or(running)..running {
        let key = names::config_key(target.name(), ordinal);
        let file = observed.config.as_ref().and_then(|there| there.get_key_value(&key));
        data.extend(file.map(|(key, file)| (key.as_str(), file.into())));
    }
    let name = names::config_map(target.name());
    let object = child(target, "v1", "ConfigMap", &name);
    let body = object! {
        "apiVersion": "v1",
        "data": &data,
        "kind": "ConfigMap",
        "metadata": metadata(target, &name, selector(target), Texts::new()),
    };
    Manifest { object, body: body.written() }
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
    values(file, "\n        - name: ").map(|name| name.trim_matches('"'))
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
    values(file, "\n    bootstrap_role: ").next()
}

/// What stands in a file on each line that begins so.
fn values<'a>(file: &'a str, begin: &'static str) -> impl Iterator<Item = &'a str> {
    memmem::find_iter(file.as_bytes(), begin).filter_map(move |at| file[at + begin.len()..].lines().next())
}
