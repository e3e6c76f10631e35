//! The operator dies. Whatever it was doing goes on where the next one finds it, and no pod notices.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::{
    MINUTE, Namespace, Operator, Watched, credentials, database, in_namespace, replicated, seconds, standalone, wait_for, wait_for_at_once,
};
use serde_json::json;

/// Everything that a reconcile may write.
const WRITTEN: &[&str] =
    &["DoltDB", "Database", "StatefulSet", "Service", "ConfigMap", "ServiceAccount", "PodDisruptionBudget", "Pod", "Event"];

#[tokio::test]
async fn a_crash_at_any_moment_of_a_creation_is_made_up_for_and_restarts_no_pod() -> Result<()> {
    in_namespace("crash", async |namespace| {
        let operator = Operator::of(&namespace.cluster);
        operator.settled().await?;

        // Between the first children and the StatefulSet: a quota keeps the operator there.
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-sets"}, "spec": {"hard": {"count/statefulsets.apps": "0"}},
        });
        namespace.apply(&quota).await?;
        wait_for("the quota counts", MINUTE, async || {
            let quota = namespace.expect("ResourceQuota", "no-sets").await?;
            ensure!(!quota["status"]["hard"].is_null(), "it has no status");
            Ok(())
        })
        .await?;
        create(namespace, "first").await?;
        exists(namespace, "ConfigMap", "first-config").await?;
        let crashed = operator.crash().await?;
        namespace.delete("ResourceQuota", "no-sets").await?;
        operator.back(&crashed).await?;
        converges(namespace, "first").await?;

        // As soon as the StatefulSet is there: no server says its role yet.
        operator.renew().await?;
        create(namespace, "second").await?;
        exists(namespace, "StatefulSet", "second").await?;
        let crashed = operator.crash().await?;
        operator.back(&crashed).await?;
        converges(namespace, "second").await?;

        // While the servers come up: roles are told, labels and status are being written.
        operator.renew().await?;
        create(namespace, "third").await?;
        wait_for_at_once("a pod runs", MINUTE, async || {
            let pod = namespace.expect("Pod", "third-0").await?;
            ensure!(pod["status"]["phase"] == "Running", "it is {}", pod["status"]["phase"]);
            Ok(())
        })
        .await?;
        let crashed = operator.crash().await?;
        operator.back(&crashed).await?;
        converges(namespace, "third").await?;

        namespace.no_pod_ever_restarted().await?;
        // Nothing is left to do, so nothing is written: not by habit, and not because two writers disagree.
        let writes = Watched::start(namespace, WRITTEN).await?.within(seconds(15)).await?;
        ensure!(writes.is_empty(), "written without need: {writes:#?}");

        let before = namespace.pods().await?;
        let crashed = operator.crash().await?;
        operator.back(&crashed).await?;
        let writes = Watched::start(namespace, WRITTEN).await?.within(seconds(8)).await?;
        ensure!(writes.is_empty(), "written by an operator that found everything in order: {writes:#?}");
        namespace.no_pod_restarted_since(&before).await
    })
    .await
}

async fn create(namespace: &Namespace, name: &str) -> Result<()> {
    namespace.apply(&credentials(name)).await?;
    namespace.apply(&replicated(name)).await.map(drop)
}

async fn exists(namespace: &Namespace, kind: &str, name: &str) -> Result<()> {
    wait_for_at_once(format!("{kind} {name} exists"), MINUTE, async || namespace.expect(kind, name).await.map(drop)).await
}

async fn converges(namespace: &Namespace, name: &str) -> Result<()> {
    let doltdb = namespace.ready("DoltDB", name, 2 * MINUTE).await?;
    ensure!(doltdb["status"]["currentPrimary"] == format!("{name}-0"), "the status is {}", doltdb["status"]);
    let role = namespace.service(&format!("{name}-primary")).role().await?;
    ensure!(role == "primary", "Service {name}-primary leads to a {role}");
    let role = namespace.service(&format!("{name}-reader")).role().await?;
    ensure!(role == "standby", "Service {name}-reader leads to a {role}");
    Ok(())
}

#[tokio::test]
async fn writing_the_same_again_restarts_no_pod() -> Result<()> {
    in_namespace("same", async |namespace| {
        let manifest = replicated("dolt");
        namespace.apply(&credentials("dolt")).await?;
        namespace.apply(&manifest).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        let (before, set) = (namespace.pods().await?, namespace.expect("StatefulSet", "dolt").await?);

        namespace.apply(&manifest).await?;
        namespace.merge("DoltDB", "dolt", &json!({"metadata": {"annotations": {"example.com/note": "looked at"}}})).await?;
        namespace.merge("Secret", "dolt-credentials", &json!({"metadata": {"labels": {"example.com/note": "looked-at"}}})).await?;
        let writes = Watched::start(namespace, &["Pod"]).await?.within(seconds(6)).await?;
        ensure!(writes.is_empty(), "pods were touched: {writes:#?}");
        // The watch would have shown it: it shows this.
        wait_for("the DoltDB's note is on the StatefulSet", seconds(10), async || {
            let set = namespace.expect("StatefulSet", "dolt").await?;
            ensure!(set["metadata"]["annotations"]["example.com/note"] == "looked at", "it has {}", set["metadata"]["annotations"]);
            Ok(())
        })
        .await?;
        let watched = Watched::start(namespace, &["StatefulSet"]).await?;
        namespace.merge("DoltDB", "dolt", &json!({"metadata": {"annotations": {"example.com/note": null}}})).await?;
        ensure!(!watched.within(seconds(4)).await?.is_empty(), "a change of the StatefulSet went unseen");
        namespace.no_pod_restarted_since(&before).await?;
        let now = namespace.expect("StatefulSet", "dolt").await?;
        ensure!(now["spec"]["template"] == set["spec"]["template"], "the pods' template changed, so the next change would restart them");
        namespace.ready("DoltDB", "dolt", seconds(10)).await.map(drop)
    })
    .await
}

#[tokio::test]
async fn of_two_replicas_one_leads_and_the_other_takes_over_within_20_seconds() -> Result<()> {
    in_namespace("takeover", async |namespace| {
        let operator = Operator::of(&namespace.cluster);
        let replicas = operator.wanted().await?;
        namespace.apply(&credentials("dolt")).await?;
        namespace.apply(&standalone("dolt")).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        let before = namespace.pods().await?;

        operator.scale(2).await?;
        let outcome = async {
            let lost = Instant::now();
            let former = operator.lose().await?;
            namespace.apply(&database("app", "dolt", "app")).await?;
            let leader = operator.another_leads(&former, seconds(20)).await?;
            let took = lost.elapsed().as_secs_f64();
            e2e::say(format_args!("{leader} leads {took:.1} s after {former} was killed"));
            ensure!(took < 20.0, "nobody led for {took:.1} s");
            namespace.ready("Database", "app", seconds(20)).await.context("the new leader works")?;
            namespace.no_pod_restarted_since(&before).await
        };
        let outcome = outcome.await;
        let restored = operator.scale(replicas).await;
        outcome.and(restored)
    })
    .await
}
