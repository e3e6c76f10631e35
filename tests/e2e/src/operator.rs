//! The operator as something that dies: its pods, which of them leads, and ways to end them.
//!
//! A crash is a SIGKILL of the process, so nothing is given back and nothing is said; the kubelet starts the container again in the same
//! pod. A loss takes the pod away as well: frozen first, so that the lease is not given back either.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, LogParams, Patch, PatchParams},
};
use rustix::process::Signal;
use serde_json::json;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    Cluster, MINUTE,
    process::{cpu, signal},
    wait_for,
};

/// The installed operator.
pub struct Operator {
    cluster: Cluster,
    pods: Api<Pod>,
    leases: Api<Lease>,
    deployments: Api<Deployment>,
}

/// A crash, by what the kubelet had counted until then: the status says for a while that all is well.
#[derive(Debug, Clone)]
pub struct Crashed {
    pod: String,
    restarts: i32,
}

impl Operator {
    /// That of a cluster.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let (client, namespace) = (&cluster.client, &cluster.operator_namespace);
        Self {
            pods: Api::namespaced(client.clone(), namespace),
            leases: Api::namespaced(client.clone(), namespace),
            deployments: Api::namespaced(client.clone(), namespace),
            cluster: cluster.clone(),
        }
    }

    /// The replicas that the Deployment wants.
    ///
    /// # Errors
    /// When the API server fails.
    pub async fn wanted(&self) -> Result<i32> {
        Ok(self.cluster.deployment().await?.spec.and_then(|spec| spec.replicas).unwrap_or(1))
    }

    /// Sets the number of replicas, and waits until so many pods, and no others, are ready.
    ///
    /// # Errors
    /// When they don't get ready.
    pub async fn scale(&self, replicas: i32) -> Result<()> {
        let deployment = self.cluster.deployment().await?.name_any();
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.deployments.patch(&deployment, &PatchParams::default(), &patch).await?;
        self.settled().await
    }

    /// Waits until all wanted replicas are ready, none is on its way out, and one of them leads.
    ///
    /// # Errors
    /// When that doesn't come.
    pub async fn settled(&self) -> Result<()> {
        wait_for("the operator is ready", MINUTE, async || {
            let wanted = usize::try_from(self.wanted().await?)?;
            let pods = self.list().await?;
            let ready = pods.iter().filter(|pod| is_ready(pod) && pod.metadata.deletion_timestamp.is_none()).count();
            ensure!(ready == wanted && pods.len() == wanted, "{ready} of {} pods are ready, {wanted} are wanted", pods.len());
            if wanted > 0 {
                self.leader().await?;
            }
            Ok(())
        })
        .await
    }

    /// The time on the CPU that the leader has had.
    ///
    /// # Errors
    /// When there is none, or its processes aren't found.
    pub async fn cpu(&self) -> Result<Duration> {
        cpu(&self.leader().await?)
    }

    /// The pod that holds the lease. The holder's identity begins with the pod's name.
    ///
    /// # Errors
    /// When none does.
    pub async fn leader(&self) -> Result<Pod> {
        let holder = self.holder().await?;
        let pods = self.list().await?;
        let names: Vec<_> = pods.iter().map(ResourceExt::name_any).collect();
        let leads = |pod: &Pod| holder.starts_with(&pod.name_any());
        pods.into_iter().find(leads).with_context(|| format!("the lease is held by {holder:?}, and the pods are {names:?}"))
    }

    async fn holder(&self) -> Result<String> {
        let leases = self.leases.list(&ListParams::default()).await?.items;
        let [lease] = leases.as_slice() else { bail!("there are {} leases, not 1", leases.len()) };
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
        ensure!(!holder.is_empty(), "nobody holds lease {}", lease.name_any());
        Ok(holder)
    }

    /// Replaces the pods in good order, so that none of them waits because it has crashed before.
    ///
    /// # Errors
    /// When the new ones don't get ready.
    pub async fn renew(&self) -> Result<()> {
        for pod in self.list().await? {
            self.pods.delete(&pod.name_any(), &DeleteParams::default()).await?;
        }
        self.settled().await
    }

    /// Kills the leader's process. Its container is started again.
    ///
    /// # Errors
    /// When there is no leader, or its process isn't found.
    pub async fn crash(&self) -> Result<Crashed> {
        let leader = self.leader().await?;
        signal(&leader, Signal::KILL)?;
        Ok(Crashed { pod: leader.name_any(), restarts: restarts(&leader) })
    }

    /// Waits until a crashed operator is back: the container was started anew, and it leads again. One that has crashed before is kept
    /// waiting by the kubelet.
    ///
    /// # Errors
    /// When it isn't.
    pub async fn back(&self, crashed: &Crashed) -> Result<()> {
        wait_for("the operator was started again", 3 * MINUTE, async || {
            let pods = self.list().await?;
            let again = |pod: &Pod| pod.name_any() == crashed.pod && restarts(pod) > crashed.restarts && is_ready(pod);
            ensure!(pods.iter().any(again), "the container of {} was not started again yet", crashed.pod);
            Ok(())
        })
        .await?;
        self.settled().await
    }

    /// The log of the leader's process, from its start.
    ///
    /// # Errors
    /// When there is no leader, or no log.
    pub async fn log(&self) -> Result<String> {
        Ok(self.pods.logs(&self.leader().await?.name_any(), &LogParams::default()).await?)
    }

    /// Takes the leader away without giving it a chance to say anything, and gives its pod's name.
    ///
    /// # Errors
    /// When there is no leader, or its process isn't found.
    pub async fn lose(&self) -> Result<String> {
        let leader = self.leader().await?;
        signal(&leader, Signal::STOP)?;
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.pods.delete(&leader.name_any(), &at_once).await?;
        Ok(leader.name_any())
    }

    /// Waits until another pod than this one holds the lease, and gives its name.
    ///
    /// # Errors
    /// When none takes it in time.
    pub async fn another_leads(&self, former: &str, limit: Duration) -> Result<String> {
        wait_for("another replica leads", limit, async || {
            let leader = self.leader().await?.name_any();
            ensure!(leader != former, "{former} still holds the lease");
            Ok(leader)
        })
        .await
    }

    /// Makes way for somebody else who stands for the same Lease, as another operator would, until the [`Rival`] ends. Gives it when our operator
    /// has seen it.
    ///
    /// # Errors
    /// When the Lease can't be written, or ours does not stand back.
    pub async fn make_way(&self) -> Result<Rival> {
        let leases = self.leases.list(&ListParams::default()).await?.items;
        let [lease] = leases.as_slice() else { bail!("there are {} leases, not 1", leases.len()) };
        let (name, api) = (lease.name_any(), self.leases.clone());
        hold(&api, &name, RIVAL).await?;
        let renewing = tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(2)).await;
                // A renewal that fails is made up for by the next one.
                let _ = hold(&api, &name, RIVAL).await;
            }
        });
        let rival = Rival { renewing, lease: lease.name_any(), leases: self.leases.clone() };
        wait_for("the operator stands back", MINUTE, async || {
            let words = self.last_words(20).await?;
            let (lost, won) = (words.rfind("leadership lost"), words.rfind("leadership acquired"));
            ensure!(lost.is_some() && lost > won, "it has not lost its leadership: {words}");
            Ok(())
        })
        .await?;
        Ok(rival)
    }

    /// The last lines of each pod's log.
    ///
    /// # Errors
    /// When the pods can't be listed.
    pub async fn last_words(&self, lines: i64) -> Result<String> {
        let mut words = String::new();
        for pod in self.list().await? {
            let params = LogParams { tail_lines: Some(lines), ..LogParams::default() };
            let log = self.pods.logs(&pod.name_any(), &params).await.unwrap_or_else(|error| format!("no log: {error}\n"));
            words.push_str(&format!("{} (restarts {}):\n{log}", pod.name_any(), restarts(&pod)));
        }
        Ok(words)
    }

    /// How often the containers of each pod have been started again.
    ///
    /// # Errors
    /// When the pods can't be listed.
    pub async fn restarts(&self) -> Result<BTreeMap<String, i32>> {
        Ok(self.list().await?.iter().map(|pod| (pod.name_any(), restarts(pod))).collect())
    }

    async fn list(&self) -> Result<Vec<Pod>> {
        let selector = self.cluster.deployment().await?.spec.and_then(|spec| spec.selector.match_labels).unwrap_or_default();
        let labels: Vec<_> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Ok(self.pods.list(&ListParams::default().labels(&labels.join(","))).await?.items)
    }
}

/// Who holds the Lease in the place of the operator.
const RIVAL: &str = "former-operator_0";

/// Somebody else who holds the operator's Lease. When it is dropped, the Lease expires.
pub struct Rival {
    renewing: JoinHandle<()>,
    lease: String,
    leases: Api<Lease>,
}

impl Rival {
    /// Gives the Lease back, as an operator does that ends in good order.
    ///
    /// # Errors
    /// When the Lease can't be written.
    pub async fn end(self) -> Result<()> {
        self.renewing.abort();
        hold(&self.leases, &self.lease, "").await
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

async fn hold(leases: &Api<Lease>, name: &str, holder: &str) -> Result<()> {
    let now = k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
    let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": 15, "acquireTime": now, "renewTime": now});
    leases.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await?;
    Ok(())
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    statuses.iter().map(|status| status.restart_count).sum()
}
