//! A replicated DoltDB and a Database, as `examples/` has them.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::{MINUTE, Namespace, Sql, in_namespace, seconds, text, wait_for};
use serde_json::{Value, json};

/// The name and the password in `examples/`.
const NAME: &str = "my-dolt";
const PASSWORD: &str = "change-me-before-production";

/// What "ready within" promises, in seconds, for two servers with default settings.
const PROMISED: u64 = 30;

#[tokio::test]
async fn the_examples_become_a_replicated_cluster_with_a_database() -> Result<()> {
    in_namespace("replicated", async |namespace| {
        let applied = Instant::now();
        for path in e2e::folder("examples")?.iter().filter(|path| !path.ends_with("standalone.yaml")) {
            namespace.apply_file(path).await?;
        }
        let doltdb = namespace.ready("DoltDB", NAME, 3 * MINUTE).await?;
        let took = applied.elapsed();
        e2e::say(format_args!("apply to Ready: {:.1} s", took.as_secs_f64()));

        there_is_exactly_one_primary(namespace, &doltdb).await.context("there is exactly one primary")?;
        writes_and_reads_go_where_the_services_say(namespace).await.context("writes and reads go where the Services say")?;
        the_database_of_the_examples_is_on_both_servers(namespace).await.context("the database is on both servers")?;
        services_are_as_named(namespace).await.context("Services are as named")?;
        the_other_children_are_as_named(namespace, &doltdb).await.context("the other children are as named")?;
        children_that_somebody_changes_or_deletes_are_put_right(namespace).await.context("children that somebody changes are put right")?;
        namespace.no_pod_ever_restarted().await?;
        ensure!(took < seconds(PROMISED), "apply to Ready took {:.1} s, promised are {PROMISED} s", took.as_secs_f64());
        Ok(())
    })
    .await
}

fn service(namespace: &Namespace, suffix: &str) -> Sql {
    namespace.service(&format!("{NAME}-{suffix}")).account("admin", PASSWORD)
}

fn server(namespace: &Namespace, ordinal: u32) -> Sql {
    namespace.pod(NAME, ordinal).account("admin", PASSWORD)
}

async fn there_is_exactly_one_primary(namespace: &Namespace, doltdb: &Value) -> Result<()> {
    let status = &doltdb["status"];
    let roles = [server(namespace, 0).role().await?, server(namespace, 1).role().await?];
    ensure!(roles == ["primary", "standby"], "the servers say {roles:?}");
    let epochs =
        [server(namespace, 0), server(namespace, 1)].map(async |server| server.cell("select @@global.dolt_cluster_role_epoch").await);
    let epochs = futures::future::try_join_all(epochs).await?;
    ensure!(status["currentPrimary"] == "my-dolt-0" && status["currentPrimaryPodIndex"] == 0, "the status says {status}");
    ensure!(status["replicationStatus"] == json!({"my-dolt-0": "primary", "my-dolt-1": "standby"}), "the status says {status}");
    ensure!(
        epochs.iter().all(|epoch| epoch.parse() == Ok(status["replicationEpoch"].as_u64().unwrap_or_default())),
        "servers say {epochs:?}, the status {status}"
    );
    ensure!(status["replicas"] == 2, "the status says {status}");
    let pods = namespace.pods().await?;
    let labels: Vec<_> = pods.iter().map(|(name, pod)| (name.as_str(), pod.role.as_str(), pod.ready)).collect();
    ensure!(labels == [("my-dolt-0", "primary", true), ("my-dolt-1", "standby", true)], "pods, labels and readiness are {labels:?}");
    Ok(())
}

async fn writes_and_reads_go_where_the_services_say(namespace: &Namespace) -> Result<()> {
    let (primary, reader) = (service(namespace, "primary"), service(namespace, "reader"));
    ensure!(primary.role().await? == "primary" && reader.role().await? == "standby", "a Service leads to the wrong server");
    primary.rows("create database written").await?;
    let written = primary.database("written");
    written.rows("create table t (id int primary key, name varchar(20))").await?;
    written.rows("insert into t values (1, 'one'), (2, 'two')").await?;
    written.rows("call dolt_commit('-A', '-m', 'two rows')").await?;
    let read = reader.database("written");
    wait_for("the reader shows what was written", seconds(20), async || {
        let names = read.column("select name from t order by id").await?;
        ensure!(names == ["one", "two"], "it has {names:?}");
        Ok(())
    })
    .await?;
    for statement in ["create database refused", "insert into written.t values (3, 'three')"] {
        let outcome = reader.rows(statement).await;
        ensure!(outcome.is_err(), "the reader took a write: {statement}");
    }
    Ok(())
}

async fn the_database_of_the_examples_is_on_both_servers(namespace: &Namespace) -> Result<()> {
    namespace.ready("Database", "my-database", MINUTE).await?;
    let app = service(namespace, "primary").database("app");
    let branches = app.column("select name from dolt_branches order by name").await?;
    ensure!(branches == ["main", "staging"], "the branches are {branches:?}");
    let ignored = app.column("select pattern from dolt_ignore where ignored").await?;
    ensure!(ignored == ["log_%"], "the ignore patterns are {ignored:?}");
    wait_for("the database is on the standby", seconds(20), async || {
        let databases = server(namespace, 1).databases().await?;
        ensure!(databases.contains(&"app".to_owned()), "it has {databases:?}");
        Ok(())
    })
    .await
}

async fn services_are_as_named(namespace: &Namespace) -> Result<()> {
    let role = "k8s.dolthub.com/cluster-role";
    let selectors = [
        ("my-dolt-internal", json!({"app.kubernetes.io/name": NAME})),
        ("my-dolt-primary", json!({"app.kubernetes.io/name": NAME, role: "primary", "statefulset.kubernetes.io/pod-name": "my-dolt-0"})),
        ("my-dolt-reader", json!({"app.kubernetes.io/name": NAME, role: "standby"})),
    ];
    let names = namespace.names("Service").await?;
    ensure!(names == selectors.each_ref().map(|(name, _)| *name), "the Services are {names:?}");
    for (name, selector) in selectors {
        let spec = &namespace.expect("Service", name).await?["spec"];
        ensure!(spec["selector"] == selector, "{name} selects {}", spec["selector"]);
        let ports = spec["ports"].as_array().into_iter().flatten();
        let ports: Vec<_> = ports.map(|port| (text(port, "/name"), port["port"].as_i64(), port["targetPort"].as_i64())).collect();
        let sql = ("tcp-dolt".to_owned(), Some(3306), Some(3306));
        let remotes = ("grpc-remotesapi".to_owned(), Some(50051), Some(50051));
        let internal = name == "my-dolt-internal";
        ensure!(ports == if internal { vec![sql, remotes] } else { vec![sql] }, "{name} has the ports {ports:?}");
        ensure!((spec["clusterIP"] == "None") == internal && spec["type"] == "ClusterIP", "{name} is {spec}");
        ensure!(!internal || spec["publishNotReadyAddresses"] == true, "servers find each other only when they are ready: {spec}");
    }
    Ok(())
}

async fn the_other_children_are_as_named(namespace: &Namespace, doltdb: &Value) -> Result<()> {
    let children = [
        ("StatefulSet", "my-dolt"),
        ("ConfigMap", "my-dolt-config"),
        ("PodDisruptionBudget", "my-dolt-pdb"),
        ("ServiceAccount", "my-dolt"),
        ("Service", "my-dolt-internal"),
        ("Service", "my-dolt-primary"),
        ("Service", "my-dolt-reader"),
    ];
    for (kind, name) in children {
        let child = namespace.expect(kind, name).await?;
        let owner = &child["metadata"]["ownerReferences"][0];
        ensure!(owner["uid"] == doltdb["metadata"]["uid"] && owner["controller"] == true, "{kind} {name} belongs to {owner}");
    }
    let set = namespace.expect("StatefulSet", NAME).await?;
    ensure!(set["metadata"]["labels"]["app.kubernetes.io/name"] == NAME, "{}", set["metadata"]);
    ensure!(set["metadata"]["labels"]["app.kubernetes.io/version"] == doltdb["spec"]["engineVersion"], "{}", set["metadata"]);
    ensure!(set["metadata"]["annotations"]["k8s.dolthub.com/doltdb"] == NAME, "{}", set["metadata"]);
    ensure!(set["metadata"]["annotations"]["k8s.dolthub.com/replication"] == "true", "{}", set["metadata"]);
    ensure!(set["spec"]["serviceName"] == "my-dolt-internal" && set["spec"]["replicas"] == 2, "{}", set["spec"]);
    ensure!(set["spec"]["selector"] == json!({"matchLabels": {"app.kubernetes.io/name": NAME}}), "{}", set["spec"]);

    let claims = namespace.list("PersistentVolumeClaim").await?;
    let names: Vec<_> = claims.iter().map(|claim| text(claim, "/metadata/name")).collect();
    ensure!(names == ["dolt-data-my-dolt-0", "dolt-data-my-dolt-1"], "the claims are {names:?}");
    for claim in claims {
        let labels = &claim["metadata"]["labels"];
        ensure!(labels["app.kubernetes.io/name"] == NAME && labels["pvc.k8s.dolthub.com/role"] == "dolt-data", "a claim has {labels}");
        ensure!(claim["spec"]["resources"]["requests"]["storage"] == doltdb["spec"]["storage"]["size"], "a claim is {}", claim["spec"]);
    }

    let config = namespace.expect("ConfigMap", "my-dolt-config").await?;
    let keys: Vec<_> = config["data"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    ensure!(keys == ["my-dolt-0.yaml", "my-dolt-1.yaml"], "the configuration has {keys:?}");
    let budget = &namespace.expect("PodDisruptionBudget", "my-dolt-pdb").await?["spec"];
    ensure!(budget["minAvailable"] == "50%", "the budget is {budget}");
    ensure!(budget["selector"] == json!({"matchLabels": {"app.kubernetes.io/name": NAME}}), "the budget is {budget}");
    Ok(())
}

async fn children_that_somebody_changes_or_deletes_are_put_right(namespace: &Namespace) -> Result<()> {
    let (primary, reader) = (format!("{NAME}-primary"), format!("{NAME}-reader"));
    let selector = namespace.expect("Service", &primary).await?["spec"]["selector"].clone();
    let astray = json!({"spec": {"selector": {"statefulset.kubernetes.io/pod-name": "nobody"}}});
    namespace.merge("Service", &primary, &astray).await?;
    namespace.delete("Service", &reader).await?;
    wait_for("both Services are as before", seconds(10), async || {
        let now = namespace.expect("Service", &primary).await?["spec"]["selector"].clone();
        ensure!(now == selector, "{primary} selects {now}, before it was {selector}");
        namespace.expect("Service", &reader).await.map(drop)
    })
    .await?;
    wait_for("the Services lead somewhere", seconds(20), async || {
        let roles = [service(namespace, "primary").role().await?, service(namespace, "reader").role().await?];
        ensure!(roles == ["primary", "standby"], "they lead to {roles:?}");
        Ok(())
    })
    .await
}
