//! Settings of a DoltDB that runs: what follows at once, what goes away again, and that `Never` means never.

use anyhow::{Result, ensure};
use e2e::{MINUTE, Namespace, condition, credentials, in_namespace, seconds, standalone, text, wait_for, with};
use serde_json::json;

#[tokio::test]
async fn with_never_settings_follow_and_no_pod_is_replaced() -> Result<()> {
    in_namespace("settings", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        let noted = json!({"metadata": {"annotations": {"example.com/note": "x"}}, "spec": {"updateStrategy": "Never", "maxConnections": 500}});
        namespace.apply(&with(standalone("dolt"), noted)).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        let before = namespace.pods().await?;
        let told = condition(&namespace.expect("DoltDB", "dolt").await?, "SpecHonored");
        ensure!(told.is_some_and(|told| told.message.contains("spec.maxConnections: 500 has no effect")), "maxConnections is ignored silently");
        service_has(namespace, &["tcp-dolt"], true).await?;

        let more = json!({"spec": {"server": {"mcpServer": {"port": 7008}, "logLevel": "info"}}});
        namespace.merge("DoltDB", "dolt", &more).await?;
        service_has(namespace, &["http-mcp", "tcp-dolt"], true).await?;
        wait_for("the pods' template has the port", seconds(20), async || {
            let set = namespace.expect("StatefulSet", "dolt").await?;
            ensure!(set["spec"]["template"].to_string().contains("7008"), "it has not");
            ensure!(set["status"]["updateRevision"] != set["status"]["currentRevision"], "the template is the one that the pod has");
            Ok(())
        })
        .await?;

        // What is taken away goes from the children too.
        let less = json!({"metadata": {"annotations": {"example.com/note": null}}, "spec": {"server": {"mcpServer": null}, "maxConnections": null}});
        namespace.merge("DoltDB", "dolt", &less).await?;
        service_has(namespace, &["tcp-dolt"], false).await?;
        wait_for("nothing is ignored any more", seconds(20), async || {
            let told = condition(&namespace.expect("DoltDB", "dolt").await?, "SpecHonored");
            ensure!(told.as_ref().is_some_and(|told| told.status == "True"), "it says {told:?}");
            Ok(())
        })
        .await?;
        namespace.no_pod_restarted_since(&before).await
    })
    .await
}

/// Waits until the clients' Service has exactly these ports and, or not, the note of the DoltDB.
async fn service_has(namespace: &Namespace, ports: &[&str], note: bool) -> Result<()> {
    wait_for(format!("the Service has {ports:?}"), seconds(20), async || {
        let service = namespace.expect("Service", "dolt").await?;
        let mut found: Vec<_> = service["spec"]["ports"].as_array().into_iter().flatten().map(|port| text(port, "/name")).collect();
        found.sort();
        ensure!(found == ports, "it has {found:?}");
        ensure!(
            service["metadata"]["annotations"]["example.com/note"].is_string() == note,
            "it has {}",
            service["metadata"]["annotations"]
        );
        Ok(())
    })
    .await
}
