//! One DoltDB with clients that write to it: from its creation to the state after a fault, in which everything is read back.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use e2e::{MINUTE, Namespace, Sql, condition, credentials, replicated, seconds, text, wait_for, wait_for_at_once, with};
use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    check::{Found, Verdict, check},
    history::{Gap, History, Row},
    table,
    writer::{Log, Patience, Writing},
};

/// The name of the DoltDB.
pub const DOLTDB: &str = "dolt";

/// The Service that leads to its primary.
pub const PRIMARY: &str = "dolt-primary";

/// The Service that leads to its only server, when there is no other.
pub const STANDALONE: &str = "dolt";

/// Clients that write through the Service.
const CLIENTS: u32 = 2;
/// The numbers of clients that are connected to one pod begin here.
const PINNED: u32 = 100;
/// For a server that is asked what it has while something happens.
const AT_ONCE: Duration = seconds(3);
/// Writes that have to be acknowledged before something may go wrong, so that a gap is one.
const WARM: usize = 60;

/// A DoltDB under load.
pub struct Stage<'a> {
    /// Where it is.
    pub namespace: &'a Namespace,
    /// What the clients have seen.
    pub log: Log,
    /// What clients that stay with one pod have seen: no measure of what users notice, but nobody may get two answers.
    pub pinned: Log,
    /// When the first thing went wrong.
    pub fault: Option<Duration>,
    /// The rows that standbys had then, where that matters.
    pub replicated: BTreeSet<Row>,
    /// What is worth telling of this run.
    pub notes: Vec<String>,
    /// What was not as it should be.
    pub wrong: Vec<String>,
    writing: Vec<Writing>,
}

/// What became of a DoltDB under load.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The longest time that a client was without an acknowledgement.
    pub gap: Option<Gap>,
    /// How long an acknowledged write took in the middle.
    pub write: Option<Duration>,
    /// What clients were promised, compared with what is there; none where that can't be told.
    pub verdict: Option<Verdict>,
    /// What is worth telling.
    pub notes: Vec<String>,
    /// What was not as it should be.
    pub wrong: Vec<String>,
}

impl Run {
    /// What it came to, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        self.verdict.as_ref().map_or_else(|| "what is there can't be told".to_owned(), ToString::to_string)
    }

    /// The number of something, as far as it can be told.
    #[must_use]
    pub fn count(&self, count: fn(&Verdict) -> usize) -> usize {
        self.verdict.as_ref().map_or(0, count)
    }
}

impl<'a> Stage<'a> {
    /// Makes a DoltDB of so many servers with this primary, and clients that write to it until they are stopped. They come through the first of
    /// the Services that there is. `changes` are merged into the DoltDB.
    ///
    /// # Errors
    /// When it doesn't get ready.
    pub async fn set(namespace: &'a Namespace, replicas: u32, primary: u32, services: &[&str], changes: Value) -> Result<Self> {
        namespace.apply(&credentials(DOLTDB)).await?;
        let spec = json!({"spec": {"replicas": replicas, "replication": {"primary": {"podIndex": primary}}}});
        namespace.apply(&with(with(replicated(DOLTDB), spec), changes)).await?;
        namespace.ready("DoltDB", DOLTDB, 3 * MINUTE).await?;
        Self::over(namespace, primary, services).await
    }

    /// The same over a DoltDB of this name that is there already, whoever looks after it.
    ///
    /// # Errors
    /// When its servers take no writes, or don't replicate them.
    pub async fn over(namespace: &'a Namespace, primary: u32, services: &[&str]) -> Result<Self> {
        table::create(&namespace.service(PRIMARY)).await.context("the table of the measurements")?;
        let log = Log::default();
        let services: Vec<Sql> = services.iter().map(|name| namespace.service(name)).collect();
        let writing = vec![Writing::start(&log, 0..CLIENTS, &services, Patience::SHORT)];
        let pinned = log.beside();
        let (replicated, notes, wrong) = (BTreeSet::new(), Vec::new(), Vec::new());
        let stage = Self { namespace, log, pinned, fault: None, replicated, notes, wrong, writing };
        stage.log.flows(WARM, MINUTE).await?;
        wait_for("rows come to the standbys", MINUTE, async || {
            ensure!(!stage.on_others_than(primary).await.is_empty(), "there are none");
            Ok(())
        })
        .await?;
        Ok(stage)
    }

    /// Starts a client that writes to one pod, whatever the Service says, and waits until it is answered.
    ///
    /// # Errors
    /// When it isn't.
    pub async fn pin(&mut self, ordinal: u32, patience: Patience) -> Result<()> {
        let number = PINNED + u32::try_from(self.writing.len())?;
        self.writing.push(Writing::start(&self.pinned, number..number + 1, &[self.server(ordinal)], patience));
        self.pinned.flows(WARM / 3, MINUTE).await
    }

    /// Notes that from now on something goes wrong.
    pub fn strikes(&mut self) {
        self.fault.get_or_insert(self.log.now());
    }

    /// When the server that pinned clients were connected to first has acknowledged writes of theirs, as far as it was after `since`. A server
    /// that took its place, or the same one at a later epoch, is another one.
    #[must_use]
    pub fn late(&self, since: Duration) -> Vec<Duration> {
        let all = self.pinned.acknowledged_since(Duration::ZERO);
        let Some((_, first)) = all.last() else { return Vec::new() };
        all.iter().filter(|(at, server)| *at >= since && server == first).map(|(at, _)| *at).collect()
    }

    /// The server in a pod.
    #[must_use]
    pub fn server(&self, ordinal: u32) -> Sql {
        self.namespace.pod(DOLTDB, ordinal)
    }

    /// Changes the DoltDB.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn change(&self, patch: Value) -> Result<()> {
        self.namespace.merge("DoltDB", DOLTDB, &patch).await
    }

    /// The address of a pod.
    ///
    /// # Errors
    /// When it has none.
    pub async fn address(&self, ordinal: u32) -> Result<String> {
        let address = text(&self.namespace.expect("Pod", &pod(ordinal)).await?, "/status/podIP");
        ensure!(!address.is_empty(), "{} has no address", pod(ordinal));
        Ok(address)
    }

    /// The rows that all servers but this one have now, together. A server that doesn't answer at once has none.
    pub async fn on_others_than(&self, primary: u32) -> BTreeSet<Row> {
        let replicas = self.replicas().await.unwrap_or_default();
        let others: Vec<Sql> = (0..replicas).filter(|ordinal| *ordinal != primary).map(|ordinal| self.server(ordinal)).collect();
        let rows = join_all(others.iter().map(|server| timeout(AT_ONCE, table::rows(server)))).await;
        rows.into_iter().flatten().flatten().flatten().collect()
    }

    /// The ordinal of the primary, by the status.
    ///
    /// # Errors
    /// When the DoltDB can't be read.
    pub async fn primary(&self) -> Result<u32> {
        let doltdb = self.namespace.expect("DoltDB", DOLTDB).await?;
        doltdb["status"]["currentPrimaryPodIndex"].as_u64().and_then(|n| n.try_into().ok()).context("the status names no primary")
    }

    /// When each pod was made.
    ///
    /// # Errors
    /// When pods can't be read.
    pub async fn starts(&self) -> Result<Vec<String>> {
        let pods = self.namespace.list("Pod").await?;
        Ok(pods.iter().map(|pod| format!("{} {}", text(pod, "/metadata/name"), text(pod, "/metadata/creationTimestamp"))).collect())
    }

    /// How many servers there should be.
    ///
    /// # Errors
    /// When the DoltDB can't be read.
    pub async fn replicas(&self) -> Result<u32> {
        let doltdb = self.namespace.expect("DoltDB", DOLTDB).await?;
        doltdb["spec"]["replicas"].as_u64().and_then(|n| n.try_into().ok()).context("the DoltDB has no replicas")
    }

    /// Waits until this server says that it is primary, and the status says so too.
    ///
    /// # Errors
    /// With what is said instead.
    pub async fn leads(&self, ordinal: u32, limit: Duration) -> Result<()> {
        wait_for_at_once(format!("{} is primary", pod(ordinal)), limit, async || {
            let status = self.namespace.expect("DoltDB", DOLTDB).await?["status"].take();
            ensure!(status["currentPrimary"] == pod(ordinal), "the status says {}", status["currentPrimary"]);
            let role = self.server(ordinal).role().await?;
            ensure!(role == "primary", "it is {role}");
            Ok(())
        })
        .await
    }

    /// Waits until the DoltDB is Ready as it is written, with no pod of an older template, and so many pods as it should have.
    ///
    /// # Errors
    /// With what is not as it should be.
    pub async fn in_order(&self, limit: Duration) -> Result<()> {
        let start = tokio::time::Instant::now();
        self.namespace.ready("DoltDB", DOLTDB, limit).await?;
        wait_for("all pods are as they should be", limit.saturating_sub(start.elapsed()), async || {
            let doltdb = self.namespace.expect("DoltDB", DOLTDB).await?;
            let ready = condition(&doltdb, "Ready").context("it has no condition Ready")?;
            ensure!(ready.status == "True", "Ready is {}: {}", ready.reason, ready.message);
            let set = self.namespace.expect("StatefulSet", DOLTDB).await?;
            ensure!(set["status"]["observedGeneration"] == set["metadata"]["generation"], "the StatefulSet was changed just now");
            let revision = &set["status"]["updateRevision"];
            let mut pods = self.namespace.list("Pod").await?;
            pods.retain(|pod| text(pod, "/metadata/name").starts_with(&format!("{DOLTDB}-")));
            ensure!(doltdb["spec"]["replicas"].as_u64() == u64::try_from(pods.len()).ok(), "there are {} pods", pods.len());
            for pod in &pods {
                let (name, labels) = (text(pod, "/metadata/name"), &pod["metadata"]["labels"]);
                ensure!(labels["controller-revision-hash"] == *revision, "{name} is of an older template");
                ensure!(condition(pod, "Ready").is_some_and(|ready| ready.status == "True"), "{name} is not ready");
                ensure!(pod["metadata"]["deletionTimestamp"].is_null(), "{name} is on its way out");
            }
            Ok(())
        })
        .await
    }

    /// Waits until one server is primary, all others are standbys of its epoch, and all hold the same. Gives the primary's ordinal.
    ///
    /// # Errors
    /// With what is not so.
    pub async fn agree(&self, limit: Duration) -> Result<u32> {
        let replicas = self.replicas().await?;
        wait_for("there is one primary, and the standbys have what it has", limit, async || {
            if replicas == 1 {
                return Ok(0);
            }
            let servers: Vec<Sql> = (0..replicas).map(|ordinal| self.server(ordinal)).collect();
            let roles = try_join_all(servers.iter().map(async |server| {
                let rows = server.rows("select @@global.dolt_cluster_role, @@global.dolt_cluster_role_epoch").await?;
                rows.into_iter().next().context("a server has no role")
            }));
            let roles = roles.await?;
            let primaries: Vec<_> =
                (0..replicas).zip(&roles).filter(|(_, role)| role[0] == "primary").map(|(ordinal, _)| ordinal).collect();
            let [primary] = primaries[..] else { bail!("the servers say {roles:?}") };
            let standbys = roles.iter().filter(|role| role[0] == "standby").count();
            ensure!(standbys + 1 == roles.len() && roles.iter().all(|role| role[1] == roles[0][1]), "the servers say {roles:?}");
            let contents = try_join_all(servers.iter().map(table::content)).await?;
            ensure!(contents.iter().all(|content| *content == contents[0]), "the servers hold different data: {contents:?}");
            Ok(primary)
        })
        .await
    }

    /// Waits until writes are acknowledged and everything is in order again, stops the clients, and reads back what is there. What doesn't come
    /// in time is part of the outcome.
    pub async fn outcome(mut self, limit: Duration) -> Run {
        let mut wrong = std::mem::take(&mut self.wrong);
        let mut note = |outcome: Result<()>| wrong.extend(outcome.err().map(|error| format!("{error:#}")));
        note(self.log.flows(WARM, limit).await);
        note(self.in_order(limit).await);
        for writing in self.writing.drain(..) {
            writing.end().await;
        }
        let primary = self.agree(limit).await;
        let history = self.log.history();
        let gap = history.gap(self.fault.unwrap_or_default());
        let write = history.write();
        let history = history.and(self.pinned.history());
        let verdict = match primary {
            Ok(primary) => self.found(primary, &history).await.map(|found| check(&history, &found)),
            Err(error) => Err(error),
        };
        let verdict = match verdict {
            Ok(verdict) => {
                wrong.extend(verdict.wrong());
                Some(verdict)
            }
            Err(error) => {
                wrong.push(format!("what is there can't be told: {error:#}"));
                None
            }
        };
        Run { gap, write, verdict, notes: self.notes, wrong }
    }

    /// What is on all servers. Other places are searched only for what is not where it should be.
    async fn found(&self, primary: u32, history: &History) -> Result<Found> {
        let mut found = Found { replicated: self.replicated.clone(), ..Found::default() };
        for ordinal in 0..self.replicas().await? {
            let rows = table::rows(&self.server(ordinal)).await?;
            if ordinal == primary {
                found.primary = rows;
            } else {
                found.standbys.insert(pod(ordinal), rows);
            }
        }
        if !check(history, &found).lost.is_empty() {
            for ordinal in 0..self.replicas().await? {
                let aside = table::aside(&self.server(ordinal)).await?;
                found.aside.extend(aside.into_iter().map(|(place, rows)| (format!("{} {place}", pod(ordinal)), rows)));
            }
            let status = self.namespace.expect("DoltDB", DOLTDB).await?["status"].take();
            for kept in status["keptData"].as_array().into_iter().flatten() {
                let (pod, path) = (text(kept, "/pod"), text(kept, "/path"));
                found.aside.insert(format!("{pod} {path}"), table::kept(self.namespace, &pod, &path).await?);
            }
        }
        Ok(found)
    }
}

/// The pod of an ordinal.
#[must_use]
pub fn pod(ordinal: u32) -> String {
    format!("{DOLTDB}-{ordinal}")
}
