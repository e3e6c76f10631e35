//! The reconciler of Backup on a real server with a real Dolt remote: a copy has all that the database has.

use backup::BackupReconciler;
use host::contract::Value;
use serde_json::{Value as Json, json};
use sql_tests::{Moto, Room, Server, Stage, execution, query, sql, text};

/// Two databases, each with a branch and with rows that are not committed.
async fn two_databases(server: &Server, room: &Room) {
    for name in ["shop", "stock"] {
        room.run(server.port, vec![sql("CREATE DATABASE ??", [sql_tests::name(name)])]).await.expect("a database");
        let mut work = execution(
            server.port,
            vec![
                sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))", []),
                sql("INSERT INTO t VALUES (1, ?)", [text(name)]),
                sql("CALL DOLT_COMMIT(?, ?)", [text("-Am"), text("data")]),
                sql("CALL DOLT_BRANCH(?)", [text("side")]),
                sql("INSERT INTO t VALUES (2, ?)", [text(name)]),
            ],
        );
        work.database = Some(name.into());
        room.sql.execute(&work).await.expect("rows");
    }
}

/// The hash, the branches and the rows of a database.
async fn content(room: &Room, port: u16, database: &str) -> Vec<Vec<Vec<Value>>> {
    let statements = vec![
        sql("SELECT dolt_hashof_db()", []),
        sql("SELECT name, hash FROM dolt_branches ORDER BY name", []),
        sql("SELECT id, v FROM t ORDER BY id", []),
    ];
    let mut question = query(port, statements);
    question.database = Some(database.into());
    room.sql.query(&question).await.expect("an answer").into_iter().map(|rows| rows.rows).collect()
}

fn backup(url: &str, changes: &Json) -> Json {
    let mut spec = json!({"storage": {"doltHub": {"remoteUrl": url}}, "backoffLimit": 2});
    spec.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_has_the_same_data_afterwards_committed_or_not() {
    let (server, (remote, remotes)) = (Server::start().await, Server::remote().await);
    let mut stage = Stage::new(server.port);
    two_databases(&server, &stage.room).await;
    for name in ["shop", "stock"] {
        stage.room.run(remote.port, vec![sql("CREATE DATABASE ??", [sql_tests::name(name)])]).await.expect("a database");
    }
    stage.apply("Backup", "b", backup(&format!("http://127.0.0.1:{remotes}"), &json!({})));
    assert_eq!(stage.settle::<BackupReconciler>("Backup", "b").await, 2, "one task for each database");
    let status = stage.find("Backup", "b").expect("it is there")["status"].clone();
    assert_eq!((&status["phase"], &status["progress"]), (&json!("Completed"), &json!("2/2")), "{status}");
    for (place, name) in ["shop", "stock"].into_iter().enumerate() {
        let here = content(&stage.room, server.port, name).await;
        assert_eq!(here, content(&stage.room, remote.port, name).await);
        let told = &status["databases"][place];
        let hash = match &here[0][0][0] {
            Value::Text(hash) => hash,
            other => panic!("no hash: {other:?}"),
        };
        assert_eq!((&told["hash"], &told["changedMeanwhile"]), (&json!(hash), &json!(false)), "{told}");
        assert_eq!(told["branches"].as_array().map(Vec::len), Some(2), "{told}");
        assert!(told["server"].is_string(), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_database_with_a_url_of_its_own_is_copied_there_and_nothing_else() {
    let (server, (remote, remotes)) = (Server::start().await, Server::remote().await);
    let mut stage = Stage::new(server.port);
    two_databases(&server, &stage.room).await;
    stage.room.run(remote.port, vec![sql("CREATE DATABASE ??", [sql_tests::name("kept")])]).await.expect("a database");
    stage.apply("Backup", "b", backup(&format!("http://127.0.0.1:{remotes}/kept"), &json!({"databases": ["stock"]})));
    assert_eq!(stage.settle::<BackupReconciler>("Backup", "b").await, 1);
    assert_eq!(content(&stage.room, server.port, "stock").await, content(&stage.room, remote.port, "kept").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_that_is_not_there_is_told_in_the_servers_words() {
    let server = Server::start().await;
    let mut stage = Stage::new(server.port);
    two_databases(&server, &stage.room).await;
    stage.apply("Backup", "b", backup("http://127.0.0.1:1", &json!({})));
    stage.settle::<BackupReconciler>("Backup", "b").await;
    let (reason, message) = stage.says("Backup", "b");
    assert_eq!(reason, "BackupRetrying");
    assert!(message.contains("database \"shop\"") && message.contains("connection refused"), "{message}");
    let status = &stage.find("Backup", "b").expect("it is there")["status"];
    assert_eq!((&status["retryCount"], &status["phase"]), (&json!(1), &json!("Running")), "{status}");
}

/// What docs/backups.md says of restoring, on another server than the one that was backed up.
#[tokio::test]
async fn a_folder_is_restored_by_another_server() {
    let (server, other, room) = (Server::start().await, Server::remote().await.0, Room::new());
    two_databases(&server, &room).await;
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("file://{}/shop", folder.path().display());
    let mut copy = execution(server.port, vec![sql("CALL dolt_backup(?, ?)", [text("sync-url"), text(&url)])]);
    copy.database = Some("shop".into());
    room.sql.execute(&copy).await.expect("it is copied");
    let restore = sql("CALL dolt_backup(?, ?, ?)", [text("restore"), text(&url), text("shop_again")]);
    room.run(other.port, vec![restore]).await.expect("it is restored");
    assert_eq!(content(&room, server.port, "shop").await, content(&room, other.port, "shop_again").await);
}

/// `xtask test` says when this is left out.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_has_the_same_data_afterwards_and_gives_it_back() {
    if std::env::var_os("WITHOUT_PIP").is_some() {
        return;
    }
    let moto = Moto::start(env!("CARGO_TARGET_TMPDIR")).await;
    let (server, other) = (Server::with("", &moto.environment()).await, Server::with("", &moto.environment()).await);
    let mut stage = Stage::new(server.port);
    two_databases(&server, &stage.room).await;
    let storage = json!({"s3": {"bucket": "bucket", "prefix": "nightly", "dynamoDBTable": "table"}});
    stage.apply("Backup", "b", json!({"storage": storage, "backoffLimit": 2}));
    assert_eq!(stage.settle::<BackupReconciler>("Backup", "b").await, 2, "{:?}", stage.says("Backup", "b"));
    for name in ["shop", "stock"] {
        let url = format!("aws://[table:bucket]/nightly/{name}");
        let restore = sql("CALL dolt_backup(?, ?, ?)", [text("restore"), text(&url), text(name)]);
        stage.room.run(other.port, vec![restore]).await.expect("it is restored");
        assert_eq!(content(&stage.room, server.port, name).await, content(&stage.room, other.port, name).await);
    }
}
