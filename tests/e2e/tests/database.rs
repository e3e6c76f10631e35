//! Databases made, shown on the standby, dropped and kept by Database objects.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{MINUTE, Namespace, credentials, database, in_namespace, replicated, seconds, wait_for, with};
use serde_json::json;
use tokio::time::timeout;

const FINALIZER: &str = "database.k8s.dolthub.com/finalizer";

/// For what one write on one server should do.
const SOON: Duration = seconds(20);

#[tokio::test]
async fn a_database_object_makes_keeps_and_drops_a_database() -> Result<()> {
    in_namespace("database", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        namespace.apply(&replicated("dolt")).await?;
        // Together with the cluster, as a user would apply them: the order doesn't matter.
        let full = json!({"spec": {
            "charset": "utf8mb4",
            "collation": "utf8mb4_0900_ai_ci",
            "systemBranches": ["master", "global"],
            "doltIgnorePatterns": ["log_%", "tmp_%"],
        }});
        namespace.apply(&with(database("full", "dolt", "full"), full)).await?;
        namespace.apply(&with(database("kept", "dolt", "kept"), json!({"spec": {"cleanupPolicy": "Skip"}}))).await?;
        namespace.apply(&database("orphan", "dolt", "orphan")).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        for name in ["full", "kept", "orphan"] {
            namespace.ready("Database", name, MINUTE).await?;
        }

        it_has_what_the_object_asks_for(namespace).await.context("it has what the object asks for")?;
        what_is_written_to_it_appears_on_the_standby(namespace).await.context("what is written to it appears on the standby")?;
        more_branches_and_patterns_are_added(namespace).await.context("more branches and patterns are added")?;
        of_two_databases_the_older_one_counts(namespace).await.context("of two Databases the older one counts")?;
        deleting_the_object_keeps_the_database_with_skip(namespace).await.context("deleting the object keeps the database with Skip")?;
        deleting_the_object_drops_the_database(namespace).await.context("deleting the object drops the database")?;
        a_dead_standby_does_not_hold_up_a_deletion(namespace).await.context("a dead standby does not hold up a deletion")?;
        without_its_server_the_object_can_still_be_deleted(namespace).await.context("without its server the object can still be deleted")
    })
    .await
}

async fn it_has_what_the_object_asks_for(namespace: &Namespace) -> Result<()> {
    let primary = namespace.service("dolt-primary");
    let schema = "select default_character_set_name, default_collation_name from information_schema.schemata where schema_name = 'full'";
    let sets = primary.rows(schema).await?;
    ensure!(sets == [["utf8mb4", "utf8mb4_0900_ai_ci"]], "character set and collation are {sets:?}");
    let full = primary.database("full");
    let branches = full.column("select name from dolt_branches order by name").await?;
    ensure!(branches == ["global", "main", "master"], "the branches are {branches:?}");
    let patterns = full.column("select pattern from dolt_ignore where ignored order by pattern").await?;
    ensure!(patterns == ["log_%", "tmp_%"], "the ignore patterns are {patterns:?}");
    Ok(())
}

async fn what_is_written_to_it_appears_on_the_standby(namespace: &Namespace) -> Result<()> {
    let full = namespace.service("dolt-primary").database("full");
    full.rows("create table t (id int primary key)").await?;
    full.rows("insert into t values (41), (42)").await?;
    let standby = namespace.pod("dolt", 1).database("full");
    wait_for("the rows are on the standby", SOON, async || {
        let rows = standby.column("select id from t order by id").await?;
        ensure!(rows == ["41", "42"], "it has {rows:?}");
        Ok(())
    })
    .await
}

async fn more_branches_and_patterns_are_added(namespace: &Namespace) -> Result<()> {
    let more = json!({"spec": {"systemBranches": ["master", "global", "later"], "doltIgnorePatterns": ["log_%", "tmp_%", "old_%"]}});
    namespace.merge("Database", "full", &more).await?;
    namespace.ready("Database", "full", SOON).await?;
    let full = namespace.service("dolt-primary").database("full");
    let branches = full.column("select name from dolt_branches order by name").await?;
    ensure!(branches == ["global", "later", "main", "master"], "the branches are {branches:?}");
    let patterns = full.column("select pattern from dolt_ignore where ignored order by pattern").await?;
    ensure!(patterns == ["log_%", "old_%", "tmp_%"], "the ignore patterns are {patterns:?}");
    Ok(())
}

async fn of_two_databases_the_older_one_counts(namespace: &Namespace) -> Result<()> {
    namespace.apply(&database("elder", "dolt", "shared")).await?;
    namespace.ready("Database", "elder", SOON).await?;
    // Times of creation are in whole seconds.
    tokio::time::sleep(seconds(1)).await;
    for younger in ["leaves", "takes-over"] {
        let patterns = json!({"spec": {"doltIgnorePatterns": ["tmp_%"]}});
        namespace.apply(&with(database(younger, "dolt", "Shared"), patterns)).await?;
        namespace.complains("Database", younger, &["Database \"elder\"", "the database \"Shared\"", "older"], SOON).await?;
    }
    let shared = namespace.service("dolt-primary").database("shared");
    namespace.delete("Database", "leaves").await?;
    namespace.gone("Database", "leaves", SOON).await?;
    ensure!(shared.column("select pattern from dolt_ignore").await?.is_empty(), "the younger one has written");
    namespace.delete("Database", "elder").await?;
    namespace.gone("Database", "elder", SOON).await?;
    namespace.ready("Database", "takes-over", SOON).await?;
    ensure!(shared.column("select pattern from dolt_ignore").await? == ["tmp_%"], "the next one has not written");
    namespace.delete("Database", "takes-over").await?;
    namespace.gone("Database", "takes-over", SOON).await?;
    let left = namespace.service("dolt-primary").databases().await?;
    ensure!(!left.contains(&"shared".to_owned()), "the databases are {left:?}");
    Ok(())
}

async fn deleting_the_object_keeps_the_database_with_skip(namespace: &Namespace) -> Result<()> {
    has_the_finalizer(namespace, "kept").await?;
    namespace.delete("Database", "kept").await?;
    namespace.gone("Database", "kept", SOON).await?;
    let left = namespace.service("dolt-primary").databases().await?;
    ensure!(left.contains(&"kept".to_owned()), "the databases are {left:?}");
    Ok(())
}

async fn deleting_the_object_drops_the_database(namespace: &Namespace) -> Result<()> {
    has_the_finalizer(namespace, "full").await?;
    namespace.delete("Database", "full").await?;
    namespace.gone("Database", "full", SOON).await?;
    let left = namespace.service("dolt-primary").databases().await?;
    ensure!(!left.contains(&"full".to_owned()), "the databases are {left:?}");
    wait_for("it is gone from the standby", SOON, async || {
        let left = namespace.pod("dolt", 1).databases().await?;
        ensure!(!left.contains(&"full".to_owned()), "it has {left:?}");
        Ok(())
    })
    .await
}

async fn a_dead_standby_does_not_hold_up_a_deletion(namespace: &Namespace) -> Result<()> {
    namespace.apply(&database("doomed", "dolt", "doomed")).await?;
    namespace.ready("Database", "doomed", SOON).await?;
    // It takes connections and never answers, which is worse than being gone.
    namespace.freeze("dolt-1").await?;
    namespace.delete("Database", "doomed").await?;
    let standby = namespace.pod("dolt", 1);
    let (gone, silent) = tokio::join!(namespace.gone("Database", "doomed", SOON), timeout(seconds(3), standby.role()));
    let left = namespace.service("dolt-primary").databases().await;
    namespace.thaw("dolt-1").await?;
    gone?;
    ensure!(silent.is_err(), "the standby was not dead: {silent:?}");
    let left = left?;
    ensure!(!left.contains(&"doomed".to_owned()), "the databases are {left:?}");
    Ok(())
}

async fn without_its_server_the_object_can_still_be_deleted(namespace: &Namespace) -> Result<()> {
    namespace.delete("DoltDB", "dolt").await?;
    namespace.gone("DoltDB", "dolt", SOON).await?;
    namespace.delete("Database", "orphan").await?;
    namespace.gone("Database", "orphan", SOON).await
}

async fn has_the_finalizer(namespace: &Namespace, name: &str) -> Result<()> {
    let finalizers = &namespace.expect("Database", name).await?["metadata"]["finalizers"];
    ensure!(*finalizers == json!([FINALIZER]), "the finalizers of {name} are {finalizers}");
    Ok(())
}
