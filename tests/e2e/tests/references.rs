//! Objects that refer to a DoltDB in another namespace: only while it allows that.

use anyhow::{Result, ensure};
use e2e::{MINUTE, credentials, database, grant, in_namespace, password, seconds, standalone, user, with};
use serde_json::json;

#[tokio::test]
async fn a_doltdb_is_used_from_another_namespace_as_long_as_it_allows_that() -> Result<()> {
    in_namespace("owner", async |owner| in_namespace("tenant", async |tenant| refer(owner, tenant).await).await).await
}

async fn refer(owner: &e2e::Namespace, tenant: &e2e::Namespace) -> Result<()> {
    owner.apply(&credentials("dolt")).await?;
    owner.apply(&standalone("dolt")).await?;
    let there = json!({"spec": {"doltDBRef": {"namespace": owner.name}, "requeueInterval": "2s"}});
    tenant.apply(&password("app", "tenant-Password")).await?;
    tenant.apply(&with(database("shop", "dolt", "shop"), there.clone())).await?;
    tenant.apply(&with(user("app", "dolt", "app", "app"), there.clone())).await?;
    tenant.apply(&with(grant("app", "dolt", "app", &["ALL"]), with(there, json!({"spec": {"database": "shop"}})))).await?;
    owner.ready("DoltDB", "dolt", 2 * MINUTE).await?;
    let objects = [("Database", "shop"), ("User", "app"), ("Grant", "app")];
    let refused = ["spec.doltDBRef.namespace", "its owner has to add", tenant.name.as_str(), "spec.allowedNamespaces"];
    for (kind, name) in objects {
        tenant.complains(kind, name, &refused, seconds(30)).await?;
    }

    owner.merge("DoltDB", "dolt", &json!({"spec": {"allowedNamespaces": [tenant.name]}})).await?;
    for (kind, name) in objects {
        tenant.ready(kind, name, seconds(30)).await?;
    }
    let app = owner.service("dolt").account("app", "tenant-Password").database("shop");
    app.rows("create table items (id int primary key)").await?;

    // Taken away again: what is there stays, and nothing hangs.
    owner.merge("DoltDB", "dolt", &json!({"spec": {"allowedNamespaces": null}})).await?;
    for (kind, name) in objects {
        tenant.complains(kind, name, &refused, seconds(30)).await?;
    }
    tenant.apply(&password("app", "another-Password")).await?;
    for (kind, name) in objects {
        tenant.delete(kind, name).await?;
        tenant.gone(kind, name, seconds(30)).await?;
    }
    let kept = tenant.events_of("User", "app").await?;
    ensure!(kept.iter().any(|event| event.reason == "UserKept"), "nobody was told what stays: {kept:#?}");
    app.rows("insert into items values (1)").await?;
    Ok(())
}
