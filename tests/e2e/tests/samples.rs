//! The Go operator's samples, and what its integration tests do with a cluster of three: it gets ready, loses its primary again and again, gets
//! another one by wish, and is updated.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context, Result, ensure};
use e2e::{MINUTE, Namespace, condition, credentials, engine_version, in_namespace, password, seconds, standalone, text, wait_for, with};
use serde_json::{Value, json};

/// The DoltDB of the samples.
const NAME: &str = "dolt";
/// The password in the Secret of the sample's User.
const SECRET: &str = "sample-Password-1";
/// Those of which something comes: the others have to do with a DoltDB that is not among them, or with volume snapshots. That all of them are
/// accepted as they are is another test's business.
const SAMPLES: [&str; 4] = ["sample-doltdb", "sample-database", "sample-user", "sample-grant"];

/// A sample in this namespace, on this machine: another version of Dolt, fewer resources, no volume from a snapshot.
fn here(namespace: &Namespace, sample: Value) -> Value {
    let mut sample = sample;
    if sample["spec"]["doltDBRef"]["namespace"].is_string() {
        sample["spec"]["doltDBRef"]["namespace"] = json!(namespace.name);
    }
    if sample["kind"] != "DoltDB" {
        return sample;
    }
    let small = standalone(NAME)["spec"].take();
    with(
        sample,
        json!({"spec": {
            "engineVersion": engine_version(), "image": small["image"], "resources": small["resources"], "replicas": 3,
            "storage": {"volumeSnapshot": null},
        }}),
    )
}

#[tokio::test]
async fn the_samples_of_the_go_operator_get_ready_and_their_cluster_fails_over_switches_over_and_updates() -> Result<()> {
    in_namespace("samples", async |namespace| {
        namespace.apply(&credentials(NAME)).await?;
        namespace.apply(&password("doltdb-sample-user", SECRET)).await?;
        for name in SAMPLES {
            for sample in e2e::file(&format!("crds/tests/valid/{name}.yaml"))? {
                namespace.apply(&here(namespace, sample)).await?;
            }
        }
        namespace.ready("DoltDB", NAME, 3 * MINUTE).await?;
        for (kind, name) in [("Database", "database-sample"), ("User", "sample-user"), ("Grant", "sample-grant")] {
            namespace.ready(kind, name, MINUTE).await?;
        }
        should_reconcile(namespace).await.context("should reconcile")?;
        should_fail_and_switch_over_primary(namespace).await.context("should fail and switch over primary")?;
        should_update(namespace).await.context("should update")?;
        // Nobody had a hand in these: what they are about has been here all the time.
        let account = namespace.service("dolt-primary").account("sample-user", SECRET).database("dbsample");
        ensure!(account.column("select name from dolt_branches order by name").await? == ["global", "main", "master"]);
        ensure!(account.column("select id from written order by id").await? == ["1", "2", "3"], "rows are lost");
        Ok(())
    })
    .await
}

async fn should_reconcile(namespace: &Namespace) -> Result<()> {
    let doltdb = namespace.expect("DoltDB", NAME).await?;
    ensure!(doltdb["status"]["currentPrimary"] == "dolt-0", "the status is {}", doltdb["status"]);
    let roles: Vec<_> = namespace.pods().await?.into_values().map(|pod| pod.role).collect();
    ensure!(roles == ["primary", "standby", "standby"], "the pods are {roles:?}");
    leads(namespace, 0).await?;
    let reader = namespace.service("dolt-reader").role().await?;
    ensure!(reader == "standby", "Service dolt-reader leads to a {reader}");
    namespace.expect("PodDisruptionBudget", "dolt-pdb").await?;
    let config = text(&namespace.expect("ConfigMap", "dolt-config").await?, "/data/dolt-2.yaml");
    for line in ["max_connections: 2048", "log_level: warning", "enable: true", "bootstrap_role: standby", "app: dolt"] {
        ensure!(config.contains(line), "there is no {line:?} in {config}");
    }
    let pod = namespace.expect("Pod", "dolt-0").await?;
    ensure!(pod["metadata"]["annotations"]["prometheus.io/port"] == "8080", "the pod's metadata is {}", pod["metadata"]);
    let database = namespace.service("dolt-primary").database("dbsample");
    database.rows("create table written (id int primary key)").await?;
    database.rows("insert into written values (1)").await?;
    Ok(())
}

async fn should_fail_and_switch_over_primary(namespace: &Namespace) -> Result<()> {
    let start = Instant::now();
    let mut ended = BTreeSet::new();
    // As often as there is one, for 10 s.
    while start.elapsed() < seconds(10) {
        let uid = wait_for("the first pod is there", MINUTE, async || {
            let pod = namespace.expect("Pod", "dolt-0").await?;
            ensure!(pod["metadata"]["deletionTimestamp"].is_null(), "it is on its way out");
            Ok(text(&pod, "/metadata/uid"))
        })
        .await?;
        if ended.insert(uid) {
            namespace.delete("Pod", "dolt-0").await?;
        }
    }
    e2e::say(format_args!("the first pod was deleted {} times", ended.len()));
    let doltdb = all_is_well(namespace).await?;
    let primary = doltdb["status"]["currentPrimaryPodIndex"].as_u64().context("nobody is primary")?;
    ensure!(primary != 0, "the primary that was deleted is primary still: {}", doltdb["status"]);
    leads(namespace, primary).await?;
    namespace.service("dolt-primary").database("dbsample").rows("insert into written values (2)").await?;

    let other = 3 - primary;
    namespace.merge("DoltDB", NAME, &json!({"spec": {"replication": {"primary": {"podIndex": other}}}})).await?;
    wait_for("the wish is granted", MINUTE, async || {
        let status = &namespace.expect("DoltDB", NAME).await?["status"];
        ensure!(status["currentPrimaryPodIndex"] == other, "the status is {status}");
        Ok(())
    })
    .await?;
    all_is_well(namespace).await?;
    leads(namespace, other).await
}

async fn should_update(namespace: &Namespace) -> Result<()> {
    let before = namespace.pods().await?;
    namespace.service("dolt-primary").database("dbsample").rows("insert into written values (3)").await?;
    let change = json!({
        "metadata": {"annotations": {"k8s.dolthub.com/updated": "yes"}},
        "spec": {"resources": {"requests": {"cpu": "60m"}}},
    });
    namespace.merge("DoltDB", NAME, &change).await?;
    wait_for("every pod was replaced", 3 * MINUTE, async || {
        let now = namespace.pods().await?;
        let old: Vec<_> = before.iter().filter(|(name, pod)| now.get(*name).is_none_or(|now| now.uid == pod.uid || !now.ready)).collect();
        ensure!(old.is_empty(), "still there are {old:?}");
        Ok(())
    })
    .await?;
    let doltdb = all_is_well(namespace).await?;
    let updated = condition(&doltdb, "Updated").context("there is no condition Updated")?;
    ensure!(updated.status == "True", "{updated:?}");
    for pod in namespace.list("Pod").await? {
        let cpu = &pod["spec"]["containers"][0]["resources"]["requests"]["cpu"];
        ensure!(cpu == "60m", "{} asks for {cpu}", text(&pod, "/metadata/name"));
    }
    Ok(())
}

/// Waits until the DoltDB is Ready with all its pods, and gives it.
async fn all_is_well(namespace: &Namespace) -> Result<Value> {
    wait_for("the DoltDB is Ready, with three pods", 3 * MINUTE, async || {
        let doltdb = namespace.expect("DoltDB", NAME).await?;
        let ready = condition(&doltdb, "Ready").context("it has no condition Ready")?;
        ensure!(ready.status == "True" && ready.generation == doltdb["metadata"]["generation"].as_i64(), "{ready:?}");
        let pods = namespace.pods().await?;
        ensure!(pods.len() == 3 && pods.values().all(|pod| pod.ready), "the pods are {pods:?}");
        Ok(doltdb)
    })
    .await
}

/// The primary's Service leads to this pod, which says that it is primary.
async fn leads(namespace: &Namespace, ordinal: u64) -> Result<()> {
    let pod = format!("{NAME}-{ordinal}");
    wait_for(format!("Service dolt-primary leads to {pod}"), MINUTE, async || {
        let selector = namespace.expect("Service", "dolt-primary").await?["spec"]["selector"].take();
        ensure!(selector["statefulset.kubernetes.io/pod-name"] == pod, "it selects {selector}");
        let primary = namespace.service("dolt-primary");
        let (host, role) = (primary.cell("select @@hostname").await?, primary.role().await?);
        ensure!(host == pod && role == "primary", "it leads to {host}, a {role}");
        Ok(())
    })
    .await
}
