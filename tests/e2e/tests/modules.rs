//! A reconciler is replaced while the operator runs: no restart, no pod touched, nothing lost, and back again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::{
    Admin, MINUTE, ModuleMap, Namespace, Operator, credentials, database, in_namespace, in_time, packed, seconds, shipped, standalone,
    variant, wait_for, wait_for_at_once,
};
use serde_json::{Value, json};

const SLOT: &str = "database";
/// From the ConfigMap to its module being active.
const SOON: Duration = seconds(6);

#[tokio::test]
async fn a_config_map_replaces_a_reconciler_and_its_deletion_brings_back_the_images() -> Result<()> {
    in_namespace("swap", async |namespace| {
        let operator = Operator::of(&namespace.cluster);
        operator.settled().await?;
        let before = operator.restarts().await?;
        let map = ModuleMap::new(&namespace.cluster, "swap-database", SLOT);
        map.delete().await?;
        let outcome = swaps(namespace, &operator, &map).await;
        let now = operator.restarts().await?;
        let crashed = if outcome.is_ok() { after_a_crash(&operator, &map).await } else { Ok(()) };
        map.delete().await?;
        outcome?;
        ensure!(now == before, "the operator was restarted: {before:?}, then {now:?}");
        crashed.context("after a crash it is as it was")?;
        operator.renew().await
    })
    .await
}

async fn swaps(namespace: &Namespace, operator: &Operator, map: &ModuleMap) -> Result<()> {
    namespace.apply(&credentials("dolt")).await?;
    namespace.apply(&standalone("dolt")).await?;
    namespace.apply(&database("app", "dolt", "app")).await?;
    namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
    namespace.ready("Database", "app", MINUTE).await?;
    let before = namespace.pods().await?;
    let admin = operator.admin().await?;
    let component = shipped(SLOT)?;
    let image = admin.slot(SLOT).await?;
    ensure!(image["source"]["from"] == "folder", "it runs already: {image}");

    let took = map.replaces(&admin, packed(&variant(&component, "9.0.0")?)?, "9.0.0").await?;
    e2e::say(format_args!("active {:.2} s after the ConfigMap was applied", took.as_secs_f64()));
    in_time(took, SOON)?;
    let standing = map.stands("Probation", seconds(10)).await?;
    ensure!(standing.contains("version 9.0.0 is active"), "the ConfigMap says {standing}");
    it_reconciles(namespace, &admin, "first").await.context("the new module reconciles")?;

    let deleted = Instant::now();
    map.delete().await?;
    let digest = image["digest"].clone();
    wait_for_at_once("the image's module is back", seconds(10), async || {
        let now = admin.slot(SLOT).await?;
        ensure!(now["digest"] == digest, "version {} is active", now["version"]);
        Ok(())
    })
    .await?;
    e2e::say(format_args!("back {:.2} s after the ConfigMap was deleted", deleted.elapsed().as_secs_f64()));
    it_reconciles(namespace, &admin, "second").await.context("the image's module reconciles")?;

    refused(map, &component).await.context("a broken module is refused")?;
    map.replaces(&admin, packed(&variant(&component, "9.0.1")?)?, "9.0.1").await.context("another one after that")?;
    namespace.no_pod_restarted_since(&before).await
}

/// A new object is decided about by the module that is active now.
async fn it_reconciles(namespace: &Namespace, admin: &Admin, name: &str) -> Result<()> {
    namespace.apply(&database(name, "dolt", name)).await?;
    namespace.ready("Database", name, MINUTE).await?;
    let digest = admin.slot(SLOT).await?["digest"].clone();
    let journals: Value = serde_json::from_str(&admin.ask("/journals/database").await?)?;
    let is_ours = |journal: &&Value| {
        let object = &journal["subject"]["object"];
        object["name"] == name && object["namespace"] == namespace.name.as_str()
    };
    let ours: Vec<_> = journals.as_array().into_iter().flatten().filter(is_ours).collect();
    ensure!(!ours.is_empty() && ours.iter().all(|journal| journal["module"] == digest), "others have decided about {name}");
    Ok(())
}

async fn refused(map: &ModuleMap, component: &[u8]) -> Result<()> {
    map.apply(&component[..component.len() / 2], &json!({})).await?;
    let standing = map.stands("Refused", MINUTE).await?;
    ensure!(standing.contains("not a valid component"), "it says {standing}");
    map.delete().await
}

async fn after_a_crash(operator: &Operator, map: &ModuleMap) -> Result<()> {
    map.stands("Probation", seconds(10)).await?;
    let admin = operator.admin().await?;
    let before = admin.slot(SLOT).await?;
    drop(admin);
    let crashed = operator.crash().await?;
    operator.back(&crashed).await?;
    let now = wait_for("the admin server answers", 3 * MINUTE, async || operator.admin().await?.slot(SLOT).await).await?;
    ensure!(now["digest"] == before["digest"], "version {} was active, and {} is", before["version"], now["version"]);
    let log = operator.log().await?;
    ensure!(!log.contains("a module was tried"), "what was tried before the crash was tried once more: {log}");
    Ok(())
}
