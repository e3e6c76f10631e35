//! Nothing happening, observed through watches.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt, future::try_join_all};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, ListParams, WatchParams},
    core::WatchEvent,
};

use crate::Namespace;

/// Changes of objects of some kinds, from a moment on.
pub struct Watched {
    kinds: Vec<(String, Api<DynamicObject>, String)>,
}

impl Watched {
    /// From now on.
    ///
    /// # Errors
    /// When the objects can't be listed.
    pub async fn start(namespace: &Namespace, kinds: &[&str]) -> Result<Self> {
        let mut watched = Vec::new();
        for kind in kinds {
            let api = namespace.api(kind);
            let now = api.list(&ListParams::default()).await?.metadata.resource_version.context("a list has a resource version")?;
            watched.push(((*kind).to_owned(), api, now));
        }
        Ok(Self { kinds: watched })
    }

    /// Every change until this time has passed, in words, but for those that the kubelet reports; no change gives an empty list.
    ///
    /// # Errors
    /// When the objects can't be watched.
    pub async fn within(self, time: Duration) -> Result<Vec<String>> {
        let watches = self.kinds.iter().map(|(kind, api, start)| changes(kind, api, start, time));
        Ok(try_join_all(watches).await?.into_iter().flatten().collect())
    }
}

async fn changes(kind: &str, api: &Api<DynamicObject>, start: &str, time: Duration) -> Result<Vec<String>> {
    let seconds = u32::try_from(time.as_secs()).context("the time is too long")?;
    // The server ends the watch.
    let mut watch = api.watch(&WatchParams::default().timeout(seconds), start).await?.boxed();
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
        // Events of Kubernetes' own are counted up by their writers long after they happened.
        if last != "kubelet" && !(kind == "Event" && last.starts_with("kube-")) {
            changes.push(format!("{kind} {} {what}, last written by {last}", object.name_any()));
        }
    }
    Ok(changes)
}
