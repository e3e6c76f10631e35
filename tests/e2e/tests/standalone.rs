//! One server without replication, as `examples/standalone.yaml` has it.

use anyhow::{Result, ensure};
use e2e::{MINUTE, in_namespace, text};
use serde_json::json;

const NAME: &str = "solo";

#[tokio::test]
async fn a_single_server_is_reached_by_its_own_name() -> Result<()> {
    in_namespace("standalone", async |namespace| {
        namespace.apply_file("examples/standalone.yaml").await?;
        let doltdb = namespace.ready("DoltDB", NAME, 2 * MINUTE).await?;
        ensure!(doltdb["status"]["replicas"] == 1, "the status says {}", doltdb["status"]);

        let solo = namespace.service(NAME).account("admin", "change-me-before-production");
        solo.rows("create database app").await?;
        solo.database("app").rows("create table t (id int primary key)").await?;
        solo.database("app").rows("insert into t values (7)").await?;
        ensure!(solo.database("app").cell("select id from t").await? == "7");

        let services = namespace.names("Service").await?;
        ensure!(services == [NAME, "solo-internal"], "the Services are {services:?}");
        let service = namespace.expect("Service", NAME).await?;
        ensure!(service["spec"]["selector"] == json!({"app.kubernetes.io/name": NAME}), "it selects {}", service["spec"]["selector"]);
        ensure!(namespace.names("PodDisruptionBudget").await?.is_empty(), "a single server has a disruption budget");
        let pods = namespace.pods().await?;
        ensure!(pods.len() == 1 && pods.values().all(|pod| pod.role.is_empty()), "the pods are {pods:?}");
        let config = namespace.expect("ConfigMap", "solo-config").await?;
        let text = text(&config, "/data/solo-0.yaml");
        ensure!(text.contains("port: 3306") && !text.contains("cluster:"), "its configuration is {text}");
        Ok(())
    })
    .await
}
