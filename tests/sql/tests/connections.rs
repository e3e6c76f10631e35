//! Deadlines, lost servers, changed accounts, many endpoints.

use std::time::{Duration, Instant};

use futures::future::join_all;
use host::contract::{SqlErrorKind, Value};
use sql_tests::{Proxy, Room, Server, endpoint, execution, query, secret, sql, text, val};

const ONE: [[Value; 1]; 1] = [[Value::Signed(1)]];

#[tokio::test]
async fn a_deadline_ends_a_statement_and_nothing_else() {
    let server = Server::start().await;
    let room = Room::new();
    let sleep = || sql("SELECT SLEEP(?)", [val(Value::Signed(10))]);
    let mut slow = query(server.port, vec![sleep()]);
    slow.deadline = 300;
    let mut write = execution(server.port, vec![sql("SET @a = 1", []), sleep()]);
    write.deadline = 300;
    for _ in 0..5 {
        let started = Instant::now();
        let error = room.sql.query(&slow).await.expect_err("it sleeps for longer");
        assert_eq!(error.kind, SqlErrorKind::Timeout);
        let Err(host::sql::ExecuteError::Sql(error)) = room.sql.execute(&write).await else { panic!("it sleeps for longer") };
        assert_eq!(error.kind, SqlErrorKind::Timeout);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?} for two", started.elapsed());
        assert_eq!(room.ask(server.port, sql("SELECT 1", [])).await.expect("the next query").rows, ONE);
    }
}

/// Twenty at once: most answer, one refuses, two are silent. The silent ones cost their own deadline only.
#[tokio::test]
async fn many_endpoints_at_once() {
    let server = Server::start().await;
    let room = Room::new();
    let mut proxies = Vec::new();
    for i in 0..19 {
        proxies.push(Proxy::start((i % 9 != 4).then_some(server.port)).await);
    }
    let closed = Proxy::start(None).await;
    let refused = closed.port;
    drop(closed);
    let ports: Vec<u16> = proxies.iter().map(|p| p.port).chain([refused]).collect();
    let queries: Vec<_> = ports
        .iter()
        .zip(0..)
        .map(|(port, i)| {
            let mut asked = query(*port, vec![sql("SELECT ?", [text(&format!("answer {i}"))])]);
            asked.deadline = 2_000;
            asked
        })
        .collect();
    let started = Instant::now();
    let answers = room.sql.query_all(&queries).await;
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    for (i, answer) in answers.iter().enumerate() {
        match answer {
            Ok(rows) => assert_eq!(rows[0].rows, [[Value::Text(format!("answer {i}"))]]),
            Err(error) => {
                assert!(i % 9 == 4 || i == 19, "{i}: {error:?}");
                assert_eq!(error.kind, SqlErrorKind::Unreachable);
                assert!(error.message.starts_with(&format!("127.0.0.1:{}: ", ports[i])), "{}", error.message);
            }
        }
    }
    assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 17);
}

#[tokio::test]
async fn connections_are_used_again_and_are_few() {
    let server = Server::start().await;
    let proxy = Proxy::start(Some(server.port)).await;
    let room = Room::new();
    for round in 0..10 {
        let answers = join_all((0..8).map(|_| room.ask(proxy.port, sql("SELECT 1", [])))).await;
        assert!(answers.iter().all(Result::is_ok), "round {round}: {answers:?}");
    }
    assert!(proxy.accepted() <= 3, "{} connections for 80 queries", proxy.accepted());
    room.run(proxy.port, vec![sql("SET @a = 1", [])]).await.expect("an execution");
    room.run(proxy.port, vec![sql("SET @a = 1", [])]).await.expect("an execution");
    assert!((3..=5).contains(&proxy.accepted()), "each execution has a connection of its own");
}

/// A silent peer costs one query its deadline, whether its connections lie idle in the pool or are just being reset for it.
#[tokio::test]
async fn one_silent_connection_and_the_others_are_not_tried() {
    let server = Server::start().await;
    let proxy = Proxy::start(Some(server.port)).await;
    let room = Room::new();
    let mut asked = query(proxy.port, vec![sql("SELECT 1", [])]);
    asked.deadline = 300;
    for round in 0..6 {
        let three = join_all((0..3).map(|_| room.ask(proxy.port, sql("SELECT SLEEP(?)", [val(Value::Double(0.05))])))).await;
        assert!(three.iter().all(Result::is_ok), "round {round}: {three:?}");
        if round % 2 == 0 {
            // Another way to the same server: when it has answered, it has also reset the three.
            room.ask(server.port, sql("SELECT SLEEP(?)", [val(Value::Double(0.05))])).await.expect("an answer");
        }
        proxy.silence();
        let error = room.sql.query(&asked).await.expect_err("silence");
        assert!(matches!(error.kind, SqlErrorKind::Timeout | SqlErrorKind::Unreachable), "round {round}: {error:?}");
        assert_eq!(room.sql.query(&asked).await.expect("a new connection")[0].rows, ONE, "round {round}");
    }
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let mut server = Server::start().await;
    let room = Room::new();
    let one = || sql("SELECT 1", []);
    assert!(join_all((0..3).map(|_| room.ask(server.port, one()))).await.iter().all(Result::is_ok));

    server.stop();
    let error = room.ask(server.port, one()).await.expect_err("nobody is there");
    assert!(matches!(error.kind, SqlErrorKind::Unreachable | SqlErrorKind::Lost), "{error:?}");
    server.up().await;
    assert_eq!(room.ask(server.port, one()).await.expect("it is back").rows, ONE);

    // Restarted between two queries: at most one clean error.
    server.stop();
    server.up().await;
    if let Err(error) = room.ask(server.port, one()).await {
        assert_eq!(error.kind, SqlErrorKind::Lost, "{error:?}");
    }
    assert_eq!(room.ask(server.port, one()).await.expect("it is back").rows, ONE);
}

#[tokio::test]
async fn a_changed_password_is_picked_up() {
    let server = Server::start().await;
    let room = Room::new();
    room.keys.set("app/user", "app");
    room.keys.set("app/password", "first");
    let account = || [text("app"), text("%"), secret("app", "password")];
    room.run(server.port, vec![sql("CREATE USER ?@? IDENTIFIED BY ?", account())]).await.expect("a user");
    let mut asked = query(server.port, vec![sql("SELECT 1", [])]);
    asked.endpoint = endpoint(server.port, "app");
    assert!(room.sql.query(&asked).await.is_ok());

    room.keys.set("app/password", "second");
    let error = room.sql.query(&asked).await.expect_err("a pool of the old password would have answered");
    assert_eq!((error.kind, error.code), (SqlErrorKind::AccessDenied, 1045));
    room.run(server.port, vec![sql("ALTER USER ?@? IDENTIFIED BY ?", account())]).await.expect("a new password");
    assert!(room.sql.query(&asked).await.is_ok());
}
