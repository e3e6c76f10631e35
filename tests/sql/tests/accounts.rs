//! The reconcilers of User and Grant on a real server: what Dolt does with accounts is not always what its statements say.

use grant::GrantReconciler;
use host::contract::Value;
use mysql_async::{Conn, OptsBuilder, prelude::Queryable};
use rstest::rstest;
use serde_json::{Value as Json, json};
use sql_tests::{Room, Server, Stage, execution, sql, text};
use user::UserReconciler;

/// Connects with an account, and asks.
async fn enter(server: &Server, user: &str, password: &str, question: &str) -> Result<Vec<String>, String> {
    let opts =
        OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(server.port).user(Some(user)).pass(Some(password)).prefer_socket(false);
    let mut conn = Conn::new(opts).await.map_err(|error| error.to_string())?;
    let rows = conn.query(question).await.map_err(|error| error.to_string());
    let _ = conn.disconnect().await;
    rows
}

async fn by_hand(server: &Server, statement: &str) {
    enter(server, "root", "", statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

async fn shown(server: &Server, account: &str) -> Vec<String> {
    enter(server, "root", "", &format!("SHOW GRANTS FOR {account}")).await.expect("grants")
}

fn account(name: &str) -> Json {
    json!({"name": name, "passwordSecretKeyRef": {"name": "app", "key": "password"}})
}

fn shop(privileges: &[&str]) -> Json {
    json!({"username": "app", "database": "shop", "privileges": privileges})
}

#[rstest]
#[case("app", "plain")]
#[case("o'brien", "it's \"quoted\" `so`")]
#[case("back\\slash", "\\'; DROP USER root@localhost; -- \\")]
#[case("x'@'%'; DROP USER root; --", "' OR '1'='1")]
#[case("Zoë`", "пароль-密码-🔑")]
#[tokio::test(flavor = "multi_thread")]
async fn an_account_lets_in_with_its_password_whatever_they_are(#[case] name: &str, #[case] password: &str) {
    let server = Server::start().await;
    let mut stage = Stage::new(server.port);
    stage.secret("app", password);
    stage.apply("User", "app", account(name));
    assert_eq!(stage.settle::<UserReconciler>("User", "app").await, 1);
    assert_eq!(stage.says("User", "app").0, "Created");
    enter(&server, name, password, "SELECT 1").await.expect("the password lets in");
    enter(&server, name, "other", "SELECT 1").await.expect_err("another does not");
    assert_eq!(stage.settle::<UserReconciler>("User", "app").await, 0, "at rest");

    stage.apply("Grant", "app", json!({"username": name, "privileges": ["ALL"], "grantOption": true}));
    assert_eq!(stage.settle::<GrantReconciler>("Grant", "app").await, 1);
    enter(&server, name, password, "SELECT user FROM mysql.user").await.expect("it may");
    assert_eq!(stage.settle::<GrantReconciler>("Grant", "app").await, 0, "at rest");
    stage.delete("Grant", "app");
    stage.settle::<GrantReconciler>("Grant", "app").await;
    enter(&server, name, password, "SELECT user FROM mysql.user").await.expect_err("it may no more");
    stage.delete("User", "app");
    stage.settle::<UserReconciler>("User", "app").await;
    enter(&server, name, password, "SELECT 1").await.expect_err("it is gone");
    assert!(stage.find("User", "app").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_set_when_it_has_to_be_and_only_then() {
    let server = Server::start().await;
    let mut stage = Stage::new(server.port);
    stage.secret("app", "one");
    stage.apply("User", "app", account("app"));
    stage.settle::<UserReconciler>("User", "app").await;

    by_hand(&server, "GRANT SELECT ON *.* TO 'app'@'%'").await;
    stage.restart();
    assert_eq!(stage.settle::<UserReconciler>("User", "app").await, 0, "privileges are none of its business, nor is a restart");

    by_hand(&server, "ALTER USER 'app'@'%' IDENTIFIED BY 'by hand'").await;
    assert_eq!(stage.settle::<UserReconciler>("User", "app").await, 1);
    enter(&server, "app", "one", "SELECT 1").await.expect("it was put right");

    stage.secret("app", "two");
    assert_eq!(stage.settle::<UserReconciler>("User", "app").await, 1);
    enter(&server, "app", "two", "SELECT 1").await.expect("the Secret's new value");

    by_hand(&server, "DROP USER 'app'@'%'").await;
    assert_eq!(stage.settle::<UserReconciler>("User", "app").await, 1);
    enter(&server, "app", "two", "SELECT 1").await.expect("it was made again");

    stage.secret("app", "");
    assert_eq!(stage.settle::<UserReconciler>("User", "app").await, 0);
    assert_eq!(stage.says("User", "app").0, "PasswordEmpty");
    enter(&server, "app", "two", "SELECT 1").await.expect("the last one stays");
}

/// Dolt drops and grants to another account of the same name where the one that is named is not there.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_never_taken_for_another() {
    let server = Server::start().await;
    let room = Room::new();
    by_hand(&server, "CREATE USER 'app'@'%' IDENTIFIED BY 'x'").await;
    let mut stage = Stage::new(server.port);
    stage.apply("Grant", "app", json!({"username": "app", "host": "10.0.0.1", "privileges": ["SELECT"]}));
    stage.settle::<GrantReconciler>("Grant", "app").await;
    assert_eq!(stage.says("Grant", "app").0, "AccountNotFound");
    assert_eq!(shown(&server, "'app'@'%'").await, ["GRANT USAGE ON *.* TO `app`@`%`"]);

    stage.secret("app", "one");
    let mut there = account("app");
    there["host"] = json!("10.0.0.1");
    stage.apply("User", "app", there);
    stage.settle::<UserReconciler>("User", "app").await;
    by_hand(&server, "DROP USER 'app'@'10.0.0.1'").await;
    stage.delete("User", "app");
    stage.settle::<UserReconciler>("User", "app").await;
    let left = room.ask(server.port, sql("SELECT user FROM mysql.user WHERE user = ?", [text("app")])).await.expect("rows");
    assert_eq!(left.rows, [[Value::Text("app".into())]], "the other one is left");

    // What the guards are for: this is what Dolt does without one.
    let drop = sql("DROP USER IF EXISTS ?@?", [text("app"), text("10.0.0.1")]);
    room.sql.execute(&execution(server.port, vec![drop])).await.expect("a statement");
    let left = room.ask(server.port, sql("SELECT user FROM mysql.user WHERE user = ?", [text("app")])).await.expect("rows");
    assert!(left.rows.is_empty(), "Dolt has learned it: the guards could go");
}

#[tokio::test(flavor = "multi_thread")]
async fn privileges_follow_the_spec_and_nothing_else_goes() {
    let server = Server::start().await;
    by_hand(&server, "CREATE USER 'app'@'%' IDENTIFIED BY 'x'").await;
    by_hand(&server, "GRANT PROCESS ON *.* TO 'app'@'%'").await;
    let mut stage = Stage::new(server.port);
    stage.apply("Grant", "one", shop(&["SELECT", "INSERT"]));
    stage.apply("Grant", "two", shop(&["INSERT, DELETE"]));
    stage.apply(
        "Grant",
        "table",
        json!({"username": "app", "database": "shop", "table": "Items", "privileges": ["UPDATE"], "grantOption": true}),
    );
    for name in ["one", "two", "table"] {
        assert_eq!(stage.settle::<GrantReconciler>("Grant", name).await, 1, "{name}");
        assert_eq!(stage.settle::<GrantReconciler>("Grant", name).await, 0, "{name} at rest");
    }
    let whole = "GRANT SELECT, INSERT, DELETE ON `shop`.* TO `app`@`%`";
    let table = "GRANT UPDATE ON `shop`.`items` TO `app`@`%` WITH GRANT OPTION";
    let process = "GRANT PROCESS ON *.* TO `app`@`%`";
    assert_eq!(shown(&server, "'app'@'%'").await, [process, whole, table]);

    stage.apply("Grant", "one", shop(&["SELECT"]));
    assert_eq!(stage.settle::<GrantReconciler>("Grant", "one").await, 0, "INSERT is the other's too");
    stage.delete("Grant", "two");
    stage.settle::<GrantReconciler>("Grant", "two").await;
    assert_eq!(shown(&server, "'app'@'%'").await, [process, "GRANT SELECT ON `shop`.* TO `app`@`%`", table]);

    // The last one of a database takes those of its tables along in Dolt.
    stage.delete("Grant", "one");
    stage.settle::<GrantReconciler>("Grant", "one").await;
    assert_eq!(shown(&server, "'app'@'%'").await, [process, table]);
    stage.delete("Grant", "table");
    stage.settle::<GrantReconciler>("Grant", "table").await;
    assert_eq!(shown(&server, "'app'@'%'").await, [process]);
}

/// SHOW GRANTS leaves out a grant option that has no privilege beside it.
#[rstest]
#[case::everywhere("*", "*")]
#[case::database("shop", "*")]
#[case::table("shop", "items")]
#[tokio::test(flavor = "multi_thread")]
async fn a_grant_option_alone_is_given_once_and_taken_away(#[case] database: &str, #[case] table: &str) {
    let server = Server::start().await;
    by_hand(&server, "CREATE USER 'app'@'%' IDENTIFIED BY 'x'").await;
    let mut stage = Stage::new(server.port);
    let spec =
        |option: bool| json!({"username": "app", "database": database, "table": table, "privileges": ["USAGE"], "grantOption": option});
    stage.apply("Grant", "app", spec(true));
    assert_eq!(stage.settle::<GrantReconciler>("Grant", "app").await, 1);
    assert_eq!(stage.settle::<GrantReconciler>("Grant", "app").await, 0);
    stage.apply("Grant", "app", spec(false));
    assert_eq!(stage.settle::<GrantReconciler>("Grant", "app").await, 1);
    assert_eq!(stage.settle::<GrantReconciler>("Grant", "app").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_of_the_operator_is_left_alone() {
    let server = Server::start().await;
    let mut stage = Stage::new(server.port);
    stage.secret("app", "taken over");
    stage.apply("User", "app", json!({"name": "root", "host": "localhost", "passwordSecretKeyRef": {"name": "app", "key": "password"}}));
    stage.apply("Grant", "app", json!({"username": "root", "host": "localhost", "privileges": ["SELECT"]}));
    assert_eq!(stage.settle::<UserReconciler>("User", "app").await, 0);
    assert_eq!(stage.settle::<GrantReconciler>("Grant", "app").await, 0);
    assert_eq!((stage.says("User", "app").0, stage.says("Grant", "app").0), ("OwnAccount".into(), "OwnAccount".into()));
}
