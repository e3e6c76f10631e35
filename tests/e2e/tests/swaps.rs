//! Two versions of a reconciler that take turns, many times in a row, while objects change and a client writes: nothing is lost, nothing is
//! done twice, nothing is restarted.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{
    Admin, MINUTE, ModuleMap, Namespace, Operator, credentials, database, in_namespace, in_time, packed, replicated, shipped, variant,
};
use mysql_async::{Conn, prelude::Queryable};
use serde_json::json;

/// Swaps in a row, of each reconciler.
const SWAPS: usize = 20;
/// Versions that take turns. The first swap to each of them is the only one that has to compile.
const VERSIONS: [&str; 2] = ["8.0.0", "8.0.1"];
/// Objects that change meanwhile.
const OBJECTS: usize = 6;
/// A change is made this often.
const PACE: Duration = Duration::from_millis(150);
/// So many changes of an object until it is given one more branch.
const CHANGES_A_BRANCH: usize = 4;
/// From the ConfigMap to its module being active, for a module that was never seen, and for one that is in the cache. What is wanted is 3 s and
/// 0.7 s; two cores that also run the cluster, the client and the changes take up to twice as long for the largest module.
const NEW: Duration = Duration::from_secs(10);
const CACHED: Duration = Duration::from_secs(2);

#[tokio::test]
async fn swaps_in_a_row_under_load_lose_nothing_and_do_nothing_twice() -> Result<()> {
    in_namespace("swaps", async |namespace| {
        let operator = Operator::of(&namespace.cluster);
        operator.settled().await?;
        let before = operator.restarts().await?;
        let maps = ["database", "doltdb"].map(|slot| (slot, ModuleMap::new(&namespace.cluster, &format!("swaps-{slot}"), slot)));
        let outcome = swaps(namespace, &operator, &maps).await;
        for (_, map) in &maps {
            map.delete().await?;
        }
        outcome?;
        let after = operator.restarts().await?;
        ensure!(after == before, "the operator was restarted: {before:?}, then {after:?}");
        Ok(())
    })
    .await
}

async fn swaps(namespace: &Namespace, operator: &Operator, maps: &[(&str, ModuleMap)]) -> Result<()> {
    namespace.apply(&credentials("dolt")).await?;
    namespace.apply(&replicated("dolt")).await?;
    for n in 0..OBJECTS {
        namespace.apply(&database(&name(n), "dolt", &name(n))).await?;
    }
    namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
    for n in 0..OBJECTS {
        namespace.ready("Database", &name(n), MINUTE).await?;
    }
    let pods = namespace.pods().await?;
    let admin = operator.admin().await?;
    let faults = faults(&admin, maps).await?;
    let made = statements(operator, namespace).await?;

    let (mut written, mut changes) = (0, 0);
    let took = tokio::select! {
        ended = writes(namespace, &mut written) => return ended.context("the client that writes"),
        ended = changing(namespace, &mut changes) => return ended.context("the objects that change"),
        took = all_swaps(&admin, maps) => took?,
    };
    e2e::say(format_args!("{changes} changes and {written} writes meanwhile"));
    for (slot, times) in took {
        // Both versions are new once.
        let (new, cached) = times.split_at(VERSIONS.len());
        for (what, times, limit) in [("never seen", new, NEW), ("in the cache", cached, CACHED)] {
            let (median, worst) = middle_and_worst(times);
            e2e::say(format_args!("{slot}: {} swaps to a module {what}: median {median:.2?}, worst {worst:.2?}", times.len()));
            in_time(median, limit)?;
        }
    }

    for n in 0..OBJECTS {
        namespace.ready("Database", &name(n), MINUTE).await.context("the last changes are taken in")?;
        let branches =
            namespace.service("dolt-primary").database(&name(n)).column("select name from dolt_branches where name like 'b%'").await?;
        let wanted = branches_after(changes, n);
        ensure!(branches.len() == wanted, "{} has branches {branches:?} after {changes} changes", name(n));
    }
    let made = statements(operator, namespace).await? - made;
    let wanted: usize = (0..OBJECTS).map(|n| branches_after(changes, n)).sum();
    ensure!(made <= wanted, "{made} statements made {wanted} branches: some were sent twice");
    let rows: usize = namespace.service("dolt-primary").database(&name(0)).cell("select count(*) from written").await?.parse()?;
    // The last one may have been on its way.
    ensure!(rows == written || rows == written + 1, "{written} writes were acknowledged, and there are {rows}");
    let now = self::faults(&admin, maps).await?;
    ensure!(now == faults, "rounds that failed were {faults:?} and are {now:?}");
    namespace.no_pod_restarted_since(&pods).await
}

async fn all_swaps<'a>(admin: &Admin, maps: &'a [(&str, ModuleMap)]) -> Result<Vec<(&'a str, Vec<Duration>)>> {
    let mut all = Vec::new();
    for (slot, map) in maps {
        let component = shipped(slot)?;
        let versions = VERSIONS.map(|version| Ok((version, packed(&variant(&component, version)?)?)));
        let versions: Vec<(&str, Vec<u8>)> = versions.into_iter().collect::<Result<_>>()?;
        let mut times = Vec::new();
        for (version, packed) in versions.iter().cycle().take(SWAPS) {
            times.push(map.replaces(admin, packed.clone(), version).await?);
        }
        all.push((*slot, times));
    }
    Ok(all)
}

async fn faults(admin: &Admin, maps: &[(&str, ModuleMap)]) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for (slot, _) in maps {
        faults.extend(admin.faults(slot).await?);
    }
    Ok(faults)
}

/// One row after the other by one connection: an error of it ends the test.
async fn writes(namespace: &Namespace, written: &mut usize) -> Result<()> {
    let mut conn = Conn::new(namespace.service("dolt-primary").database(&name(0)).opts()).await?;
    conn.query_drop("create table written (id int primary key)").await?;
    loop {
        conn.exec_drop("insert into written values (?)", (*written,)).await?;
        *written += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Changes one object after the other; now and then one is given a branch: work on the server.
async fn changing(namespace: &Namespace, changes: &mut usize) -> Result<()> {
    loop {
        let (object, n) = (*changes % OBJECTS, *changes);
        let branches: Vec<_> = (0..branches_after(n + 1, object)).map(|i| format!("b{i}")).collect();
        let patch = json!({"metadata": {"annotations": {"example.com/n": n.to_string()}}, "spec": {"systemBranches": branches}});
        // Counted before: a change that is on its way when the swaps end is made.
        *changes += 1;
        namespace.merge("Database", &name(object), &patch).await?;
        tokio::time::sleep(PACE).await;
    }
}

/// How many branches an object wants after so many changes of all objects.
fn branches_after(changes: usize, object: usize) -> usize {
    let own = (changes + OBJECTS - 1 - object) / OBJECTS;
    own / CHANGES_A_BRANCH
}

fn name(n: usize) -> String {
    format!("load{n}")
}

fn middle_and_worst(times: &[Duration]) -> (Duration, Duration) {
    let mut times = times.to_vec();
    times.sort();
    (times[times.len() / 2], times[times.len() - 1])
}

/// How many writing effects on servers the operator's log tells of for Databases of the namespace.
async fn statements(operator: &Operator, namespace: &Namespace) -> Result<usize> {
    let about = format!("\"object\":\"Database {}/", namespace.name);
    Ok(operator.log().await?.lines().filter(|line| line.contains(&about) && line.contains("\"effect\":\"sql\"")).count())
}
