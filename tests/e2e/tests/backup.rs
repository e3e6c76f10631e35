//! Backups made, restored and compared; ended half-way, gone on with, and made on schedule.

use anyhow::{Context, Result, ensure};
use e2e::{
    MINUTE, Namespace, Operator, Sql, condition, credentials, database, image, in_namespace, replicated, seconds, text, wait_for, with,
};
use serde_json::{Value, json};

/// For what one copy of a small database should take.
const SOON: std::time::Duration = seconds(30);

#[tokio::test]
async fn backups_are_restored_as_they_were() -> Result<()> {
    in_namespace("backup", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        namespace.apply(&replicated("dolt")).await?;
        namespace.apply(&remote()).await?;
        namespace.apply(&remote_service()).await?;
        for name in ["shop", "stock"] {
            namespace.apply(&database(name, "dolt", name)).await?;
        }
        for name in ["shop", "stock"] {
            namespace.ready("Database", name, 2 * MINUTE).await?;
        }
        with_data(namespace).await?;
        let pods = namespace.pods().await?;
        a_folder_on_the_volume_is_restored(namespace).await.context("a folder on the volume is restored")?;
        a_real_remote_holds_the_same_data(namespace).await.context("a real remote holds the same data")?;
        what_cannot_be_done_is_told(namespace).await.context("what cannot be done is told")?;
        a_deleted_backup_ends_its_copy(namespace).await.context("a deleted backup ends its copy")?;
        a_killed_operator_goes_on(namespace).await.context("a killed operator goes on")?;
        a_schedule_makes_backups_and_keeps_some(namespace).await.context("a schedule makes backups and keeps some")?;
        // The operator's own way of giving credentials and of finding its task again restarts nothing.
        namespace.no_pod_restarted_since(&pods).await
    })
    .await
}

/// A Dolt remote: a server of its own that takes backups over its remotesapi.
fn remote() -> Value {
    let (repository, tag) = image();
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "remote", "labels": {"app": "remote"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{
            "name": "remote", "image": format!("{repository}:{tag}"), "workingDir": "/tmp",
            "command": ["tini", "--", "dolt", "sql-server", "--host", "0.0.0.0", "--remotesapi-port", "50051"],
            "env": [{"name": "DOLT_ROOT_HOST", "value": "%"}, {"name": "HOME", "value": "/tmp"}],
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        }]},
    })
}

fn remote_service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "remote"},
        "spec": {"selector": {"app": "remote"}, "ports": [{"name": "sql", "port": 3306}, {"name": "remotesapi", "port": 50051}]},
    })
}

fn backup(name: &str, storage: Value) -> Value {
    json!({
        "apiVersion": "k8s.dolthub.com/v1alpha", "kind": "Backup", "metadata": {"name": name},
        "spec": {"doltDBRef": {"name": "dolt"}, "storage": storage},
    })
}

fn to_remote() -> Value {
    json!({"doltHub": {"remoteUrl": "http://remote:50051"}})
}

fn primary(namespace: &Namespace) -> Sql {
    namespace.service("dolt-primary")
}

fn remote_server(namespace: &Namespace) -> Sql {
    namespace.service("remote").account("root", "")
}

async fn with_data(namespace: &Namespace) -> Result<()> {
    for (name, value) in [("shop", 41), ("stock", 42)] {
        let server = primary(namespace).database(name);
        server.rows("create table t (id int primary key, v int)").await?;
        server.rows(&format!("insert into t values (1, {value}), (2, {value})")).await?;
        server.rows("call dolt_commit('-Am', 'data')").await?;
        server.rows("call dolt_branch('side')").await?;
        // Not committed: a backup has that too.
        server.rows(&format!("insert into t values (3, {value})")).await?;
    }
    Ok(())
}

/// Waits until a Backup has ended, and proves that it ended well.
async fn completed(namespace: &Namespace, name: &str, limit: std::time::Duration) -> Result<Value> {
    let ended = wait_for(format!("Backup {name} ends"), limit, async || {
        let backup = namespace.expect("Backup", name).await?;
        let phase = text(&backup, "/status/phase");
        ensure!(["Completed", "Failed"].contains(&&*phase), "it is {phase}: {}", backup["status"]["conditions"]);
        Ok(backup)
    })
    .await?;
    ensure!(ended["status"]["phase"] == "Completed", "it failed: {}", ended["status"]);
    ensure!(ended["status"]["progress"] == "2/2", "its progress is {}", ended["status"]["progress"]);
    for type_ in ["Ready", "BackupCompleted"] {
        let condition = condition(&ended, type_).context("it has no such condition")?;
        ensure!(condition.status == "True" && condition.reason == "BackupCompleted", "{type_} is {condition:?}");
    }
    Ok(ended)
}

/// The content of a database, committed and not.
async fn content(server: &Sql, database: &str) -> Result<(Vec<String>, Vec<Vec<String>>, String)> {
    let server = server.database(database);
    let branches = server.rows("select name, hash from dolt_branches order by name").await?;
    Ok((server.column("select concat(id, '=', v) from t order by id").await?, branches, server.cell("select dolt_hashof_db()").await?))
}

async fn a_folder_on_the_volume_is_restored(namespace: &Namespace) -> Result<()> {
    namespace.apply(&backup("local", json!({"local": {"path": "/db/.backups"}}))).await?;
    let done = completed(namespace, "local", SOON).await?;
    let server = primary(namespace);
    for (place, name) in ["shop", "stock"].into_iter().enumerate() {
        let status = &done["status"]["databases"][place];
        let before = content(&server, name).await?;
        ensure!(status["name"] == name && status["phase"] == "Completed" && status["server"] == "dolt-0", "the status says {status}");
        ensure!(
            status["hash"] == before.2.as_str() && status["changedMeanwhile"] == false,
            "the hash is {}, the status says {status}",
            before.2
        );
        let heads: Vec<_> = before.1.iter().map(|head| json!({"name": head[0], "commit": head[1]})).collect();
        let shown = status["branches"].as_array().context("it has no branches")?;
        ensure!(shown.len() == 2 && heads.iter().all(|head| shown.contains(head)), "the branches are {heads:?}, the status says {status}");

        // Into another name, on the server whose volume it is.
        let place = text(status, "/destination");
        server.rows(&format!("call dolt_backup('restore', '{place}', '{name}_again')")).await?;
        let after = content(&server, &format!("{name}_again")).await?;
        ensure!(before == after, "it was {before:?}, and is {after:?}");
        server.rows(&format!("drop database {name}_again")).await?;
    }
    Ok(())
}

async fn a_real_remote_holds_the_same_data(namespace: &Namespace) -> Result<()> {
    let remote = remote_server(namespace);
    for name in ["shop", "stock"] {
        wait_for("the remote answers", MINUTE, async || remote.rows(&format!("create database if not exists {name}")).await).await?;
    }
    namespace.apply(&backup("remote", to_remote())).await?;
    completed(namespace, "remote", SOON).await?;
    for name in ["shop", "stock"] {
        let (here, there) = (content(&primary(namespace), name).await?, content(&remote, name).await?);
        ensure!(here == there, "here it is {here:?}, there {there:?}");
    }
    // What came since comes along with the next one.
    primary(namespace).database("shop").rows("insert into t values (4, 41)").await?;
    namespace.apply(&backup("remote-again", to_remote())).await?;
    completed(namespace, "remote-again", SOON).await?;
    let rows = content(&remote, "shop").await?.0;
    ensure!(rows == ["1=41", "2=41", "3=41", "4=41"], "the rows are {rows:?}");
    Ok(())
}

async fn what_cannot_be_done_is_told(namespace: &Namespace) -> Result<()> {
    namespace.apply(&backup("nowhere", json!({"local": {"path": "/var/backups/dolt"}}))).await?;
    namespace.complains("Backup", "nowhere", &["spec.storage.local.path", "on no volume", "/db/.backups"], SOON).await?;
    let missing = json!({"spec": {"databases": ["invoices"], "backoffLimit": 1}});
    namespace.apply(&with(backup("missing", json!({"local": {"path": "/db/.backups"}})), missing)).await?;
    namespace.complains("Backup", "missing", &["\"invoices\"", "no such database"], SOON).await?;
    let keys = json!({"s3": {"bucket": "shop-backups", "accessKeyIdSecretKeyRef": {"name": "aws", "key": "id"},
        "secretAccessKeySecretKeyRef": {"name": "aws", "key": "secret"}}});
    namespace.apply(&backup("keys", keys)).await?;
    namespace.complains("Backup", "keys", &["spec.env", "AWS_ACCESS_KEY_ID"], SOON).await
}

/// Waits until a Backup is copying a database.
async fn copying(namespace: &Namespace, name: &str) -> Result<()> {
    wait_for(format!("Backup {name} copies"), SOON, async || {
        let backup = namespace.expect("Backup", name).await?;
        ensure!(backup["status"]["databases"][0]["phase"] == "Running", "its status is {}", backup["status"]);
        let running = running_copies(namespace).await?;
        ensure!(running == 1, "{running} copies run on the server");
        Ok(())
    })
    .await
}

async fn running_copies(namespace: &Namespace) -> Result<usize> {
    let statements = primary(namespace).rows("show processlist").await?;
    Ok(statements.iter().filter(|row| row.iter().any(|cell| cell.contains("dolt_backup"))).count())
}

async fn a_deleted_backup_ends_its_copy(namespace: &Namespace) -> Result<()> {
    // It takes connections and never answers.
    namespace.freeze("remote").await?;
    namespace.apply(&backup("deleted", to_remote())).await?;
    copying(namespace, "deleted").await?;
    namespace.delete("Backup", "deleted").await?;
    namespace.gone("Backup", "deleted", SOON).await?;
    let ended = wait_for("the server copies no more", MINUTE, async || {
        let running = running_copies(namespace).await?;
        ensure!(running == 0, "{running} copies run on the server");
        Ok(())
    })
    .await;
    namespace.thaw("remote").await?;
    ended
}

async fn a_killed_operator_goes_on(namespace: &Namespace) -> Result<()> {
    namespace.freeze("remote").await?;
    namespace.apply(&backup("interrupted", to_remote())).await?;
    copying(namespace, "interrupted").await?;
    let operator = Operator::of(&namespace.cluster);
    let crashed = operator.crash().await?;
    let back = operator.back(&crashed).await;
    namespace.thaw("remote").await?;
    back?;
    let done = completed(namespace, "interrupted", 2 * MINUTE).await?;
    ensure!(done["status"]["retryCount"].is_null(), "that counted as a failure: {}", done["status"]);
    Ok(())
}

async fn a_schedule_makes_backups_and_keeps_some(namespace: &Namespace) -> Result<()> {
    let schedule = json!({
        "apiVersion": "k8s.dolthub.com/v1alpha", "kind": "BackupSchedule", "metadata": {"name": "often"},
        "spec": {"doltDBRef": {"name": "dolt"}, "schedule": "@every 2s", "storage": {"local": {"path": "/db/.backups"}},
            "successfulHistory": 2, "copies": 2},
    });
    namespace.apply(&schedule).await?;
    let made = async || -> Result<Vec<Value>> {
        let mut backups = namespace.list("Backup").await?;
        backups.retain(|backup| backup["metadata"]["labels"]["k8s.dolthub.com/backup-schedule"] == "often");
        Ok(backups)
    };
    let mut seen = std::collections::BTreeMap::new();
    wait_for("five Backups were made, and old ones are gone", 2 * MINUTE, async || {
        let backups = made().await?;
        for backup in &backups {
            let copy = text(backup, "/metadata/labels/k8s.dolthub.com~1backup-copy");
            let path = format!("/db/.backups/{copy}");
            ensure!(backup["spec"]["storage"]["local"]["path"] == path.as_str(), "copy {copy} goes to {}", backup["spec"]["storage"]);
            seen.insert(text(backup, "/metadata/name"), copy);
        }
        let completed = backups.iter().filter(|backup| backup["status"]["phase"] == "Completed").count();
        ensure!(
            seen.len() >= 5 && backups.len() <= 3 && completed == 2,
            "{} were made, {} are there, {completed} are completed",
            seen.len(),
            backups.len()
        );
        Ok(())
    })
    .await?;
    let copies: Vec<&String> = seen.values().take(4).collect();
    ensure!(copies == ["1", "2", "1", "2"], "the copies were {copies:?}");
    let status = namespace.ready("BackupSchedule", "often", SOON).await?["status"].clone();
    for field in ["lastScheduleTime", "nextScheduleTime", "lastBackupRef", "lastSuccessfulTime"] {
        ensure!(status[field].is_string(), "the status has no {field}: {status}");
    }

    namespace.merge("BackupSchedule", "often", &json!({"spec": {"schedule": "0 25 * * *"}})).await?;
    namespace.complains("BackupSchedule", "often", &["spec.schedule", "at position 3", "\"25\" is no hour"], SOON).await?;
    namespace.delete("BackupSchedule", "often").await?;
    wait_for("its Backups go with it", MINUTE, async || {
        let left = made().await?.len();
        ensure!(left == 0, "{left} are left");
        Ok(())
    })
    .await
}
