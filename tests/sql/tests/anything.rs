//! Statements and arguments that nobody vouches for, on a real server: whatever is put in comes back as it was, and whatever is asked changes
//! nothing.

use arbtest::arbitrary::{Result as Random, Unstructured};
use fuzz::inputs;
use host::contract::{Argument, Statement, Value};
use sql_tests::{Room, Server, name, query, sql, text, val};
use tokio::{runtime::Handle, task::block_in_place};

/// Pieces of statements: what reads, what writes, and what makes one of the other.
const PIECES: [&str; 60] = [
    "SELECT",
    "SHOW",
    "WITH",
    "EXPLAIN",
    "DESC",
    "x",
    "AS",
    "(",
    ")",
    "1",
    "*",
    "FROM",
    "d.t",
    "d",
    "t",
    "a",
    ",",
    "?",
    "??",
    "=",
    "@a",
    ":=",
    "@@",
    "GLOBAL.",
    "max_connections",
    "INTO",
    "OUTFILE",
    "INSERT",
    "VALUES",
    "(2)",
    "UPDATE",
    "SET",
    "DELETE",
    "DROP",
    "CREATE",
    "TABLE",
    "DATABASE",
    "USER",
    "u",
    "REPLACE",
    "TRUNCATE",
    "CALL",
    "dolt_branch",
    "dolt_checkout",
    "dolt_reset",
    "dolt_commit",
    "COMMIT",
    "ROLLBACK",
    "BEGIN",
    "GRANT",
    "ALL",
    "ON",
    "TO",
    ";",
    "\n",
    "/*!",
    "*/",
    "--",
    "'",
    "`",
];
const CHARACTERS: [char; 20] =
    ['\'', '"', '`', '\\', '%', '_', '?', ';', '-', '#', '/', '*', '\0', '\u{1a}', '\n', ' ', 'a', 'é', '\u{202e}', '\u{1f980}'];

/// A text of characters that mean something to a server.
fn hostile(u: &mut Unstructured<'_>) -> Random<String> {
    (0..u.int_in_range(0..=12)?).map(|_| u.choose(&CHARACTERS).copied()).collect()
}

fn statement(u: &mut Unstructured<'_>) -> Random<Statement> {
    // Otherwise nearly all fail by their first word.
    let first = u.choose(&PIECES[..5])?;
    let rest = (0..u.int_in_range(0..=14)?).map(|_| u.choose(&PIECES).copied()).collect::<Random<Vec<_>>>()?;
    let text = [&[*first][..], &rest].concat().join(*u.choose(&[" ", " ", " ", ""])?);
    let arguments = text.replace("??", "!").chars().filter(|c| "?!".contains(*c)).map(|place| argument(place, u)).collect::<Random<_>>()?;
    Ok(Statement { text, arguments })
}

fn argument(place: char, u: &mut Unstructured<'_>) -> Random<Argument> {
    let name = if u.ratio(1, 2)? { "t".to_owned() } else { hostile(u)? };
    Ok(if place == '!' { Argument::Identifier(name) } else { Argument::Value(Value::Text(name)) })
}

/// What a statement could have changed.
async fn state(room: &Room, port: u16) -> Vec<Vec<Vec<Value>>> {
    let statements = vec![
        sql("SELECT schema_name FROM information_schema.schemata ORDER BY 1", []),
        sql("SELECT a FROM d.t ORDER BY 1", []),
        sql("SHOW TABLES FROM d", []),
        sql("SELECT user, host, authentication_string FROM mysql.user ORDER BY 1, 2", []),
        sql("SELECT name, hash FROM d.dolt_branches ORDER BY 1", []),
        sql("SELECT table_name, staged, status FROM d.dolt_status", []),
        sql("SELECT @@GLOBAL.max_connections, @@GLOBAL.read_only", []),
    ];
    let answers = room.sql.query(&query(port, statements)).await.expect("the state");
    answers.into_iter().map(|answer| answer.rows).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_changes_nothing() {
    let server = Server::start().await;
    let room = Room::new();
    let setup = ["CREATE DATABASE d", "CREATE TABLE d.t (a INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)"];
    room.run(server.port, setup.map(|s| sql(s, [])).to_vec()).await.expect("a table");
    let before = state(&room, server.port).await;
    let (mut answered, mut refused) = (0, 0);
    inputs(2_000, |u| {
        let statements = (0..u.int_in_range(1..=3)?).map(|_| statement(u)).collect::<Random<Vec<_>>>()?;
        let mut asked = query(server.port, statements);
        asked.database = u.ratio(1, 2)?.then(|| "d".into());
        block_in_place(|| {
            Handle::current().block_on(async {
                match room.sql.query(&asked).await {
                    Ok(answers) => {
                        assert_eq!(answers.len(), asked.statements.len(), "{:?}", asked.statements);
                        answered += 1;
                    }
                    Err(_) => refused += 1,
                }
                if (answered + refused) % 50 == 0 {
                    assert_eq!(state(&room, server.port).await, before, "at the latest by {:?}", asked.statements);
                }
            });
        });
        Ok(())
    });
    assert_eq!(state(&room, server.port).await, before);
    assert!(answered > 0 && refused > 0, "{answered} were answered, {refused} refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_text_any_bytes_and_any_name_come_back() {
    let server = Server::start().await;
    let room = Room::new();
    inputs(500, |u| {
        let (given, bytes) = (if u.ratio(1, 2)? { hostile(u)? } else { u.arbitrary()? }, u.arbitrary::<Vec<u8>>()?);
        let column = hostile(u)?;
        let asked = sql("SELECT ?, ?, ? AS ??", [text(&given), val(Value::Bytes(bytes.clone())), text(&given), name(&column)]);
        block_in_place(|| {
            Handle::current().block_on(async {
                match room.ask(server.port, asked).await {
                    Ok(rows) => {
                        assert_eq!(rows.rows, [[Value::Text(given.clone()), Value::Bytes(bytes), Value::Text(given)]]);
                        assert_eq!(rows.columns[2], column);
                    }
                    // Names have fewer characters than texts.
                    Err(error) => assert!(error.message.contains("identifier") || error.message.contains("name"), "{column:?}: {error:?}"),
                }
            });
        });
        Ok(())
    });
}
