//! The table that the clients write to, and how its rows are read back, wherever they are.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use e2e::{Namespace, Sql};

use crate::history::Row;

/// The database of the measurements.
pub const DATABASE: &str = "bench";

/// Makes database and table. There is no key: a row that came in twice would be there twice.
///
/// # Errors
/// When the server refuses.
pub async fn create(primary: &Sql) -> Result<()> {
    primary.rows(&format!("create database {DATABASE}")).await?;
    let database = primary.database(DATABASE);
    database.rows("create table writes (client int not null, sequence bigint not null, written datetime(6) default now(6))").await?;
    database.rows("call dolt_commit('-A', '-m', 'the table of the measurements')").await?;
    Ok(())
}

/// The statement that writes a row.
pub(crate) fn insert(row: Row) -> String {
    format!("insert into writes (client, sequence) values ({}, {})", row.client, row.sequence)
}

/// The rows of a server.
///
/// # Errors
/// When it can't be asked.
pub async fn rows(server: &Sql) -> Result<Vec<Row>> {
    read(&server.database(DATABASE)).await
}

async fn read(database: &Sql) -> Result<Vec<Row>> {
    let rows = database.rows("select client, sequence from writes").await?;
    rows.iter().map(|cells| row(cells)).collect()
}

fn row(cells: &[String]) -> Result<Row> {
    let [client, sequence] = cells else { anyhow::bail!("a row has {} cells", cells.len()) };
    Ok(Row { client: client.parse().context("a client is a number")?, sequence: sequence.parse().context("a sequence is a number")? })
}

/// The rows of every other branch and database of a server that has such a table, by `database/branch`.
///
/// # Errors
/// When the server can't be asked which there are.
pub async fn aside(server: &Sql) -> Result<BTreeMap<String, Vec<Row>>> {
    let mut aside = BTreeMap::new();
    for database in server.databases().await? {
        for branch in server.database(&database).column("select name from dolt_branches").await? {
            if (database.as_str(), branch.as_str()) == (DATABASE, "main") {
                continue;
            }
            let place = format!("{database}/{branch}");
            // A place without such a table holds nothing of ours.
            if let Ok(rows) = read(&server.database(&place)).await {
                aside.insert(place, rows);
            }
        }
    }
    Ok(aside)
}

/// The rows in what a replaced primary has kept in a folder of its volume.
///
/// # Errors
/// When they can't be read there.
pub async fn kept(namespace: &Namespace, pod: &str, path: &str) -> Result<Vec<Row>> {
    let query = format!("select client, sequence from {DATABASE}.writes");
    let rows = namespace.exec(pod, &["/usr/local/bin/dolt", "--data-dir", path, "sql", "-r", "csv", "-q", &query]).await?;
    let cells = |line: &str| line.split(',').map(ToOwned::to_owned).collect::<Vec<_>>();
    rows.lines().skip(1).map(|line| row(&cells(line))).collect()
}

/// What a server has, in one word: equal on two servers that hold the same.
///
/// # Errors
/// When it can't be asked.
pub async fn content(server: &Sql) -> Result<String> {
    server.database(DATABASE).cell("select dolt_hashof_db()").await
}
