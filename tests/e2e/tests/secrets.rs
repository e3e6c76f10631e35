//! Secrets that servers have as files: certificates for each other, and keys for S3 that come while the cluster runs.

use anyhow::{Result, ensure};
use e2e::{MINUTE, Namespace, credentials, in_namespace, replicated, seconds, standalone, text, wait_for, with};
use serde_json::{Value, json};

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

fn secret(name: &str, files: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": files})
}

#[tokio::test]
async fn servers_with_certificates_replicate_and_change_their_roles() -> Result<()> {
    in_namespace("tls", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        let files = json!({
            "tls.crt": include_str!("../../sql/tests/tls/tls.crt"),
            "tls.key": include_str!("../../sql/tests/tls/tls.key"),
            "ca.crt": include_str!("../../sql/tests/tls/ca.crt"),
        });
        namespace.apply(&secret("certificates", files)).await?;
        let tls = json!({"spec": {"server": {"cluster": {"remotesAPI": {"tls": {"secretName": "certificates"}}}}}});
        namespace.apply(&with(replicated("dolt"), tls)).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        let before = namespace.pods().await?;
        let primary = namespace.service("dolt-primary");
        primary.rows("create database app").await?;
        primary.database("app").rows("create table t (id int primary key)").await?;
        for (id, to) in [(1, 1), (2, 0)] {
            // The Service follows a change of roles within moments, and a client tries again meanwhile.
            let insert = format!("insert ignore into t values ({id})");
            wait_for("the primary takes a row", seconds(20), async || primary.database("app").rows(&insert).await).await?;
            namespace.merge("DoltDB", "dolt", &json!({"spec": {"replication": {"primary": {"podIndex": to}}}})).await?;
            let server = namespace.pod("dolt", to);
            wait_for(format!("server {to} is primary"), MINUTE, async || {
                let role = server.role().await?;
                ensure!(role == "primary", "it is {role}");
                Ok(())
            })
            .await?;
            let ids = server.database("app").column("select id from t order by id").await?;
            ensure!(ids.len() == id, "server {to} has {ids:?}");
            namespace.ready("DoltDB", "dolt", MINUTE).await?;
        }
        namespace.no_pod_restarted_since(&before).await
    })
    .await
}

#[tokio::test]
async fn keys_for_s3_reach_a_server_that_runs() -> Result<()> {
    in_namespace("aws", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        // Nobody is to wait for the cloud that this cluster may run in.
        let env = json!({"spec": {"env": [{"name": "AWS_EC2_METADATA_DISABLED", "value": "true"}]}});
        namespace.apply(&with(standalone("dolt"), env)).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        let before = namespace.pods().await?;
        namespace.pod("dolt", 0).rows("create database app").await?;
        let words = back_up(namespace, "before").await?;
        ensure!(!words.contains(NOBODY), "it went to S3 without any keys: {words}");
        let files = json!({
            "credentials": "[default]\naws_access_key_id = A\naws_secret_access_key = B\n",
            "config": format!("[default]\nregion = eu-central-1\nendpoint_url = {NOBODY}\n"),
        });
        namespace.apply(&secret("dolt-aws", files)).await?;
        let mut round = 0;
        // The kubelet looks after its files about once a minute.
        wait_for("the keys count", 3 * MINUTE, async || {
            round += 1;
            let words = back_up(namespace, &format!("after-{round}")).await?;
            ensure!(words.contains("127.0.0.1:1"), "it says {words}");
            Ok(())
        })
        .await?;
        namespace.no_pod_restarted_since(&before).await
    })
    .await
}

/// A Backup to S3, which fails: why.
async fn back_up(namespace: &Namespace, name: &str) -> Result<String> {
    namespace
        .apply(&json!({
            "apiVersion": "k8s.dolthub.com/v1alpha", "kind": "Backup", "metadata": {"name": name},
            "spec": {"doltDBRef": {"name": "dolt"}, "storage": {"s3": {"bucket": "no-bucket"}}, "backoffLimit": 1},
        }))
        .await?;
    wait_for(format!("Backup {name} has failed"), seconds(90), async || {
        let backup = namespace.expect("Backup", name).await?;
        ensure!(text(&backup, "/status/phase") == "Failed", "it is {}", backup["status"]);
        Ok(text(&backup, "/status/error"))
    })
    .await
}
