//! What is put in comes back as it was: values, identifiers, accounts.

use host::contract::{Argument, Credentials, SqlErrorKind, Value};
use sql_tests::{Room, Server, endpoint, execution, name, query, secret, sql, text, val};

const HOSTILE: [&str; 20] = [
    "plain",
    "",
    " leading and trailing ",
    "it's",
    "''",
    "'; DROP DATABASE d; -- ",
    r"\",
    r"\\",
    r"\'",
    r"\'; DROP DATABASE d; -- ",
    r"a\0b\n\Z\%\_",
    "\"double\"",
    "back`tick",
    "-- comment",
    "/* comment */ # comment",
    "?",
    "?? ? ???",
    "line\nbreak\r\ttab\u{1a}",
    "nul\0inside",
    "ünïcödé 🦀 ’quotes‘ \u{202e}",
];

#[tokio::test]
async fn values_come_back() {
    let server = Server::start().await;
    let room = Room::new();
    let mut values: Vec<Value> = HOSTILE.iter().map(|t| Value::Text((*t).into())).collect();
    values.extend([0, 1, -1, -5, i64::MAX, i64::MIN].map(Value::Signed));
    values.extend([0.0, 1.5, -2e-7, 1e300, f64::MIN_POSITIVE, 0.1 + 0.2].map(Value::Double));
    values.push(Value::Null);
    let all_bytes = (0..=255).collect::<Vec<u8>>();
    values.extend([vec![], vec![0], all_bytes].map(Value::Bytes));
    let large = "a'\\".repeat(10_000);
    values.push(Value::Text(large));

    for value in &values {
        let rows = room.ask(server.port, sql("SELECT ? AS v", [val(value.clone())])).await.expect("a row");
        let same = match (&rows.rows[0][0], value) {
            // The server is free to name integers and exact numbers by other types than we do: the number has to be the same.
            (Value::Text(found), Value::Signed(n)) => found.parse() == Ok(*n),
            (Value::Unsigned(found), Value::Signed(n)) => i64::try_from(*found) == Ok(*n),
            (found, given) => found == given,
        };
        assert!(same, "{:?} came back for {value:?}", rows.rows[0][0]);
        assert_eq!(rows.columns, ["v"]);
    }
}

#[tokio::test]
async fn stored_values_come_back_by_the_columns_types() {
    let server = Server::start().await;
    let room = Room::new();
    let create = "CREATE TABLE d.t (k INT PRIMARY KEY, tx LONGTEXT, bl LONGBLOB, u BIGINT UNSIGNED, i BIGINT, f DOUBLE, b BOOLEAN, dt DATETIME, \
                  de DECIMAL(10,2), bi BIT(8), js JSON)";
    let row = |k: i64, hostile: &str| {
        let values = [
            Value::Signed(k),
            Value::Text(hostile.into()),
            Value::Bytes(hostile.as_bytes().to_vec()),
            Value::Unsigned(u64::MAX),
            Value::Signed(i64::MIN),
            Value::Double(0.1),
            Value::Boolean(true),
            Value::Text("2026-01-02 03:04:05".into()),
            Value::Text("1.50".into()),
            Value::Unsigned(5),
            Value::Text("{\"a\":1}".into()),
        ];
        sql("INSERT INTO d.t VALUES (?,?,?,?,?,?,?,?,?,?,?)", values.map(val))
    };
    let mut statements = vec![sql("CREATE DATABASE ??", [name("d")]), sql(create, [])];
    statements.extend(HOSTILE.iter().zip(0..).map(|(hostile, k)| row(k, hostile)));
    room.run(server.port, statements).await.expect("rows");

    let rows = room.ask(server.port, sql("SELECT * FROM d.t ORDER BY k", [])).await.expect("rows");
    assert_eq!(rows.columns, ["k", "tx", "bl", "u", "i", "f", "b", "dt", "de", "bi", "js"]);
    for ((cells, hostile), k) in rows.rows.iter().zip(HOSTILE).zip(0..) {
        let expected = [
            Value::Signed(k),
            Value::Text(hostile.into()),
            Value::Bytes(hostile.as_bytes().to_vec()),
            Value::Unsigned(u64::MAX),
            Value::Signed(i64::MIN),
            Value::Double(0.1),
            Value::Signed(1),
            Value::Text("2026-01-02 03:04:05".into()),
            Value::Text("1.50".into()),
            Value::Unsigned(5),
            Value::Text("{\"a\":1}".into()),
        ];
        assert_eq!(cells, &expected, "{hostile:?}");
        let found =
            room.ask(server.port, sql("SELECT k FROM d.t WHERE tx = ? AND bl = ?", [text(hostile), val(expected[2].clone())])).await;
        assert_eq!(found.expect("a row").rows, [[Value::Signed(k)]], "{hostile:?} is found by its value");
    }
    assert_eq!(rows.rows.len(), HOSTILE.len());
}

#[tokio::test]
async fn identifiers_come_back() {
    let server = Server::start().await;
    let room = Room::new();
    let names = [
        "plain",
        "it's",
        "back`tick",
        "``",
        "`",
        "semi;colon",
        r"back\slash",
        "-- x",
        "/* x */",
        "#x",
        "a b",
        "\"q\"",
        "?",
        "ünï",
        "select",
    ];
    room.run(server.port, vec![sql("CREATE DATABASE ??", [name("d`1 x")])]).await.expect("a database");
    for hostile in names {
        let create = sql("CREATE TABLE ??.??(?? INT PRIMARY KEY)", ["d`1 x", hostile, hostile].map(name));
        let insert = sql("INSERT INTO ??.?? (??) VALUES (?)", [name("d`1 x"), name(hostile), name(hostile), val(Value::Signed(7))]);
        room.run(server.port, vec![create, insert]).await.unwrap_or_else(|e| panic!("{hostile}: {e}"));
        let rows = room.ask(server.port, sql("SELECT ?? FROM ??.??", [hostile, "d`1 x", hostile].map(name))).await.expect("a row");
        assert_eq!((rows.columns, rows.rows), (vec![hostile.to_owned()], vec![vec![Value::Signed(7)]]));
    }
    let mut listing = query(server.port, vec![sql("SHOW TABLES", [])]);
    listing.database = Some("d`1 x".into());
    let tables = room.sql.query(&listing).await.expect("tables").remove(0).rows.len();
    assert_eq!(tables, names.len(), "each name made one table and nothing else");
}

/// The password goes in as a secret argument and is then used to log in, so that quoting is proved by the server's own comparison.
#[tokio::test]
async fn accounts_and_their_passwords_come_back() {
    let server = Server::start().await;
    let room = Room::new();
    for (i, password) in HOSTILE.iter().filter(|p| !p.is_empty() && !p.contains('\0')).enumerate() {
        let user = format!("u'{i}\\`");
        room.keys.set("app/user", &user);
        room.keys.set("app/password", password);
        let statements = vec![
            sql("CREATE USER ?@? IDENTIFIED BY ?", [text(&user), text("%"), secret("app", "password")]),
            sql("GRANT SELECT ON *.* TO ?@?", [text(&user), text("%")]),
        ];
        room.run(server.port, statements).await.unwrap_or_else(|e| panic!("{password:?}: {e}"));
        let mut asked = query(server.port, vec![sql("SELECT CURRENT_USER()", [])]);
        asked.endpoint = endpoint(server.port, "app");
        let rows = room.sql.query(&asked).await.unwrap_or_else(|e| panic!("{password:?}: {e:?}"));
        assert!(matches!(&rows[0].rows[0][0], Value::Text(found) if found.contains(&user)), "{rows:?}");
    }
}

#[tokio::test]
async fn malformed_statements_are_refused_before_anything_is_sent() {
    let server = Server::start().await;
    let room = Room::new();
    let mut writes = execution(server.port, vec![sql("CREATE DATABASE ??", [name("first")]), sql("CREATE DATABASE 'second'", [])]);
    let refused: [(&str, Vec<Argument>); 4] = [
        ("CREATE DATABASE `second`", vec![]),
        ("CREATE DATABASE x; CREATE DATABASE y", vec![]),
        ("CREATE DATABASE ??", vec![text("x")]),
        ("", vec![]),
    ];
    for (statement, arguments) in refused {
        writes.statements[1] = host::contract::Statement { text: statement.into(), arguments };
        let Err(host::sql::ExecuteError::Sql(error)) = room.sql.execute(&writes).await else { panic!("{statement} was executed") };
        assert_eq!((error.kind, error.code), (SqlErrorKind::Invalid, 0));
        assert!(error.message.starts_with(&format!("127.0.0.1:{}: statement 2: ", server.port)), "{}", error.message);
    }
    let rows = room.ask(server.port, sql("SHOW DATABASES LIKE ?", [text("first")])).await.expect("an answer");
    assert_eq!(rows.rows.len(), 0, "the statement before the malformed one was not sent either");

    let mut nowhere = query(0, vec![]);
    assert_eq!(room.sql.query(&nowhere).await.expect_err("no port").kind, SqlErrorKind::Invalid);
    nowhere.endpoint = endpoint(server.port, "root");
    nowhere.deadline = 0;
    assert_eq!(room.sql.query(&nowhere).await.expect_err("no time").kind, SqlErrorKind::Invalid);
    nowhere.deadline = 1_000;
    nowhere.endpoint.credentials = Credentials { secret: "absent".into(), ..nowhere.endpoint.credentials };
    assert_eq!(room.sql.query(&nowhere).await.expect_err("no account").kind, SqlErrorKind::NoCredentials);
}
