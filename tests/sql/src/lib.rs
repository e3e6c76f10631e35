//! What the tests of the host's SQL room share: a Dolt server of their own, secrets in memory, short ways to write questions.
//!
//! `DOLT_BIN=/path/to/dolt cargo test --release -p sql-tests`

mod cluster;
mod moto;
mod proxy;
mod scene;
mod server;
mod stage;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use host::{
    contract::{Argument, Credentials, Endpoint, Execution, Query, Rows, SecretRef, SqlError, Statement, Value},
    sql::{ExecuteError, SecretError, Secrets, Sql, SqlLimits},
};

pub use self::{
    cluster::Cluster,
    moto::Moto,
    proxy::Proxy,
    scene::{Scene, cross},
    server::{Server, free_port},
    stage::Stage,
};

/// Secrets of the namespace `ns`, in memory: by `secret/key`.
#[derive(Default)]
pub struct Keys(Mutex<HashMap<String, String>>);

impl Keys {
    /// Sets the value of a key, written `secret/key`.
    pub fn set(&self, place: &str, value: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(place.into(), value.into());
    }
}

#[async_trait]
impl Secrets for Keys {
    async fn value(&self, namespace: &str, name: &str, key: &str) -> Result<Option<Vec<u8>>, SecretError> {
        if namespace != "ns" {
            return Err(SecretError { namespace: namespace.into(), name: name.into(), message: "no such namespace".into() });
        }
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(keys.get(&format!("{name}/{key}")).map(|value| value.clone().into_bytes()))
    }
}

/// The room, with its secrets at hand. `root/user` and `root/password` are the server's administrator.
pub struct Room {
    /// The room under test.
    pub sql: Arc<Sql>,
    /// Its secrets.
    pub keys: Arc<Keys>,
}

impl Room {
    /// With the default limits.
    pub fn new() -> Self {
        Self::with(SqlLimits::default())
    }

    /// With limits.
    pub fn with(limits: SqlLimits) -> Self {
        let keys = Arc::new(Keys::default());
        keys.set("root/user", "root");
        keys.set("root/password", "");
        Self { sql: Arc::new(Sql::new(keys.clone(), limits)), keys }
    }

    /// The rows of one statement, asked as root with a deadline of 10 s.
    ///
    /// # Errors
    /// Those of the query.
    pub async fn ask(&self, port: u16, statement: Statement) -> Result<Rows, SqlError> {
        let mut answers = self.sql.query(&query(port, vec![statement])).await?;
        Ok(answers.remove(0))
    }

    /// Runs statements as root with a deadline of 10 s.
    ///
    /// # Errors
    /// Those of the execution.
    pub async fn run(&self, port: u16, statements: Vec<Statement>) -> Result<(), ExecuteError> {
        self.sql.execute(&execution(port, statements)).await
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

/// The server at a port of this machine, with the account of a secret of the namespace `ns`.
pub fn endpoint(port: u16, secret: &str) -> Endpoint {
    let credentials =
        Credentials { namespace: "ns".into(), secret: secret.into(), user_key: "user".into(), password_key: "password".into() };
    Endpoint { host: "127.0.0.1".into(), port, credentials, tls: None }
}

/// A query as root.
pub fn query(port: u16, statements: Vec<Statement>) -> Query {
    Query { endpoint: endpoint(port, "root"), database: None, statements, deadline: 10_000, max_rows: 1_000 }
}

/// An execution as root.
pub fn execution(port: u16, statements: Vec<Statement>) -> Execution {
    Execution { endpoint: endpoint(port, "root"), database: None, guard: None, statements, deadline: 10_000 }
}

/// A statement.
pub fn sql<const N: usize>(text: &str, arguments: [Argument; N]) -> Statement {
    Statement { text: text.into(), arguments: arguments.into() }
}

/// A value argument.
pub fn val(value: Value) -> Argument {
    Argument::Value(value)
}

/// A text argument.
pub fn text(text: &str) -> Argument {
    val(Value::Text(text.into()))
}

/// An identifier argument.
pub fn name(name: &str) -> Argument {
    Argument::Identifier(name.into())
}

/// A secret argument: a key of a secret of the namespace `ns`.
pub fn secret(name: &str, key: &str) -> Argument {
    val(Value::Secret(SecretRef { namespace: "ns".into(), name: name.into(), key: key.into() }))
}
