//! Pods as seen at one time, so that "no pod was restarted" can be told afterwards.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{Namespace, text};

/// One pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Another pod of the same name has another one.
    pub uid: String,
    /// Of all its containers together.
    pub restarts: i64,
    /// Whether it counts as ready.
    pub ready: bool,
    /// Its label of the role, or empty.
    pub role: String,
}

/// The pods of a namespace by name.
pub type Pods = BTreeMap<String, Seen>;

impl Namespace {
    /// The pods as they are.
    ///
    /// # Errors
    /// When they can't be listed.
    pub async fn pods(&self) -> Result<Pods> {
        Ok(self.list("Pod").await?.iter().map(|pod| (text(pod, "/metadata/name"), seen(pod))).collect())
    }

    /// Proves that the pods are those that they were, and that no container of theirs has been started again since.
    ///
    /// # Errors
    /// When one is another, is gone, or is new.
    pub async fn no_pod_restarted_since(&self, before: &Pods) -> Result<()> {
        let lives = |pods: &Pods| pods.iter().map(|(name, pod)| (name.clone(), pod.uid.clone(), pod.restarts)).collect::<Vec<_>>();
        let (before, now) = (lives(before), lives(&self.pods().await?));
        ensure!(before == now, "pods (name, uid, restarts) were {before:?} and are {now:?}");
        Ok(())
    }

    /// Proves that of all pods that there ever were in this namespace each is still in its first life.
    ///
    /// # Errors
    /// When a container was started again, or a pod was ended.
    pub async fn no_pod_ever_restarted(&self) -> Result<()> {
        let restarted: Vec<_> = self.pods().await?.into_iter().filter(|(_, pod)| pod.restarts > 0).collect();
        ensure!(restarted.is_empty(), "restarted: {restarted:?}");
        let ended: Vec<_> =
            self.events().await?.into_iter().filter(|event| ["Killing", "SuccessfulDelete"].contains(&&*event.reason)).collect();
        ensure!(ended.is_empty(), "ended: {ended:?}");
        Ok(())
    }
}

fn seen(pod: &Value) -> Seen {
    let containers = ["initContainerStatuses", "containerStatuses"].map(|list| pod["status"][list].as_array().cloned().unwrap_or_default());
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    Seen {
        uid: text(pod, "/metadata/uid"),
        restarts: containers.iter().flatten().filter_map(|container| container["restartCount"].as_i64()).sum(),
        ready: conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
        role: text(pod, "/metadata/labels/k8s.dolthub.com~1cluster-role"),
    }
}
