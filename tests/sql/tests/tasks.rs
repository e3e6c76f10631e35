//! Tasks on a real server: what their statements answer, and that nothing of them runs on when they are stopped.

use std::time::Duration;

use host::{
    contract::{Execution, Guard, Rows, SqlErrorKind, Value},
    sql::ExecuteError,
    tasks::Work,
};
use rstest::rstest;
use sql_tests::{Room, Server, execution, name, secret, sql, text, val};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

const MINUTE: Duration = Duration::from_secs(60);

/// Runs an execution as a task, to its end.
async fn run(room: &Room, execution: &Execution) -> Result<Vec<Rows>, ExecuteError> {
    let (_stop, stopped) = oneshot::channel();
    room.sql.work(execution, Instant::now() + MINUTE, stopped).await
}

/// How many sessions run this statement.
async fn running(room: &Room, server: &Server, statement: &str) -> u64 {
    let question = sql("SELECT COUNT(*) FROM information_schema.processlist WHERE info = ?", [text(statement)]);
    match &room.ask(server.port, question).await.expect("an answer").rows[0][0] {
        Value::Signed(n) => u64::try_from(*n).expect("a count"),
        other => panic!("not a count: {other:?}"),
    }
}

#[tokio::test]
async fn a_task_has_the_answers_of_its_statements() {
    let (server, room) = (Server::start().await, Room::new());
    let statements = vec![sql("CREATE DATABASE ??", [name("d")]), sql("SELECT ? AS a, ? AS b", [text("x"), val(Value::Signed(7))])];
    let mut task = execution(server.port, statements);
    let answers = run(&room, &task).await.expect("it is done");
    assert_eq!(answers[1], Rows { columns: vec!["a".into(), "b".into()], rows: vec![vec![Value::Text("x".into()), Value::Signed(7)]] });
    assert_eq!(answers.len(), 2);

    // What is not kept is read all the same, and what comes after it takes place.
    let many = "WITH RECURSIVE n AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM n WHERE a < 1500) SELECT a FROM n";
    task.statements = vec![sql("SET @@cte_max_recursion_depth = 2000", []), sql(many, []), sql("CREATE DATABASE ??", [name("after")])];
    let answers = run(&room, &task).await.expect("it is done");
    // 1,000 rows and 64 KiB at most: here it is the second that is passed first.
    let kept: Vec<_> = (1..=answers[1].rows.len()).map(|n| vec![Value::Signed(i64::try_from(n).unwrap())]).collect();
    assert!((500..1_000).contains(&kept.len()), "{}", kept.len());
    assert_eq!(answers[1].rows, kept);
    assert_eq!(room.ask(server.port, sql("SHOW DATABASES LIKE ?", [text("after")])).await.expect("an answer").rows.len(), 1);
}

#[tokio::test]
async fn a_task_with_a_secret_answers_nothing() {
    let (server, room) = (Server::start().await, Room::new());
    room.keys.set("app/password", "unmistakable");
    let task = execution(server.port, vec![sql("SET @s = ?", [secret("app", "password")]), sql("SELECT @s", [])]);
    assert_eq!(run(&room, &task).await.expect("it is done"), []);
}

#[tokio::test]
async fn a_task_fails_as_an_execution_does() {
    let (server, room) = (Server::start().await, Room::new());
    let mut task = execution(server.port, vec![sql("CREATE DATABASE ??", [name("a")]), sql("SELECT nonsense", [])]);
    let Err(ExecuteError::Sql(error)) = run(&room, &task).await else { panic!("there is no such column") };
    assert_eq!(error.kind, SqlErrorKind::Server);
    assert!(error.message.contains(": statement 2: "), "{}", error.message);
    task.guard = Some(Guard { statement: sql("SELECT 1", []), expected: vec![Value::Signed(2)] });
    assert!(matches!(run(&room, &task).await, Err(ExecuteError::Guard { .. })));
}

#[rstest]
#[case::its_deadline(true)]
#[case::who_stops_it(false)]
#[tokio::test]
async fn nothing_of_a_task_runs_on_after(#[case] deadline: bool) {
    let (server, room) = (Server::start().await, Room::new());
    let task = execution(server.port, vec![sql("SELECT SLEEP(?)", [val(Value::Signed(50))])]);
    let (stop, stopped) = oneshot::channel::<()>();
    let time = if deadline { Duration::from_secs(2) } else { MINUTE };
    let (sql, end) = (room.sql.clone(), Instant::now() + time);
    let working = tokio::spawn(async move { sql.work(&task, end, stopped).await });
    let begun = async {
        while running(&room, &server, "SELECT SLEEP(50)").await == 0 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(MINUTE, begun).await.expect("it runs");
    if !deadline {
        drop(stop);
    }
    let Ok(Err(ExecuteError::Sql(error))) = timeout(Duration::from_secs(10), working).await.expect("it ends") else {
        panic!("it slept well")
    };
    assert_eq!(error.kind, SqlErrorKind::Timeout, "{error:?}");
    let ended = async {
        while running(&room, &server, "SELECT SLEEP(50)").await > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_millis(500), ended).await.expect("the statement has been killed");
}
