//! Nothing happening, observed through watches.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt, future::try_join_all};
use kube::{
    ResourceExt,
    api::{ListParams, WatchParams},
    core::WatchEvent,
};

use crate::Namespace;

/// Every change of objects of these kinds within a time, in words, but for those that the kubelet reports; no change gives an empty list.
///
/// # Errors
/// When the objects can't be watched.
pub async fn writes_within(namespace: &Namespace, kinds: &[&str], time: Duration) -> Result<Vec<String>> {
    let watches = kinds.iter().map(|kind| changes(namespace, kind, time));
    Ok(try_join_all(watches).await?.into_iter().flatten().collect())
}

async fn changes(namespace: &Namespace, kind: &str, time: Duration) -> Result<Vec<String>> {
    let api = namespace.api(kind);
    let now = api.list(&ListParams::default()).await?.metadata.resource_version.context("a list has a resource version")?;
    let seconds = u32::try_from(time.as_secs()).context("the time is too long")?;
    // The server ends the watch.
    let mut watch = api.watch(&WatchParams::default().timeout(seconds), &now).await?.boxed();
    let mut changes = Vec::new();
    while let Some(event) = watch.next().await {
        let (what, object) = match event? {
            WatchEvent::Added(object) => ("appeared", object),
            WatchEvent::Modified(object) => ("changed", object),
            WatchEvent::Deleted(object) => ("went", object),
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(status) => return Err(kube::Error::Api(status).into()),
        };
        let managers = object.metadata.managed_fields.as_deref().unwrap_or_default();
        let last = managers.iter().max_by_key(|entry| entry.time.clone()).and_then(|entry| entry.manager.clone()).unwrap_or_default();
        // What the kubelet reports of pods and their probes is an observation. Nobody has decided anything.
        if last != "kubelet" {
            changes.push(format!("{kind} {} {what}, last written by {last}", object.name_any()));
        }
    }
    Ok(changes)
}
