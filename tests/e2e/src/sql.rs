//! SQL as any MySQL client speaks it: by the name of a Service or a pod, one connection for each statement.

use std::time::Duration;

use anyhow::{Context, Result};
use mysql_async::{Conn, Opts, OptsBuilder, Row, Value, prelude::Queryable};
use tokio::time::{Instant, sleep, timeout};

use crate::{ADMIN, Namespace, PASSWORD};

/// For connecting and for a statement.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a name may lead nowhere. No condition of any object says when the proxy of a node has heard of a Service's endpoints: it does so
/// within a second or two after they are ready.
const PROXY: Duration = Duration::from_secs(5);

/// A server, and the account for it.
#[derive(Clone, Debug)]
pub struct Sql {
    host: String,
    user: String,
    password: String,
    database: Option<String>,
}

impl Namespace {
    /// The servers behind a Service, as the admin.
    #[must_use]
    pub fn service(&self, name: &str) -> Sql {
        let host = format!("{name}.{}.svc.cluster.local", self.name);
        Sql { host, user: ADMIN.to_owned(), password: PASSWORD.to_owned(), database: None }
    }

    /// The server in a pod of a DoltDB, as the admin.
    #[must_use]
    pub fn pod(&self, doltdb: &str, ordinal: u32) -> Sql {
        self.service(&format!("{doltdb}-{ordinal}.{doltdb}-internal"))
    }
}

impl Sql {
    /// The same server with another account.
    #[must_use]
    pub fn account(self, user: &str, password: &str) -> Self {
        Self { user: user.to_owned(), password: password.to_owned(), ..self }
    }

    /// The same server, with statements about this database.
    #[must_use]
    pub fn database(&self, name: &str) -> Self {
        Self { database: Some(name.to_owned()), ..self.clone() }
    }

    /// How a client connects that keeps its connection.
    #[must_use]
    pub fn opts(&self) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname(&self.host)
            .tcp_port(3306)
            .user(Some(&self.user))
            .pass(Some(&self.password))
            .db_name(self.database.as_ref())
    }

    /// All rows that a statement answers, every cell as text.
    ///
    /// # Errors
    /// When the server can't be reached or refuses.
    pub async fn rows(&self, statement: &str) -> Result<Vec<Vec<String>>> {
        let asked = async {
            let mut conn = connect(self.opts().into()).await?;
            let rows: Vec<Row> = conn.query(statement).await?;
            conn.disconnect().await?;
            anyhow::Ok(rows)
        };
        let rows = timeout(DEADLINE, asked).await.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in {} s", DEADLINE.as_secs())));
        let rows = rows.with_context(|| format!("{}: {statement}", self.host))?;
        Ok(rows.into_iter().map(|row| row.unwrap().into_iter().map(cell).collect()).collect())
    }

    /// The first column of all rows.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub async fn column(&self, statement: &str) -> Result<Vec<String>> {
        Ok(self.rows(statement).await?.into_iter().filter_map(|row| row.into_iter().next()).collect())
    }

    /// The first cell.
    ///
    /// # Errors
    /// As [`Self::rows`], and when there is no row.
    pub async fn cell(&self, statement: &str) -> Result<String> {
        self.column(statement).await?.into_iter().next().with_context(|| format!("{}: {statement}: no row", self.host))
    }

    /// The server's role.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub async fn role(&self) -> Result<String> {
        self.cell("select @@global.dolt_cluster_role").await
    }

    /// The databases that somebody made.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub async fn databases(&self) -> Result<Vec<String>> {
        let system = ["information_schema", "mysql", "performance_schema", "sys", "dolt_cluster"];
        Ok(self.column("show databases").await?.into_iter().filter(|name| !system.contains(&name.as_str())).collect())
    }
}

/// Connects; as long as nobody listens, again.
async fn connect(opts: Opts) -> mysql_async::Result<Conn> {
    let start = Instant::now();
    loop {
        match Conn::new(opts.clone()).await {
            Err(mysql_async::Error::Io(_)) if start.elapsed() < PROXY => sleep(Duration::from_millis(100)).await,
            outcome => return outcome,
        }
    }
}

fn cell(value: Value) -> String {
    match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::NULL => "NULL".to_owned(),
        other => other.as_sql(true),
    }
}
