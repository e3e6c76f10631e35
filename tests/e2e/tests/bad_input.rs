//! Mistakes: each is told where the user looks, with the field, the value and what to do, and putting it right is enough.

use anyhow::{Result, bail, ensure};
use e2e::{ADMIN, MINUTE, PASSWORD, credentials, database, in_namespace, seconds, standalone, with};
use rstest::rstest;
use serde_json::{Value, json};

/// Mistakes that are told at once, by the API server.
#[rstest]
#[case::a_field_that_does_not_exist(json!({"replicaCount": 2}), &["spec.replicaCount", "unknown field"])]
#[case::a_value_of_another_type(json!({"replicas": "two"}), &["spec.replicas", "integer"])]
#[case::no_listener_port(json!({"server": {"listener": {"port": 0}}}), &["spec.server.listener.port", "0", "greater than or equal to 1"])]
#[case::one_port_twice(json!({"server": {"listener": {"port": 7007}, "mcpServer": {}}}), &["mcpServer.port", "listener.port", "choose another"])]
#[case::replication_alone(json!({"replication": {"enabled": true}}), &["replication cannot be enabled with a single replica", "set replicas > 1"])]
#[case::a_primary_that_does_not_exist(
    json!({"replicas": 2, "replication": {"enabled": true, "primary": {"podIndex": 2}}}),
    &["podIndex must be less than replicas"]
)]
#[case::an_update_strategy_that_does_not_exist(
    json!({"updateStrategy": "Recreate"}),
    &["spec.updateStrategy", "Recreate", "ReplicasFirstPrimaryLast", "RollingUpdate", "OnDelete", "Never"]
)]
#[case::a_size_that_is_none(json!({"storage": {"size": "lots"}}), &["spec.storage.size", "lots"])]
#[case::no_version(json!({"engineVersion": null}), &["spec.engineVersion", "Required"])]
#[tokio::test]
async fn a_wrong_field_is_refused_with_its_name(#[case] spec: Value, #[case] words: &[&str]) -> Result<()> {
    in_namespace("refused", async |namespace| {
        let manifest = with(standalone("wrong"), json!({"spec": spec}));
        let Err(message) = namespace.would_create(&manifest).await? else { bail!("it was accepted") };
        let missing: Vec<_> = words.iter().filter(|word| !message.contains(**word)).collect();
        ensure!(missing.is_empty(), "the message lacks {missing:?}: {message}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn credentials_that_are_missing_are_named_and_adding_them_is_enough() -> Result<()> {
    in_namespace("credentials", async |namespace| {
        namespace.apply(&standalone("dolt")).await?;
        namespace.complains("DoltDB", "dolt", &["dolt-credentials", "admin-user", "admin-password", "create"], MINUTE).await?;

        let half = with(credentials("dolt"), json!({"stringData": {"admin-password": null}}));
        namespace.apply(&half).await?;
        namespace.complains("DoltDB", "dolt", &["dolt-credentials", "\"admin-password\"", "add"], MINUTE).await?;
        ensure!(namespace.list("Pod").await?.is_empty(), "pods were started that cannot run");

        namespace.apply(&credentials("dolt")).await?;
        let doltdb = namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        ensure!(doltdb["metadata"]["generation"] == 1, "the DoltDB was written by somebody");
        let user = namespace.service("dolt").account(ADMIN, PASSWORD).cell("select current_user()").await?;
        ensure!(user.starts_with(ADMIN), "the user is {user}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_does_not_exist_yet_is_named_and_making_it_is_enough() -> Result<()> {
    in_namespace("later", async |namespace| {
        // Storage classes are the cluster's: the namespace's name makes this one the test's own.
        let class = namespace.name.as_str();
        namespace.apply(&credentials("dolt")).await?;
        namespace.apply(&with(standalone("dolt"), json!({"spec": {"storage": {"storageClassName": class}}}))).await?;
        namespace.apply(&database("first", "elsewhere", "app")).await?;
        namespace.apply(&database("second", "dolt", "app")).await?;

        let storage = &["spec.storage.storageClassName", class, "standard", "create it"];
        namespace.complains("DoltDB", "dolt", storage, MINUTE).await?;
        namespace.complains("Database", "first", &["spec.doltDBRef.name", "\"elsewhere\"", "create it"], MINUTE).await?;
        namespace.complains("Database", "second", &["\"dolt\""], MINUTE).await?;

        let standard = namespace.cluster.storage_class("standard").await?;
        namespace.cluster.copy_storage_class(&standard, class).await?;
        let outcome = async {
            namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
            namespace.ready("Database", "second", MINUTE).await?;
            // The reference can't be changed, so its target has to come.
            namespace.apply(&credentials("elsewhere")).await?;
            namespace.apply(&standalone("elsewhere")).await?;
            namespace.ready("Database", "first", 2 * MINUTE).await?;
            namespace.ready("DoltDB", "elsewhere", MINUTE).await?;
            for name in ["dolt", "elsewhere"] {
                let databases = namespace.service(name).databases().await?;
                ensure!(databases == ["app"], "{name} has {databases:?}");
            }
            Ok(())
        };
        let outcome = outcome.await;
        namespace.cluster.delete_storage_class(class).await?;
        outcome
    })
    .await
}

#[tokio::test]
async fn a_database_in_another_namespace_is_refused_with_its_field() -> Result<()> {
    in_namespace("stranger", async |namespace| {
        let stranger = json!({"spec": {"doltDBRef": {"namespace": "default"}}});
        namespace.apply(&with(database("stranger", "dolt", "app"), stranger)).await?;
        namespace.complains("Database", "stranger", &["spec.doltDBRef.namespace", "\"default\""], seconds(30)).await
    })
    .await
}
