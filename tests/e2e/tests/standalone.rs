//! One server without replication, as `examples/standalone.yaml` has it.

use anyhow::{Context, Result, ensure};
use e2e::{MINUTE, Namespace, condition, in_namespace, text, wait_for};
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
        should_update(namespace).await.context("should update")?;
        ensure!(solo.database("app").cell("select id from t").await? == "7", "the row is lost");
        Ok(())
    })
    .await
}

/// Its one pod is replaced once by one of the new template. Nobody can take its place meanwhile.
async fn should_update(namespace: &Namespace) -> Result<()> {
    let before = namespace.pods().await?;
    let change = json!({
        "metadata": {"annotations": {"k8s.dolthub.com/updated": "yes"}},
        "spec": {"resources": {"requests": {"cpu": "60m"}}},
    });
    namespace.merge("DoltDB", NAME, &change).await?;
    wait_for("the pod was replaced", 2 * MINUTE, async || {
        let pod = namespace.expect("Pod", "solo-0").await?;
        let cpu = &pod["spec"]["containers"][0]["resources"]["requests"]["cpu"];
        ensure!(cpu == "60m", "it asks for {cpu}");
        let doltdb = namespace.ready("DoltDB", NAME, MINUTE).await?;
        let updated = condition(&doltdb, "Updated").context("there is no condition Updated")?;
        ensure!(updated.status == "True", "{updated:?}");
        ensure!(condition(&pod, "Ready").is_some_and(|ready| ready.status == "True"), "it is not ready");
        Ok(())
    })
    .await?;
    let now = namespace.pods().await?;
    ensure!(now["solo-0"].uid != before["solo-0"].uid && now["solo-0"].restarts == 0, "the pod was {before:?} and is {now:?}");
    Ok(())
}
