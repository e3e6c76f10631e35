//! A reconciler is replaced while the operator runs: no restart, no pod touched, nothing lost, and back again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::{
    Admin, MINUTE, ModuleMap, Namespace, Operator, credentials, database, in_namespace, seconds, shipped, standalone, variant, wait_for,
    wait_for_at_once,
};
use serde_json::{Value, json};

/// Swaps in a row.
const SWAPS: usize = 20;
/// Objects that change meanwhile.
const OBJECTS: usize = 6;
/// From the ConfigMap to its module being active.
const SOON: Duration = seconds(3);

#[tokio::test]
async fn a_config_map_replaces_a_reconciler_and_its_deletion_brings_back_the_images() -> Result<()> {
    in_namespace("swap", async |namespace| {
        let operator = Operator::of(&namespace.cluster);
        operator.settled().await?;
        let leader = operator.leader().await?;
        let map = ModuleMap::new(&namespace.cluster, "swap-database", "database");
        map.delete().await?;
        let outcome = swaps(namespace, &operator, &map).await;
        let now = operator.leader().await?;
        let same_pod = now.metadata.uid == leader.metadata.uid;
        let restarts = |pod: &k8s_openapi::api::core::v1::Pod| {
            pod.status.as_ref().and_then(|status| Some(status.container_statuses.as_ref()?.iter().map(|c| c.restart_count).sum::<i32>()))
        };
        let same = restarts(&now) == restarts(&leader);
        let crashed = if outcome.is_ok() { after_a_crash(&operator, &map).await } else { Ok(()) };
        map.delete().await?;
        outcome?;
        ensure!(same_pod && same, "the operator was restarted");
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
    let component = shipped("database")?;
    let image = active(&admin).await?;
    ensure!(image["source"]["from"] == "folder", "it runs already: {image}");

    let took = replaced(&admin, map, &component, "9.0.0").await?;
    e2e::say(format_args!("active {:.2} s after the ConfigMap was applied", took.as_secs_f64()));
    in_time(took)?;
    let standing = map.stands("Probation", seconds(10)).await?;
    ensure!(standing.contains("version 9.0.0 is active"), "the ConfigMap says {standing}");
    it_reconciles(namespace, &admin, "first").await.context("the new module reconciles")?;

    let deleted = Instant::now();
    map.delete().await?;
    let digest = image["digest"].clone();
    wait_for_at_once("the image's module is back", seconds(10), async || {
        let now = active(&admin).await?;
        ensure!(now["digest"] == digest, "version {} is active", now["version"]);
        Ok(())
    })
    .await?;
    e2e::say(format_args!("back {:.2} s after the ConfigMap was deleted", deleted.elapsed().as_secs_f64()));
    it_reconciles(namespace, &admin, "second").await.context("the image's module reconciles")?;

    refused(map, &component).await.context("a broken module is refused")?;
    many(namespace, &admin, map, &component).await.context("many swaps in a row")?;
    ensure!(active(&admin).await?["source"]["from"] == "configMap", "the last swap was not the last");
    namespace.no_pod_restarted_since(&before).await
}

/// On a machine that is busy with something else a time proves nothing: compiling takes about a second of both of its cores.
fn in_time(took: Duration) -> Result<()> {
    let load = std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0.0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    if took >= SOON && load > 2.0 * cores {
        e2e::say(format_args!("the machine is busy (load {load}): that it took {:.2} s is not held against it", took.as_secs_f64()));
        return Ok(());
    }
    ensure!(took < SOON, "it took {took:?}");
    Ok(())
}

/// The slot of Database in `/modules`.
async fn active(admin: &Admin) -> Result<Value> {
    let report: Value = serde_json::from_str(&admin.ask("/modules").await?)?;
    let slot = report.as_array().into_iter().flatten().find(|slot| slot["slot"] == "database");
    slot.cloned().context("/modules has no slot database")
}

/// Applies a variant and waits until it is active. Gives the time from the one to the other.
async fn replaced(admin: &Admin, map: &ModuleMap, component: &[u8], version: &str) -> Result<Duration> {
    let wasm = variant(component, version)?;
    let applied = Instant::now();
    map.apply(&wasm, &json!({})).await?;
    wait_for_at_once(format!("version {version} is active"), MINUTE, async || {
        let now = active(admin).await?;
        ensure!(now["version"] == version, "it is version {}: {}", now["version"], now["offers"]);
        Ok(applied.elapsed())
    })
    .await
}

/// A new object is decided about by the module that is active now.
async fn it_reconciles(namespace: &Namespace, admin: &Admin, name: &str) -> Result<()> {
    namespace.apply(&database(name, "dolt", name)).await?;
    namespace.ready("Database", name, MINUTE).await?;
    let digest = active(admin).await?["digest"].clone();
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

/// Under a load of changes: each of them is taken in by some module, and none fails.
async fn many(namespace: &Namespace, admin: &Admin, map: &ModuleMap, component: &[u8]) -> Result<()> {
    let names: Vec<String> = (0..OBJECTS).map(|n| format!("load{n}")).collect();
    for name in &names {
        namespace.apply(&database(name, "dolt", name)).await?;
    }
    for name in &names {
        namespace.ready("Database", name, MINUTE).await?;
    }
    let errors_before = failed(admin).await?;
    let mut changes = 0;
    let load = async {
        for n in 0.. {
            // Now and then a branch is added: work on the server, and a condition on the object.
            let branches: Vec<_> = (0..n / (4 * OBJECTS)).map(|i| format!("b{i}")).collect();
            let patch = json!({"metadata": {"annotations": {"example.com/n": n.to_string()}}, "spec": {"systemBranches": branches}});
            namespace.merge("Database", &names[n % OBJECTS], &patch).await?;
            changes = n;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        Ok::<_, anyhow::Error>(())
    };
    let swapping = async {
        let mut times = Vec::new();
        for n in 0..SWAPS {
            times.push(replaced(admin, map, component, &format!("8.{}.{}", n / 10, n % 10)).await?);
        }
        Ok::<_, anyhow::Error>(times)
    };
    let mut times = tokio::select! {
        ended = load => return ended.context("the load ended"),
        times = swapping => times?,
    };
    times.sort();
    let (median, worst) = (times[times.len() / 2].as_secs_f64(), times[times.len() - 1].as_secs_f64());
    e2e::say(format_args!("{SWAPS} swaps in a row under {changes} changes: median {median:.2} s, worst {worst:.2} s"));
    in_time(times[times.len() / 2])?;
    for name in &names {
        namespace.ready("Database", name, MINUTE).await.context("the last changes are taken in")?;
    }
    let errors = failed(admin).await?;
    ensure!(errors == errors_before, "rounds that failed were {errors_before:?} and are {errors:?}");
    Ok(())
}

/// What the metrics say of things that went wrong in the slot.
async fn failed(admin: &Admin) -> Result<Vec<String>> {
    let metrics = admin.ask("/metrics").await?;
    let wrong = |line: &&str| {
        line.contains("reconciler=\"database\"") && (line.contains("result=\"failed\"") || line.contains("_traps_total{"))
            || line.contains("module_swaps_total") && line.contains("rolled_back")
    };
    Ok(metrics.lines().filter(wrong).map(str::to_owned).collect())
}

async fn after_a_crash(operator: &Operator, map: &ModuleMap) -> Result<()> {
    map.stands("Probation", seconds(10)).await?;
    let admin = operator.admin().await?;
    let before = active(&admin).await?;
    drop(admin);
    let crashed = operator.crash().await?;
    operator.back(&crashed).await?;
    let now = wait_for("the admin server answers", 3 * MINUTE, async || active(&operator.admin().await?).await).await?;
    ensure!(now["digest"] == before["digest"], "version {} was active, and {} is", before["version"], now["version"]);
    let log = operator.log().await?;
    ensure!(!log.contains("a module was tried"), "what was tried before the crash was tried once more: {log}");
    Ok(())
}
