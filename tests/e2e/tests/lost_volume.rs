//! A standby loses its volume while nothing is written: to its primary, and to itself, it seems to have everything.

use anyhow::{Context, Result, ensure};
use e2e::{ADMIN, MINUTE, PASSWORD, credentials, in_namespace, replicated, seconds, wait_for};
use serde_json::{Value, json};

const COUNT: &str = "select count(*) from shop.items";

#[tokio::test]
async fn a_standby_that_lost_its_volume_is_told_and_takes_nothing_over() -> Result<()> {
    in_namespace("lost-volume", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        namespace.apply(&replicated("dolt")).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        let [primary, standby] = [0, 1].map(|ordinal| namespace.pod("dolt", ordinal).account(ADMIN, PASSWORD));
        for statement in
            ["create database shop", "create table shop.items (id int primary key)", "insert into shop.items values (1), (2), (3)"]
        {
            primary.rows(statement).await?;
        }
        let counts = |doltdb: &Value| doltdb["status"]["caughtUpStandbys"] == json!(["dolt-1"]);
        wait_for("the standby counts as caught up", MINUTE, async || {
            ensure!(standby.cell(COUNT).await? == "3", "it has not all rows");
            let doltdb = namespace.expect("DoltDB", "dolt").await?;
            ensure!(counts(&doltdb) && doltdb["status"]["databases"] == json!(["shop"]), "the status says {}", doltdb["status"]);
            Ok(())
        })
        .await?;
        let before = namespace.expect("DoltDB", "dolt").await?;

        // What it has in memory must not be written once more.
        namespace.freeze("dolt-1").await?;
        namespace.exec("dolt-1", &["sh", "-c", "rm -rf /db/* /db/.dolt*"]).await?;
        namespace.kill("dolt-1").await?;
        namespace.complains("DoltDB", "dolt", &["dolt-1 has lost its volume", "shop"], 2 * MINUTE).await?;
        // Dolt has made an empty database in the place of the one that is gone.
        wait_for("the empty database is there", seconds(20), async || {
            ensure!(standby.databases().await?.iter().any(|name| name == "shop"), "there is none");
            Ok(())
        })
        .await?;
        ensure!(standby.cell(COUNT).await.is_err(), "the standby has got its data back by itself: this test proves nothing");
        let doltdb = namespace.expect("DoltDB", "dolt").await?;
        ensure!(!counts(&doltdb), "the status says {}", doltdb["status"]);
        wait_for("it serves no readers", seconds(20), async || {
            let pod = namespace.expect("Pod", "dolt-1").await?;
            ensure!(pod["metadata"]["labels"]["k8s.dolthub.com/cluster-role"].is_null(), "its labels are {}", pod["metadata"]["labels"]);
            Ok(())
        })
        .await?;

        // Nobody takes the place of the primary. When it is back, it sends everything.
        namespace.kill("dolt-0").await?;
        let doltdb = wait_for("the primary is back, and its standby has everything", 3 * MINUTE, async || {
            let doltdb = namespace.ready("DoltDB", "dolt", seconds(10)).await?;
            ensure!(counts(&doltdb), "the status says {}", doltdb["status"]);
            ensure!(standby.cell(COUNT).await.context("on the standby")? == "3", "the standby has not all rows");
            Ok(doltdb)
        })
        .await?;
        ensure!(primary.cell(COUNT).await? == "3", "the primary has lost rows");
        ensure!(doltdb["status"]["currentPrimary"] == "dolt-0", "the primary has changed: {}", doltdb["status"]);
        let volumes = |doltdb: &Value| doltdb["status"]["volumes"].clone();
        ensure!(volumes(&doltdb)["dolt-0"] == volumes(&before)["dolt-0"], "the primary is on another volume");
        ensure!(volumes(&doltdb)["dolt-1"] != volumes(&before)["dolt-1"], "the standby is on the same volume");
        Ok(())
    })
    .await
}
