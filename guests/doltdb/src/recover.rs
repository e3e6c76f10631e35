//! A cluster in which nobody is primary: every server is a standby and no write is taken.
//!
//! One of them may be made primary only if nothing can get lost by it: every server of the cluster is there, and all have the same databases
//! with the same content. Anything less is told and left alone.

use std::collections::BTreeMap;

use dolt::{READ_DEADLINE, Role, WRITE_DEADLINE, role_statement};
use sdk::{Execution, Guard, Query, Rows, RowsExt, SqlError, Value, World, sql, value};

use crate::{observe::Observed, roles::highest_epoch, target::Target};

/// Databases that Dolt makes up and that hold no data of users.
const VIRTUAL: [&str; 2] = ["information_schema", "dolt_cluster"];

/// What can be done about a cluster without a primary.
#[derive(Debug)]
pub(crate) enum Recovery {
    /// Nothing, for this reason.
    Impossible(String),
    /// The epoch has to be recorded before a server is promoted with it.
    Record(u64),
    /// The recorded epoch is used.
    Promote {
        /// The ordinal of the new primary.
        ordinal: i32,
        /// The statement that makes it primary.
        execution: Box<Execution>,
    },
}

/// The content of one server: for each database the hash of all that is in it, and each branch with its commit.
type Content = BTreeMap<String, Vec<String>>;

/// What can be done, asking the servers for their content where it matters.
pub(crate) fn recovery(world: &dyn World, target: &Target, observed: &Observed) -> Recovery {
    if let Err(why) = all_standby(target, observed) {
        return Recovery::Impossible(why);
    }
    let candidate = target.recorded_primary();
    if let Err(why) = same_content(world, target) {
        return Recovery::Impossible(why);
    }
    let seen = highest_epoch(&observed.servers, 0);
    let recorded = target.recorded_epoch();
    if recorded <= seen {
        return Recovery::Record(seen + 1);
    }
    let Some(Ok(server)) = observed.servers.get(&candidate) else {
        return Recovery::Impossible(format!("{} is no server of this cluster", target.pod(candidate)));
    };
    let execution = Execution {
        endpoint: target.servers.pod(candidate),
        database: None,
        guard: Some(Guard {
            statement: role_statement(),
            expected: vec![Value::Text("standby".to_owned()), Value::Unsigned(server.report.epoch)],
        }),
        statements: vec![sql!("CALL DOLT_ASSUME_CLUSTER_ROLE(?, ?)", value("primary"), value(recorded))],
        deadline: WRITE_DEADLINE,
    };
    Recovery::Promote { ordinal: candidate, execution: Box::new(execution) }
}

fn all_standby(target: &Target, observed: &Observed) -> Result<(), String> {
    for ordinal in 0..target.spec.replicas() {
        let pod = target.pod(ordinal);
        match observed.servers.get(&ordinal) {
            Some(Ok(server)) if server.report.role == Role::Standby => {}
            Some(Ok(_)) => return Err(format!("{pod} has a broken cluster configuration")),
            Some(Err(why)) => return Err(format!("{pod} cannot be asked: {why}")),
            None => return Err(format!("{pod} does not run yet")),
        }
    }
    Ok(())
}

/// Compares the content of all servers.
fn same_content(world: &dyn World, target: &Target) -> Result<(), String> {
    let ordinals: Vec<i32> = (0..target.spec.replicas()).collect();
    let lists: Vec<Query> = ordinals
        .iter()
        .map(|ordinal| {
            query(target, *ordinal, None, vec![sql!("SELECT schema_name FROM information_schema.schemata ORDER BY schema_name")])
        })
        .collect();
    let mut databases = Vec::new();
    for (ordinal, answer) in ordinals.iter().zip(world.query(&lists)) {
        databases.push(names(&answer).map_err(|why| format!("the databases of {} are not known: {why}", target.pod(*ordinal)))?);
    }
    let places: Vec<(i32, &String)> = ordinals.iter().zip(&databases).flat_map(|(o, names)| names.iter().map(|name| (*o, name))).collect();
    let questions: Vec<Query> = places
        .iter()
        .map(|(ordinal, database)| {
            let statements = vec![sql!("SELECT dolt_hashof_db()"), sql!("SELECT name, hash FROM dolt_branches ORDER BY name")];
            query(target, *ordinal, Some((*database).clone()), statements)
        })
        .collect();
    let answers = if questions.is_empty() { Vec::new() } else { world.query(&questions) };
    let mut contents: BTreeMap<i32, Content> = ordinals.iter().map(|ordinal| (*ordinal, Content::new())).collect();
    for ((ordinal, database), answer) in places.into_iter().zip(answers) {
        let heads = heads(&answer).map_err(|why| format!("the content of {} on {} is not known: {why}", database, target.pod(ordinal)))?;
        contents.entry(ordinal).or_default().insert(database.clone(), heads);
    }
    let first = contents.remove(&0).unwrap_or_default();
    match contents.iter().find(|(_, content)| **content != first) {
        Some((ordinal, _)) => Err(format!("{} and {} have different data", target.pod(0), target.pod(*ordinal))),
        None => Ok(()),
    }
}

fn query(target: &Target, ordinal: i32, database: Option<String>, statements: Vec<sdk::Statement>) -> Query {
    Query { endpoint: target.servers.pod(ordinal), database, statements, deadline: READ_DEADLINE, max_rows: 10_000 }
}

fn names(answer: &Result<Vec<Rows>, SqlError>) -> Result<Vec<String>, String> {
    let results = answer.as_ref().map_err(|error| error.message.clone())?;
    let column = results.first().ok_or("no rows")?.column(0).map_err(|error| error.to_string())?;
    let names =
        column.iter().map(|cell| cell.text().map(ToOwned::to_owned)).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    Ok(names.into_iter().filter(|name| !VIRTUAL.contains(&name.as_str())).collect())
}

fn heads(answer: &Result<Vec<Rows>, SqlError>) -> Result<Vec<String>, String> {
    let results = answer.as_ref().map_err(|error| error.message.clone())?;
    let mut heads = Vec::new();
    for rows in results {
        for row in 0..rows.rows.len() {
            for column in 0..rows.rows[row].len() {
                let cell = rows.cell(row, column).map_err(|error| error.to_string())?;
                heads.push(cell.ok_or("no value")?.text().map_err(|error| error.to_string())?.to_owned());
            }
        }
    }
    Ok(heads)
}
