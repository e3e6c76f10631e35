//! DoltDBs that the Go operator made are taken over as they are: with their volumes and roles, under load, and in the state in which that operator
//! hangs. Its objects are built as it leaves them; the servers in their pods are real, and run before our operator does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{
    MINUTE, Namespace, Operator, Rival, Sql, condition, credentials, database, former, grant, in_namespace, password, replicated, say,
    seconds, standalone, text, user, wait_for, with,
};
use failover::{
    stage::{DOLTDB, PRIMARY, Stage},
    writer::Patience,
};
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::sleep};

/// The one with a single server.
const SOLO: &str = "solo";
/// The epoch that the servers of the replicated one have come to.
const EPOCH: u64 = 7;
/// What the last configuration was that kubectl applied, on everything that the Go operator made.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

#[tokio::test]
async fn what_the_go_operator_left_is_taken_over_with_one_restart_of_each_pod_and_every_write() -> Result<()> {
    in_namespace("former", async |namespace| {
        let operator = Operator::of(&namespace.cluster);
        operator.settled().await?;
        // The Go operator holds the Lease: ours is there, and does nothing.
        let rival = operator.make_way().await?;
        let outcome = taken_over(namespace, &operator, rival).await;
        // Whatever came of it, the next test wants an operator, and nobody else collects what is in no namespace.
        let settled = operator.settled().await;
        let removed = remove_bindings(namespace).await;
        outcome.and(settled).and(removed)
    })
    .await
}

async fn taken_over(namespace: &Namespace, operator: &Operator, rival: Rival) -> Result<()> {
    leave(namespace).await.context("what the Go operator leaves")?;
    let mut stage = Stage::over(namespace, 1, &[PRIMARY]).await?;
    stage.pin(1, Patience::SHORT).await?;
    for (kind, name) in [("DoltDB", DOLTDB), ("DoltDB", SOLO), ("StatefulSet", DOLTDB)] {
        let object = namespace.expect(kind, name).await?;
        let managers = object["metadata"]["managedFields"].to_string();
        ensure!(!managers.contains("doltdb-operator"), "{kind} {name} was written while another one held the Lease: {managers}");
    }
    let pods = namespace.pods().await?;
    let watch = Watch::start(namespace);

    stage.strikes();
    rival.end().await?;
    operator.settled().await?;
    // What was left looks as if all were in order.
    wait_for("each pod was replaced", 5 * MINUTE, async || {
        let replaced = watch.seen().replaced;
        ensure!(replaced.len() == pods.len(), "replaced were {replaced:?}");
        Ok(())
    })
    .await?;
    stage.in_order(2 * MINUTE).await.context("the replicated DoltDB is taken over")?;
    namespace.ready("DoltDB", SOLO, MINUTE).await.context("the single server is taken over")?;
    for (kind, name) in [("Database", "shop"), ("User", "app"), ("Grant", "app")] {
        namespace.ready(kind, name, MINUTE).await?;
    }

    the_primary_went_last_and_its_role_before_it(namespace, &watch).await.context("the primary went last")?;
    what_cannot_be_changed_is_as_it_was(namespace).await.context("what cannot be changed is as it was")?;
    nothing_that_hurts_is_left(namespace).await.context("nothing that hurts is left")?;
    accounts_and_databases_are_as_they_were(namespace, operator).await.context("accounts and databases are as they were")?;
    single_servers_keep_their_data(namespace).await.context("single servers keep their data")?;

    // And on it goes, as with any other DoltDB: 1 is what the spec has named all the time, so first 0 has to be wanted.
    stage.change(json!({"spec": {"replication": {"primary": {"podIndex": 0}}}})).await?;
    wait_for("the other wish is noted", MINUTE, async || {
        let status = &namespace.expect("DoltDB", DOLTDB).await?["status"];
        ensure!(status["requestedPrimaryPodIndex"] == 0, "the status is {status}");
        Ok(())
    })
    .await?;
    stage.change(json!({"spec": {"replication": {"primary": {"podIndex": 1}}}})).await?;
    stage.leads(1, MINUTE).await.context("a switchover after that")?;

    let run = stage.outcome(MINUTE).await;
    let seen = watch.end().await?;
    say(format_args!("take-over: gap {:.2} s, {}", run.gap.as_ref().map_or(0.0, |gap| gap.length().as_secs_f64()), run.summary()));
    ensure!(run.wrong.is_empty(), "{}", run.wrong.join("; "));
    ensure!(run.count(|verdict| verdict.lost.len() + verdict.kept.len()) == 0, "{}", run.summary());
    let gap = run.gap.as_ref().map(|gap| gap.length()).unwrap_or_default();
    ensure!(gap < seconds(5), "no write was acknowledged for {:.1} s", gap.as_secs_f64());
    for (pod, lives) in &seen.lives {
        let first = pods.get(pod).with_context(|| format!("{pod} is new"))?;
        ensure!(lives.len() == 2 && lives.contains(&first.uid), "{pod} had {} lives", lives.len());
    }
    ensure!(seen.lives.len() == 3, "the pods were {:?}", seen.lives.keys());
    ensure!(seen.restarts == 0, "containers were started again {} times", seen.restarts);
    Ok(())
}

/// Builds everything, with servers that run and have data and roles.
async fn leave(namespace: &Namespace) -> Result<()> {
    // Ready soon, and not killed for being slow on a busy machine.
    let readiness = json!({"initialDelaySeconds": 1, "periodSeconds": 5, "timeoutSeconds": 10});
    let liveness = json!({"initialDelaySeconds": 60, "periodSeconds": 30, "timeoutSeconds": 30});
    let common = json!({
        "metadata": {"labels": {"k8s.dolthub.com/test": "test"}, "annotations": {"k8s.dolthub.com/test": "test"}},
        "spec": {
            "server": {"listener": {}, "cluster": {"remotesAPI": {}}},
            "probes": {"readinessProbe": readiness, "livenessProbe": liveness},
            "podAnnotations": {"prometheus.io/scrape": "true"},
            "env": [{"name": "FROM_SPEC", "value": "yes"}],
        },
    });
    let primary = json!({"spec": {"replication": {"primary": {"podIndex": 1, "automaticFailover": true}}}});
    for (doltdb, primary) in [(with(replicated(DOLTDB), primary), 1), (standalone(SOLO), 0)] {
        let name = text(&doltdb, "/metadata/name");
        namespace.apply(&credentials(&name)).await?;
        let doltdb = with(doltdb, common.clone());
        let applied = json!({"metadata": {"annotations": {LAST_APPLIED: doltdb.to_string()}}});
        let doltdb = namespace.apply(&with(doltdb, applied)).await?;
        for child in former::children(&doltdb, primary) {
            namespace.leave(&child).await?;
        }
    }
    wait_for("the servers run", 3 * MINUTE, async || {
        let pods = namespace.pods().await?;
        ensure!(pods.len() == 3 && pods.values().all(|pod| pod.ready), "the pods are {pods:?}");
        Ok(())
    })
    .await?;

    // The primary is another than at first, as after a failover.
    let (first, second) = (namespace.pod(DOLTDB, 0), namespace.pod(DOLTDB, 1));
    wait_for("the standby follows", MINUTE, async || {
        let role = second.role().await?;
        ensure!(role == "standby", "it is {role}");
        // Whoever gives a role away may lose the connection over it: what counts is what the server says then.
        let _ = first.rows(&format!("call dolt_cluster_transition_to_standby('{EPOCH}', '1')")).await;
        let role = first.role().await?;
        ensure!(role == "standby", "the first one is {role}");
        Ok(())
    })
    .await?;
    let _ = second.rows(&format!("call dolt_assume_cluster_role('primary', {EPOCH})")).await;
    ensure!(second.role().await? == "primary", "the second server did not become primary");
    for (pod, role) in [("dolt-0", "standby"), ("dolt-1", "primary")] {
        namespace.leave_changed("Pod", pod, &json!({"metadata": {"labels": {"k8s.dolthub.com/cluster-role": role}}})).await?;
    }
    leave_status(namespace).await?;
    leave_accounts(namespace).await?;
    let solo = namespace.service(SOLO);
    solo.rows("create database precious").await?;
    solo.database("precious").rows("create table t (id int primary key)").await?;
    solo.database("precious").rows("insert into t values (7)").await?;
    Ok(())
}

/// A switchover that was done and never told to be over: that operator does nothing more about such a cluster.
async fn leave_status(namespace: &Namespace) -> Result<()> {
    let switching = |type_: &str| former::condition(type_, false, "SwitchPrimary", "Switching primary to 'dolt-1'");
    let status = json!({
        "currentPrimary": "dolt-1", "currentPrimaryPodIndex": 1, "replicationEpoch": EPOCH - 1, "replicas": 2,
        "replicationStatus": {"dolt-0": "standby", "dolt-1": "primary", "dolt-2": "standby"},
        "conditions": [switching("Ready"), switching("PrimarySwitched"), former::condition("Updated", true, "Updated", "Updated")],
    });
    namespace.leave_status("DoltDB", DOLTDB, status).await?;
    let running =
        [former::condition("Ready", true, "StatefulSetReady", "Running"), former::condition("Updated", true, "Updated", "Updated")];
    let status = json!({"currentPrimary": "solo-0", "currentPrimaryPodIndex": 0, "replicas": 1, "conditions": running});
    namespace.leave_status("DoltDB", SOLO, status).await
}

/// A database, an account and its privileges, by the statements of that operator, and the objects about them.
async fn leave_accounts(namespace: &Namespace) -> Result<()> {
    let admin = namespace.service(PRIMARY);
    admin.rows("CREATE DATABASE IF NOT EXISTS `shop` CHARACTER SET = 'utf8mb4' COLLATE = 'utf8mb4_0900_bin'").await?;
    let shop = admin.database("shop");
    shop.rows("INSERT INTO dolt_ignore (pattern, ignored) VALUES ('log_%', true)").await?;
    shop.rows("CALL DOLT_BRANCH('-c', 'main', 'global')").await?;
    admin.rows("CREATE USER IF NOT EXISTS 'app'@'%' IDENTIFIED BY 'app-Password'").await?;
    admin.rows("GRANT SELECT,INSERT,CREATE ON `shop`.* TO 'app'@'%' WITH GRANT OPTION").await?;

    namespace.apply(&with(password("app", "app-Password"), json!({"metadata": {"labels": {"k8s.dolthub.com/watch": ""}}}))).await?;
    let shop = json!({"spec": {"systemBranches": ["global"], "doltIgnorePatterns": ["log_%"]}});
    let on_shop = json!({"spec": {"database": "shop", "grantOption": true}});
    let objects = [
        with(database("shop", DOLTDB, "shop"), shop),
        user("app", DOLTDB, "app", "app"),
        with(grant("app", DOLTDB, "app", &["SELECT", "INSERT", "CREATE"]), on_shop),
    ];
    for object in objects {
        let (kind, name) = (text(&object, "/kind"), text(&object, "/metadata/name"));
        namespace.apply(&object).await?;
        let finalizer = format!("{}.k8s.dolthub.com/finalizer", kind.to_lowercase());
        namespace.leave_changed(&kind, &name, &json!({"metadata": {"finalizers": [finalizer]}})).await?;
        namespace.leave_status(&kind, &name, json!({"conditions": [former::condition("Ready", true, "Created", "Created")]})).await?;
    }
    Ok(())
}

async fn the_primary_went_last_and_its_role_before_it(namespace: &Namespace, watch: &Watch) -> Result<()> {
    let order = watch.seen().replaced;
    ensure!(order.iter().filter(|pod| pod.starts_with(DOLTDB)).eq(["dolt-0", "dolt-1"]), "pods were replaced in the order {order:?}");
    let doltdb = namespace.expect("DoltDB", DOLTDB).await?;
    let status = &doltdb["status"];
    let epoch = status["replicationEpoch"].as_u64().unwrap_or_default();
    ensure!(status["currentPrimary"] == "dolt-0" && epoch > EPOCH, "the status is {status}");
    let switched = condition(&doltdb, "PrimarySwitched").context("there is no condition PrimarySwitched")?;
    ensure!(switched.status == "True", "PrimarySwitched is {switched:?}");
    ensure!(status["replicationStatus"] == json!({"dolt-0": "primary", "dolt-1": "standby"}), "the status is {status}");
    Ok(())
}

async fn what_cannot_be_changed_is_as_it_was(namespace: &Namespace) -> Result<()> {
    for name in [DOLTDB, SOLO] {
        let set = namespace.expect("StatefulSet", name).await?;
        let spec = &set["spec"];
        ensure!(spec["podManagementPolicy"] == "OrderedReady" && spec["serviceName"] == format!("{name}-internal"), "{spec}");
        let claim = &spec["volumeClaimTemplates"][0]["metadata"]["annotations"];
        ensure!(claim["k8s.dolthub.com/test"] == "test" && !claim[LAST_APPLIED].is_null(), "the template of the volumes is {claim}");
        ensure!(spec["updateStrategy"] == json!({"type": "OnDelete"}), "{spec}");
    }
    let claims = namespace.names("PersistentVolumeClaim").await?;
    ensure!(claims == ["dolt-data-dolt-0", "dolt-data-dolt-1", "dolt-data-solo-0"], "the claims are {claims:?}");
    Ok(())
}

async fn nothing_that_hurts_is_left(namespace: &Namespace) -> Result<()> {
    for name in [DOLTDB, SOLO] {
        let template = namespace.expect("StatefulSet", name).await?["spec"]["template"].take();
        let volumes = template["spec"]["volumes"].as_array().into_iter().flatten();
        let volumes: Vec<_> = volumes.map(|volume| text(volume, "/name")).collect();
        ensure!(volumes == ["dolt-config"], "the volumes are {volumes:?}");
        let marks = &template["metadata"];
        ensure!(marks["annotations"][LAST_APPLIED].is_null() && marks["labels"]["k8s.dolthub.com/test"].is_null(), "{marks}");
        let script = text(&template, "/spec/containers/0/lifecycle/preStop/exec/command/2");
        ensure!(!script.contains("TRANSITION"), "a server that ends still gives its role away: {script}");
    }
    let children = [
        ("StatefulSet", DOLTDB),
        ("ConfigMap", "dolt-config"),
        ("Service", "dolt-internal"),
        ("Service", "dolt-primary"),
        ("Service", "dolt-reader"),
        ("PodDisruptionBudget", "dolt-pdb"),
        ("ServiceAccount", DOLTDB),
        ("StatefulSet", SOLO),
        ("Service", SOLO),
    ];
    for (kind, name) in children {
        let child = namespace.expect(kind, name).await?;
        ensure!(child["metadata"]["annotations"][LAST_APPLIED].is_null(), "{kind} {name} has the DoltDB's manifest on it");
        ensure!(writers(&child, "").is_empty(), "{kind} {name} has fields that nobody looks after: {:?}", writers(&child, ""));
    }
    for (kind, name) in [("DoltDB", DOLTDB), ("DoltDB", SOLO), ("Database", "shop"), ("User", "app"), ("Grant", "app")] {
        let object = namespace.expect(kind, name).await?;
        ensure!(writers(&object, "status").is_empty(), "the status of {kind} {name} has fields of {:?}", writers(&object, "status"));
    }
    Ok(())
}

/// Who but the new operator owns fields of an object, or of its status, as the Go operator did.
fn writers(object: &Value, subresource: &str) -> Vec<Value> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let here = |entry: &Value| entry["subresource"].as_str().unwrap_or_default() == subresource;
    entries.into_iter().filter(|entry| here(entry) && entry["manager"] == former::MANAGER).collect()
}

async fn accounts_and_databases_are_as_they_were(namespace: &Namespace, operator: &Operator) -> Result<()> {
    let app = namespace.service(PRIMARY).account("app", "app-Password").database("shop");
    app.rows("create table items (id int primary key)").await?;
    app.rows("insert into items values (1)").await?;
    let granted = namespace.service(PRIMARY).column("show grants for 'app'@'%'").await?;
    let expected = "GRANT SELECT, INSERT, CREATE ON `shop`.* TO `app`@`%` WITH GRANT OPTION";
    ensure!(granted.iter().any(|line| line == expected), "it has {granted:?}");
    let shop = namespace.service(PRIMARY).database("shop");
    ensure!(shop.column("select name from dolt_branches order by name").await? == ["global", "main"], "the branches are others");
    // A password is compared by what was noted of it, of which there was nothing; a pattern had not been committed. Privileges were in order.
    let written = written(&operator.ask("/metrics").await?);
    say(format_args!("take-over: executions of statements that wrote: {written:?}"));
    // A process that has lost the Lease begins anew, and counts from 0.
    let of = |reconciler: &str| written.get(reconciler).copied().unwrap_or_default();
    ensure!((of("grant"), of("user"), of("database")) == (0, 1, 1), "executions that wrote: {written:?}");
    Ok(())
}

/// SQL executions that wrote, by reconciler.
type Written = BTreeMap<String, u64>;

fn written(metrics: &str) -> Written {
    let mut written = BTreeMap::new();
    let lines = metrics.lines().filter(|line| line.contains("effects_total{") && line.contains("effect=\"sql\""));
    for line in lines.filter(|line| line.contains("result=\"changed\"")) {
        let reconciler = line.split("reconciler=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let count = line.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        *written.entry(reconciler.to_owned()).or_default() += count;
    }
    written
}

async fn single_servers_keep_their_data(namespace: &Namespace) -> Result<()> {
    wait_for("the single server answers after its restart", MINUTE, async || {
        let solo = namespace.service(SOLO).database("precious");
        ensure!(solo.cell("select id from t").await? == "7", "its row is another");
        Ok(())
    })
    .await?;
    let services = namespace.names("Service").await?;
    ensure!(services == ["dolt-internal", "dolt-primary", "dolt-reader", SOLO, "solo-internal"], "the Services are {services:?}");
    Ok(())
}

/// The one thing of the Go operator that neither it nor ours nor Kubernetes takes away.
async fn remove_bindings(namespace: &Namespace) -> Result<()> {
    let mut left = 0;
    for name in [DOLTDB, SOLO] {
        let Some(doltdb) = namespace.get("DoltDB", name).await? else { continue };
        left += usize::from(namespace.remove_cluster_role_binding(&former::binding(&doltdb)).await?);
    }
    ensure!(left == 2, "of the two ClusterRoleBindings {left} were left");
    Ok(())
}

/// Looks at pods and servers all the time.
struct Watch {
    seen: Arc<Mutex<Seen>>,
    looking: JoinHandle<Result<()>>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    /// The uids that each pod has had.
    lives: BTreeMap<String, BTreeSet<String>>,
    /// Pods in the order in which they were replaced.
    replaced: Vec<String>,
    /// Containers that were started again.
    restarts: i64,
    /// The server that was primary at each epoch.
    primaries: BTreeMap<u64, u32>,
    /// Whether it is over.
    over: bool,
}

impl Seen {
    /// Takes in what servers and pods are like now, and says whether it is over.
    fn note(&mut self, roles: Vec<Option<(String, u64)>>, pods: Vec<DynamicObject>) -> Result<bool> {
        for (ordinal, (role, epoch)) in (0..).zip(roles).filter_map(|(ordinal, role)| Some((ordinal, role?))) {
            // Of each epoch there is one primary, whenever it is asked; an older one may not yet have heard of a newer.
            if role == "primary" && *self.primaries.entry(epoch).or_insert(ordinal) != ordinal {
                bail!("both servers were primary at epoch {epoch}");
            }
        }
        for pod in pods {
            let pod = serde_json::to_value(pod)?;
            let name = text(&pod, "/metadata/name");
            let lives = self.lives.entry(name.clone()).or_default();
            if lives.insert(text(&pod, "/metadata/uid")) && lives.len() > 1 {
                self.replaced.push(name);
            }
            self.restarts = self.restarts.max(pod["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap_or_default());
        }
        Ok(self.over)
    }
}

impl Watch {
    fn start(namespace: &Namespace) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let servers = [namespace.pod(DOLTDB, 0), namespace.pod(DOLTDB, 1)];
        let (noted, pods) = (Arc::clone(&seen), namespace.api("Pod"));
        let looking = tokio::spawn(async move {
            loop {
                let roles = futures::future::join_all(servers.iter().map(role)).await;
                let found = pods.list(&ListParams::default()).await?.items;
                if noted.lock().unwrap_or_else(PoisonError::into_inner).note(roles, found)? {
                    return Ok(());
                }
                sleep(Duration::from_millis(250)).await;
            }
        });
        Self { seen, looking }
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn end(self) -> Result<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.looking.await??;
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(seen)
    }
}

/// The role and the epoch of a server that answers.
async fn role(server: &Sql) -> Option<(String, u64)> {
    let asked = server.rows("select @@global.dolt_cluster_role, @@global.dolt_cluster_role_epoch");
    let rows = tokio::time::timeout(Duration::from_millis(500), asked).await.ok()?.ok()?;
    let row = rows.into_iter().next()?;
    Some((row.first()?.clone(), row.get(1)?.parse().ok()?))
}
