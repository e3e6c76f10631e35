//! What stays of a DoltDB that is deleted.

use anyhow::{Result, ensure};
use e2e::{MINUTE, Namespace, credentials, in_namespace, seconds, standalone, wait_for, with};
use serde_json::json;

#[tokio::test]
async fn volumes_stay_or_go_with_a_doltdb_by_its_policy_and_nothing_else_stays() -> Result<()> {
    in_namespace("deletion", async |namespace| {
        let volatile = json!({"spec": {"storage": {"retentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Delete"}}}});
        for doltdb in [standalone("lasting"), with(standalone("volatile"), volatile)] {
            namespace.apply(&credentials(doltdb["metadata"]["name"].as_str().unwrap_or_default())).await?;
            namespace.apply(&doltdb).await?;
        }
        for name in ["lasting", "volatile"] {
            namespace.ready("DoltDB", name, 2 * MINUTE).await?;
        }
        namespace.service("lasting").rows("create database precious").await?;

        for name in ["lasting", "volatile"] {
            namespace.delete("DoltDB", name).await?;
        }
        wait_for("only the volume that should stay is left", MINUTE, async || {
            for kind in ["DoltDB", "StatefulSet", "Pod", "Service", "PodDisruptionBudget", "Role", "RoleBinding"] {
                left(namespace, kind, &[]).await?;
            }
            // Those that every namespace has, and what the user gave.
            left(namespace, "ConfigMap", &["kube-root-ca.crt"]).await?;
            left(namespace, "ServiceAccount", &["default"]).await?;
            left(namespace, "Secret", &["lasting-credentials", "volatile-credentials"]).await?;
            left(namespace, "PersistentVolumeClaim", &["dolt-data-lasting-0"]).await
        })
        .await?;

        namespace.apply(&standalone("lasting")).await?;
        namespace.ready("DoltDB", "lasting", 2 * MINUTE).await?;
        let databases = namespace.service("lasting").databases().await?;
        ensure!(databases == ["precious"], "a new DoltDB on the old volume has {databases:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_doltdb_can_be_deleted_before_it_is_ready() -> Result<()> {
    in_namespace("hasty", async |namespace| {
        // Without credentials it never gets ready.
        namespace.apply(&standalone("hasty")).await?;
        namespace.complains("DoltDB", "hasty", &["hasty-credentials"], MINUTE).await?;
        namespace.delete("DoltDB", "hasty").await?;
        namespace.gone("DoltDB", "hasty", seconds(20)).await?;
        wait_for("its children are gone", MINUTE, async || {
            left(namespace, "Service", &[]).await?;
            left(namespace, "ConfigMap", &["kube-root-ca.crt"]).await
        })
        .await
    })
    .await
}

async fn left(namespace: &Namespace, kind: &str, expected: &[&str]) -> Result<()> {
    let names = namespace.names(kind).await?;
    ensure!(names == expected, "of {kind} there are {names:?}");
    Ok(())
}
