//! Executions: guards, order, and secrets that never show.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use host::{
    contract::{Argument, Guard, SqlErrorKind, Value},
    sql::{ExecuteError, GUARD_HOLDS, Sql, SqlLimits},
};
use sql_tests::{Room, Server, endpoint, execution, name, query, secret, sql, text};

async fn exists(room: &Room, server: &Server, database: &str) -> bool {
    !room.ask(server.port, sql("SHOW DATABASES LIKE ?", [text(database)])).await.expect("an answer").rows.is_empty()
}

#[tokio::test]
async fn a_guard_decides() {
    let server = Server::start().await;
    let room = Room::new();
    let role = || sql("SELECT @@GLOBAL.dolt_cluster_role, @@GLOBAL.dolt_cluster_role_epoch", []);
    let primary = |epoch| vec![Value::Text("primary".into()), epoch];
    let cases = [
        ("held", role(), primary(Value::Signed(1)), true),
        ("held_by_number", role(), primary(Value::Unsigned(1)), true),
        ("other_epoch", role(), primary(Value::Unsigned(2)), false),
        ("other_role", role(), vec![Value::Text("standby".into()), Value::Signed(1)], false),
        ("too_few", role(), vec![Value::Text("primary".into())], false),
        ("no_row", sql("SHOW DATABASES LIKE ?", [text("absent")]), vec![Value::Text("absent".into())], false),
    ];
    for (database, statement, expected, held) in cases {
        let mut writes = execution(server.port, vec![sql("CREATE DATABASE ??", [name(database)])]);
        writes.guard = Some(Guard { statement, expected });
        match (room.sql.execute(&writes).await, held) {
            (Ok(()), true) => {}
            (Err(ExecuteError::Guard { message }), false) => assert!(message.starts_with("127.0.0.1:"), "{message}"),
            (result, _) => panic!("{database}: {result:?}"),
        }
        assert_eq!(exists(&room, &server, database).await, held, "{database}");
    }

    let mut writes = execution(server.port, vec![sql("CREATE DATABASE ??", [name("unread")])]);
    writes.guard = Some(Guard { statement: sql("CREATE DATABASE ??", [name("guard")]), expected: vec![] });
    let result = room.sql.execute(&writes).await;
    assert!(matches!(&result, Err(ExecuteError::Sql(error)) if error.kind == SqlErrorKind::Invalid), "a guard only reads: {result:?}");
    writes.guard = Some(Guard { statement: sql("SELECT a FROM absent", []), expected: vec![] });
    let result = room.sql.execute(&writes).await;
    assert!(matches!(&result, Err(ExecuteError::Sql(error)) if error.message.contains("guard: ")), "{result:?}");
    assert!(!exists(&room, &server, "unread").await && !exists(&room, &server, "guard").await);
}

#[tokio::test]
async fn the_first_failure_ends_it() {
    let server = Server::start().await;
    let room = Room::new();
    let create = |database: &str| sql("CREATE DATABASE ??", [name(database)]);
    let Err(ExecuteError::Sql(error)) = room.run(server.port, ["a", "a", "b"].map(create).to_vec()).await else { panic!("it exists") };
    assert_eq!((error.kind, error.code), (SqlErrorKind::Server, 1007), "{error:?}");
    assert!(error.message.contains(": statement 2: "), "{}", error.message);
    assert!(exists(&room, &server, "a").await && !exists(&room, &server, "b").await);
}

#[tokio::test]
async fn writes_in_a_database_are_committed() {
    let server = Server::start().await;
    let room = Room::new();
    room.run(server.port, vec![sql("CREATE DATABASE d", []), sql("SET GLOBAL autocommit = 0", [])]).await.expect("a database");
    let statements = ["CREATE TABLE t (a INT PRIMARY KEY)", "INSERT INTO t VALUES (1)", "CALL dolt_branch(?)"];
    let mut writes = execution(server.port, statements.map(|s| sql(s, [])).to_vec());
    writes.statements[2].arguments.push(text("side"));
    writes.database = Some("d".into());
    room.sql.execute(&writes).await.expect("a table");
    let mut asked = query(server.port, vec![sql("SELECT a FROM t", []), sql("SELECT name FROM dolt_branches ORDER BY name", [])]);
    asked.database = Some("d".into());
    let answers = room.sql.query(&asked).await.expect("rows");
    assert_eq!(answers[0].rows, [[Value::Signed(1)]]);
    assert_eq!(answers[1].rows, [[Value::Text("main".into())], [Value::Text("side".into())]]);
}

/// Each way to fail with a secret at hand, some of which make the server quote the statement. The value shows in none.
#[tokio::test]
async fn secrets_never_show() {
    const VALUE: &str = "Zq7-unmistakable";
    let server = Server::start().await;
    let room = Room::new();
    room.keys.set("app/user", "app");
    room.keys.set("app/password", VALUE);
    let mut messages = Vec::new();

    let statements = [
        sql("CREATE USER ?", [secret("app", "password")]),
        sql("CREATE USER ?@? IDENTIFID BY ?", [text("a"), text("%"), secret("app", "password")]),
        sql("SELECT nonsense ? ?", [secret("app", "password"), secret("app", "password")]),
        sql("SET GLOBAL max_connections = ?", [secret("app", "password")]),
        sql("CALL dolt_branch(?)", [secret("app", "password")]),
        sql("SIGNAL SQLSTATE ?", [secret("app", "password")]),
        sql("CREATE USER ?@? IDENTIFIED BY ?", [text("root"), text("localhost"), secret("app", "password")]),
        sql("SELECT ? FROM ??", [secret("app", "password"), name("absent")]),
        sql("SELECT ?", [secret("app", "absent")]),
    ];
    for statement in statements {
        let mut writes = execution(server.port, vec![statement.clone()]);
        let result = room.sql.execute(&writes).await;
        messages.push(format!("{result:?} {}", result.as_ref().err().map(ToString::to_string).unwrap_or_default()));
        writes.endpoint = endpoint(server.port, "app");
        let result = room.sql.execute(&writes).await;
        assert!(result.is_err(), "there is no such account");
        messages.push(format!("{result:?}"));
        let error = room.sql.query(&query(server.port, vec![statement.clone()])).await.expect_err("a query holds no secret");
        assert_eq!(error.kind, SqlErrorKind::Invalid);
        messages.push(format!("{error:?}"));
    }
    let mut guarded = execution(server.port, vec![]);
    for statement in [sql("SELECT 1", []), sql("SELECT ?", [secret("app", "password")])] {
        guarded.guard = Some(Guard { statement, expected: vec![Value::Text("x".into())] });
        messages.push(format!("{:?}", room.sql.execute(&guarded).await));
    }
    let told = messages.iter().filter(|m| m.contains("its words are withheld")).count();
    assert!(told >= 5, "the server has refused most of them: {messages:#?}");
    for message in &messages {
        let shows = |part: &str| message.to_lowercase().contains(&part.to_lowercase());
        assert!(!shows("unmistakable") && !shows("Zq7"), "{message}");
    }
}

#[tokio::test]
async fn an_empty_secret_is_no_value() {
    let server = Server::start().await;
    let room = Room::new();
    room.keys.set("app/password", "");
    let create = sql("CREATE USER ?@? IDENTIFIED BY ?", [text("a"), text("%"), secret("app", "password")]);
    let Err(ExecuteError::Sql(error)) = room.run(server.port, vec![create]).await else { panic!("anybody could log in") };
    assert_eq!(error.kind, SqlErrorKind::NoCredentials);
    assert!(error.message.ends_with("key password of secret ns/app is empty"), "{}", error.message);
}

#[tokio::test]
async fn who_leads_no_more_sends_no_statement_after_the_guard() {
    let server = Server::start().await;
    let room = Room::new();
    let asked = Arc::new(AtomicBool::new(false));
    let told = asked.clone();
    let fence = Arc::new(move || {
        told.store(true, Ordering::Relaxed);
        false
    });
    let fenced = Sql::new(room.keys.clone(), SqlLimits::default()).fenced_by(fence);
    let mut writes = execution(server.port, vec![sql("CREATE DATABASE late", [])]);
    writes.guard = Some(Guard { statement: sql("SELECT 1", []), expected: vec![Value::Signed(1)] });
    let error = fenced.execute(&writes).await.expect_err("it may not write");
    assert!(asked.load(Ordering::Relaxed) && error.to_string().contains("does not lead any more"), "{error}");
    assert!(!exists(&room, &server, "late").await);
}

#[tokio::test]
async fn a_guard_whose_answer_is_old_does_not_count() {
    let server = Server::start().await;
    let room = Room::new();
    let mut writes = execution(server.port, vec![sql("CREATE DATABASE late", [])]);
    let slow = sql("SELECT SLEEP(?)", [Argument::Value(Value::Double(GUARD_HOLDS.as_secs_f64() + 0.2))]);
    writes.guard = Some(Guard { statement: slow, expected: vec![Value::Signed(0)] });
    let result = room.sql.execute(&writes).await;
    assert!(matches!(&result, Err(ExecuteError::Guard { message }) if message.contains("holds for 1000 ms")), "{result:?}");
    assert!(!exists(&room, &server, "late").await);
}
