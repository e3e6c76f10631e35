//! Snapshots of a DoltDB's volumes, on schedule and with retention, and a DoltDB that is restored from one; volumes that grow. On a real storage driver
//! with the upstream sidecars.

use anyhow::{Context, Result, ensure};
use e2e::{MINUTE, Namespace, credentials, in_namespace, replicated, seconds, text, wait_for, with};
use serde_json::{Value, json};

/// The StorageClass of the development cluster whose volumes have snapshots and grow.
const CLASS: &str = "csi-hostpath";
const OTHER_PASSWORD: &str = "Zw4-basalt-Harbour-17";

fn on_csi(doltdb: Value) -> Value {
    with(doltdb, json!({"spec": {"storage": {"storageClassName": CLASS}}}))
}

#[tokio::test]
async fn snapshots_are_taken_on_schedule_and_a_new_doltdb_is_restored_from_one() -> Result<()> {
    in_namespace("snapshots", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        namespace.apply(&on_csi(replicated("dolt"))).await?;
        namespace.ready("DoltDB", "dolt", 3 * MINUTE).await?;
        let written = data_on_another_primary(namespace).await.context("data are written on another primary")?;
        sets_are_taken_and_the_oldest_go(namespace).await.context("sets are taken and the oldest go")?;
        a_restored_doltdb_has_one_primary_and_all_data(namespace, &written).await.context("a restored DoltDB has one primary and all data")
    })
    .await
}

/// Makes the second server primary, so that a copy of its volume says so of itself, and writes.
async fn data_on_another_primary(namespace: &Namespace) -> Result<Vec<Vec<String>>> {
    namespace.merge("DoltDB", "dolt", &json!({"spec": {"replication": {"primary": {"podIndex": 1}}}})).await?;
    wait_for("dolt-1 is primary", MINUTE, async || {
        let status = namespace.expect("DoltDB", "dolt").await?["status"].clone();
        ensure!(status["currentPrimary"] == "dolt-1" && status["transition"].is_null(), "the status says {status}");
        Ok(())
    })
    .await?;
    namespace.ready("DoltDB", "dolt", MINUTE).await?;
    let primary = namespace.service("dolt-primary");
    // The Service follows the pods' labels within moments, and a client tries again meanwhile.
    wait_for("dolt-primary leads to the new primary", seconds(20), async || primary.rows("create database if not exists shop").await)
        .await?;
    let shop = primary.database("shop");
    shop.rows("create table orders (id int primary key, words text)").await?;
    shop.rows("insert into orders values (1, 'one'), (2, 'two'), (3, 'it''s three')").await?;
    shop.rows("call dolt_commit('-Am', 'orders')").await?;
    shop.rows("insert into orders values (4, 'not committed')").await?;
    shop.rows("select * from orders order by id").await
}

async fn sets_are_taken_and_the_oldest_go(namespace: &Namespace) -> Result<()> {
    let snapshot = json!({
        "apiVersion": "k8s.dolthub.com/v1alpha",
        "kind": "Snapshot",
        "metadata": {"name": "often"},
        "spec": {"doltDBRef": {"name": "dolt"}, "frequencySchedule": "@every 4s", "retention": {"sets": 2}, "image": "example/kubectl"},
    });
    namespace.apply(&snapshot).await?;
    let mut seen = std::collections::BTreeSet::new();
    wait_for("three sets were ready", 2 * MINUTE, async || {
        let status = namespace.expect("Snapshot", "often").await?["status"].clone();
        if status["lastSet"]["ready"] == true {
            seen.insert(text(&status, "/lastSet/name"));
        }
        ensure!(seen.len() >= 3, "so far {seen:?}; the status says {status}");
        Ok(())
    })
    .await?;
    namespace.merge("Snapshot", "often", &json!({"spec": {"suspend": true}})).await?;
    let (status, left) = wait_for("two sets are left", MINUTE, async || {
        let status = namespace.expect("Snapshot", "often").await?["status"].clone();
        let left = namespace.list("VolumeSnapshot").await?;
        ensure!(status["lastSet"]["ready"] == true && status["nextScheduleTime"].is_null(), "the status says {status}");
        ensure!(status["sets"] == 2 && left.len() == 4, "there are {} snapshots, the status says {status}", left.len());
        Ok((status, left))
    })
    .await?;
    ensure!(namespace.list("CronJob").await?.is_empty(), "there are CronJobs");
    let last = text(&status, "/lastSet/name");
    let restore_from = text(&status, "/restoreFrom");
    ensure!(restore_from == format!("dolt-data-dolt-1-{last}"), "restoreFrom is {restore_from}, the set {last}");
    for (ordinal, role) in [(0, "standby"), (1, "primary")] {
        let claim = format!("dolt-data-dolt-{ordinal}");
        let name = format!("{claim}-{last}");
        let one = left.iter().find(|snapshot| snapshot["metadata"]["name"] == name).with_context(|| format!("there is no {name}"))?;
        let expected = json!({
            "app.kubernetes.io/part-of": "dolt",
            "app.kubernetes.io/managed-by": "often",
            "k8s.dolthub.com/snapshot-set": last,
            "k8s.dolthub.com/cluster-role": role,
        });
        ensure!(one["metadata"]["labels"] == expected, "the labels are {}", one["metadata"]["labels"]);
        let spec = json!({"volumeSnapshotClassName": CLASS, "source": {"persistentVolumeClaimName": claim}});
        ensure!(one["spec"] == spec, "the spec is {}", one["spec"]);
    }
    Ok(())
}

async fn a_restored_doltdb_has_one_primary_and_all_data(namespace: &Namespace, written: &[Vec<String>]) -> Result<()> {
    let from = text(&namespace.expect("Snapshot", "often").await?, "/status/restoreFrom");
    // Another account than the one that is on the volume.
    namespace.apply(&with(credentials("copy"), json!({"stringData": {"admin-user": "boss", "admin-password": OTHER_PASSWORD}}))).await?;
    namespace.apply(&with(on_csi(replicated("copy")), json!({"spec": {"storage": {"volumeSnapshot": from}}}))).await?;
    let copy = namespace.ready("DoltDB", "copy", 2 * MINUTE).await?;
    ensure!(copy["status"]["restoredFrom"] == from, "the status says {}", copy["status"]);
    ensure!(copy["status"]["replicationStatus"] == json!({"copy-0": "primary", "copy-1": "standby"}), "the status says {}", copy["status"]);
    let server = |ordinal| namespace.pod("copy", ordinal).account("boss", OTHER_PASSWORD);
    for (ordinal, role) in [(0, "primary"), (1, "standby")] {
        let is = server(ordinal).role().await?;
        ensure!(is == role, "copy-{ordinal} says that it is {is}");
        let rows = server(ordinal).database("shop").rows("select * from orders order by id").await?;
        ensure!(rows == written, "copy-{ordinal} has {rows:?}, written were {written:?}");
    }
    // It replicates, and its restarted servers keep the roles that they have by then.
    let primary = namespace.service("copy-primary").account("boss", OTHER_PASSWORD).database("shop");
    primary.rows("insert into orders values (5, 'after the restore')").await?;
    wait_for("the standby has what was written after the restore", seconds(20), async || {
        let count = server(1).database("shop").cell("select count(*) from orders").await?;
        ensure!(count == "5", "it has {count} rows");
        Ok(())
    })
    .await?;
    let old = namespace.pod("copy", 0).rows("select 1").await;
    ensure!(old.is_ok(), "the accounts of the snapshot are gone: {old:?}");
    namespace.delete("Pod", "copy-1").await?;
    wait_for("copy-1 is back as a standby with all rows", 2 * MINUTE, async || {
        let pods = namespace.pods().await?;
        ensure!(pods.get("copy-1").is_some_and(|pod| pod.ready && pod.role == "standby"), "the pods are {pods:?}");
        let count = server(1).database("shop").cell("select count(*) from orders").await?;
        ensure!(count == "5", "it has {count} rows");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn volumes_grow_while_a_client_writes_and_no_pod_is_restarted() -> Result<()> {
    in_namespace("resize", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        namespace.apply(&on_csi(replicated("dolt"))).await?;
        namespace.ready("DoltDB", "dolt", 3 * MINUTE).await?;
        let primary = namespace.service("dolt-primary");
        primary.rows("create database shop").await?;
        let shop = primary.database("shop");
        shop.rows("create table orders (id int primary key auto_increment, at timestamp default current_timestamp)").await?;
        let pods = namespace.pods().await?;
        let old = namespace.expect("StatefulSet", "dolt").await?;

        namespace.merge("DoltDB", "dolt", &json!({"spec": {"storage": {"size": "512Mi"}}})).await?;
        let mut written = 0_u32;
        let doltdb = wait_for("the storage is resized", 3 * MINUTE, async || {
            shop.rows("insert into orders () values ()").await?;
            written += 1;
            let doltdb = namespace.expect("DoltDB", "dolt").await?;
            let resized = e2e::condition(&doltdb, "StorageResized").context("there is no condition StorageResized")?;
            ensure!(resized.status == "True", "{}: {}", resized.reason, resized.message);
            Ok(doltdb)
        })
        .await?;
        ensure!(e2e::condition(&doltdb, "StorageResized").is_some_and(|resized| resized.reason == "StorageResized"), "{doltdb}");
        for ordinal in 0..2 {
            let claim = namespace.expect("PersistentVolumeClaim", &format!("dolt-data-dolt-{ordinal}")).await?;
            ensure!(claim["status"]["capacity"]["storage"] == "512Mi", "the claim's status is {}", claim["status"]);
        }
        let set = namespace.expect("StatefulSet", "dolt").await?;
        ensure!(set["metadata"]["uid"] != old["metadata"]["uid"], "the StatefulSet is the same as before");
        let size = set["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"].clone();
        ensure!(size == "512Mi", "new volumes would have {size}");
        namespace.ready("DoltDB", "dolt", MINUTE).await?;
        namespace.no_pod_restarted_since(&pods).await?;
        let count = shop.cell("select count(*) from orders").await?;
        ensure!(count.parse() == Ok(written), "{written} rows were acknowledged, {count} are there");
        // The new StatefulSet looks after the pods as the old one did.
        namespace.delete("Pod", "dolt-1").await?;
        wait_for("dolt-1 is made again", 2 * MINUTE, async || {
            let now = namespace.pods().await?;
            ensure!(now.get("dolt-1").is_some_and(|pod| pod.ready && pod.uid != pods["dolt-1"].uid), "the pods are {now:?}");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn volumes_that_cannot_grow_say_so_and_nothing_is_done() -> Result<()> {
    in_namespace("fixed", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        let fixed = json!({"spec": {"storage": {"storageClassName": "csi-hostpath-fixed"}}});
        namespace.apply(&with(e2e::standalone("dolt"), fixed)).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        let pods = namespace.pods().await?;
        namespace.merge("DoltDB", "dolt", &json!({"spec": {"storage": {"size": "512Mi"}}})).await?;
        wait_for("the condition says why", MINUTE, async || {
            let doltdb = namespace.expect("DoltDB", "dolt").await?;
            let resized = e2e::condition(&doltdb, "StorageResized").context("there is no condition StorageResized")?;
            ensure!(resized.status == "False" && resized.reason == "ResizeRefused", "{resized:?}");
            ensure!(resized.message.contains("csi-hostpath-fixed") && resized.message.contains("allowVolumeExpansion"), "{resized:?}");
            Ok(())
        })
        .await?;
        namespace.no_pod_restarted_since(&pods).await
    })
    .await
}
