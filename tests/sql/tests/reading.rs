//! Queries read: what writes is refused, by this side and by the server, and what is too much is not read.

use std::time::{Duration, Instant};

use host::{
    contract::{SqlErrorKind, Value},
    sql::SqlLimits,
};
use mysql_async::{Conn, OptsBuilder, prelude::Queryable};
use sql_tests::{Room, Server, name, query, sql, text, val};

#[tokio::test]
async fn whatever_writes_is_refused() {
    let server = Server::start().await;
    let room = Room::new();
    let setup = ["CREATE DATABASE d", "CREATE TABLE d.t (a INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)"];
    room.run(server.port, setup.map(|s| sql(s, [])).to_vec()).await.expect("a table");
    let file = std::env::temp_dir().join(format!("sql-tests-{}-{}", std::process::id(), server.port));
    let file_text = file.to_str().expect("a plain path").to_owned();
    let writes = [
        sql("INSERT INTO t VALUES (2)", []),
        sql("UPDATE t SET a = 3", []),
        sql("DELETE FROM t", []),
        sql("WITH x AS (SELECT 1) DELETE FROM t", []),
        sql("CREATE TABLE u (a INT PRIMARY KEY)", []),
        sql("CREATE DATABASE ??", [name("made")]),
        sql("DROP DATABASE ??", [name("d")]),
        sql("CREATE USER ?@? IDENTIFIED BY ?", [text("made"), text("%"), text("x")]),
        sql("CALL dolt_branch(?)", [text("made")]),
        sql("CALL dolt_assume_cluster_role(?, ?)", [text("primary"), val(Value::Signed(9))]),
        sql("SET GLOBAL max_connections = 17", []),
        sql("SELECT 1 INTO OUTFILE ?", [text(&file_text)]),
        sql("SELECT GET_LOCK(?, 1)", [text("made")]),
    ];
    for write in writes {
        let mut asked = query(server.port, vec![write.clone()]);
        asked.database = Some("d".into());
        let error = room.sql.query(&asked).await.expect_err(&write.text);
        assert_eq!(error.kind, SqlErrorKind::Invalid, "{} {error:?}", write.text);
    }
    let state = vec![
        sql("SELECT a FROM d.t", []),
        sql("SHOW TABLES FROM d", []),
        sql("SHOW DATABASES LIKE ?", [text("made")]),
        sql("SELECT user FROM mysql.user WHERE user = ?", [text("made")]),
        sql("SELECT name FROM d.dolt_branches", []),
        sql("SELECT @@GLOBAL.dolt_cluster_role_epoch, @@GLOBAL.max_connections <> 17", []),
    ];
    let answers = room.sql.query(&query(server.port, state)).await.expect("the state");
    let rows: Vec<_> = answers.into_iter().map(|answer| answer.rows).collect();
    assert_eq!(rows[0], [[Value::Signed(1)]]);
    assert_eq!(rows[1], [[Value::Text("t".into())]]);
    assert_eq!((rows[2].len(), rows[3].len()), (0, 0));
    assert_eq!(rows[4], [[Value::Text("main".into())]]);
    assert_eq!(rows[5], [[Value::Signed(1), Value::Signed(1)]]);
    assert!(!file.exists(), "no file was written");
}

/// What the server itself enforces in the session's kind of transaction. The host refuses all of them by shape; where the server changes its
/// mind, the host's module documentation has to change too.
#[tokio::test]
async fn the_servers_own_part_of_read_only() {
    let server = Server::start().await;
    let opts = || OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(server.port).user(Some("root")).prefer_socket(false);
    let mut setup = Conn::new(opts()).await.expect("a connection");
    for statement in ["CREATE DATABASE d", "CREATE TABLE d.t (a INT PRIMARY KEY)"] {
        setup.query_drop(statement).await.expect(statement);
    }
    let statements = [
        ("INSERT INTO d.t VALUES (7)", true),
        ("UPDATE d.t SET a = 8", true),
        ("WITH x AS (SELECT 1) DELETE FROM d.t", true),
        ("CREATE DATABASE e", false),
        ("CREATE USER u@'%' IDENTIFIED BY 'x'", false),
        ("CALL dolt_branch('b')", false),
        ("CALL dolt_assume_cluster_role('primary', 2)", false),
        ("SET GLOBAL max_connections = 999", false),
    ];
    for (statement, refused) in statements {
        let mut conn = Conn::new(opts().db_name(Some("d"))).await.expect("a connection");
        conn.query_drop("START TRANSACTION READ ONLY").await.expect("a transaction");
        let result = conn.query_drop(statement).await;
        assert_eq!(result.is_err(), refused, "{statement}: {result:?}");
        if refused {
            assert!(matches!(result, Err(mysql_async::Error::Server(error)) if error.code == 1792), "{statement}");
        }
    }
}

#[tokio::test]
async fn a_connection_carries_nothing_over() {
    let server = Server::start().await;
    let room = Room::new();
    room.run(server.port, vec![sql("CREATE DATABASE d", [])]).await.expect("a database");
    let current = || vec![sql("SELECT DATABASE()", [])];
    let mut inside = query(server.port, current());
    inside.database = Some("d".into());
    for _ in 0..3 {
        assert_eq!(room.sql.query(&inside).await.expect("a row")[0].rows, [[Value::Text("d".into())]]);
        assert_eq!(room.sql.query(&query(server.port, current())).await.expect("a row")[0].rows, [[Value::Null]]);
    }
    inside.database = Some("absent".into());
    let error = room.sql.query(&inside).await.expect_err("no such database");
    assert_eq!((error.kind, error.code), (SqlErrorKind::Server, 1049));
}

#[tokio::test]
async fn too_much_is_an_error_and_the_next_query_works() {
    let server = Server::start().await;
    let room = Room::with(SqlLimits { rows: 50, bytes: 256 << 10, ..SqlLimits::default() });
    let numbers = |n: i64| {
        sql("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i FROM n", [val(Value::Signed(n))])
    };
    let wide = |n: i64| sql("SELECT REPEAT(?, ?) AS w", [text("x"), val(Value::Signed(n))]);

    let mut asked = query(server.port, vec![numbers(50)]);
    assert_eq!(room.sql.query(&asked).await.expect("as many as allowed")[0].rows.len(), 50);
    for (statements, max_rows) in [
        (vec![numbers(51)], 1_000),
        (vec![numbers(3)], 2),
        (vec![numbers(1)], 0),
        (vec![numbers(1_000)], 1_000),
        (vec![wide(300 << 10)], 1),
        (vec![wide(100 << 10), wide(100 << 10), wide(100 << 10)], 1),
    ] {
        asked.statements = statements;
        asked.max_rows = max_rows;
        let error = room.sql.query(&asked).await.expect_err("too much");
        assert_eq!(error.kind, SqlErrorKind::TooLarge, "{}", error.message);
        assert_eq!(room.ask(server.port, wide(100 << 10)).await.expect("the next query").rows.len(), 1);
    }
}

/// A thousand million rows: reading stops at the limit, and the server is told by the end of the connection.
#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let server = Server::start().await;
    let room = Room::new();
    let endless = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT a.i FROM n a JOIN n b JOIN n c";
    let started = Instant::now();
    let error = room.ask(server.port, sql(endless, [])).await.expect_err("too much");
    assert_eq!(error.kind, SqlErrorKind::TooLarge, "{}", error.message);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());

    let running = || sql("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE ?", [text("%JOIN n c%")]);
    let only_this_one = async {
        while room.ask(server.port, running()).await.expect("a count").rows != [[Value::Signed(1)]] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), only_this_one).await.expect("the server has ended the statement");
}

#[tokio::test]
async fn errors_say_where_and_what() {
    let server = Server::start().await;
    let room = Room::new();
    let error =
        room.sql.query(&query(server.port, vec![sql("SELECT 1", []), sql("SELECT * FROM d.absent", [])])).await.expect_err("no table");
    assert_eq!(error.kind, SqlErrorKind::Server);
    assert!(error.code != 0 && error.state.len() == 5, "{error:?}");
    let start = format!("127.0.0.1:{}: statement 2: server error {} ({}): ", server.port, error.code, error.state);
    assert!(error.message.starts_with(&start), "{}", error.message);
}
