//! When standbys last heard from their primary. It sends them what is new at once, and tells each that has everything every second that it is there.
//!
//! Each server says by its own clock how long ago that was: clocks of different servers are never compared.

use std::time::Duration;

use dolt::Role;
use sdk::{Query, Rows, RowsExt, SqlError, Statement, ident, sql, value};

use super::{Reason, Situation, Transition};
use crate::server;

/// How long ago each of these standbys heard from its primary, all asked at once; none where one has not heard anything since its start.
pub(super) fn heard_of(s: &Situation<'_>, standbys: &[i32]) -> Vec<Result<Option<Duration>, String>> {
    // Dolt takes `NOW()` without its digits for a column, and refuses it beside MAX.
    let statements = || {
        vec![sql!(
            "SELECT TIMESTAMPDIFF(MICROSECOND, MAX(last_update), NOW(6)) FROM ??.??",
            ident("dolt_cluster"),
            ident("dolt_cluster_status")
        )]
    };
    ask(s, standbys, statements).into_iter().map(|heard| Ok(heard?.into_iter().next().flatten())).collect()
}

/// The same of each of these databases alone.
///
/// # Errors
/// Which standby did not tell, and why.
pub(super) fn heard_in(s: &Situation<'_>, standbys: &[i32], databases: &[&str]) -> Result<Vec<Vec<Option<Duration>>>, String> {
    let of = |database: &&str| {
        sql!(
            "SELECT TIMESTAMPDIFF(MICROSECOND, MAX(last_update), NOW(6)) FROM ??.?? WHERE ?? = ?",
            ident("dolt_cluster"),
            ident("dolt_cluster_status"),
            ident("database"),
            value(*database)
        )
    };
    ask(s, standbys, || databases.iter().map(of).collect()).into_iter().collect()
}

/// When the standby that takes a lost primary's place had its last sign from it, in microseconds by its own clock: a primary that is back before it
/// takes over tells it. None where that says nothing, since the primary has stepped down or the server is no standby, or where it cannot be asked.
pub(super) fn last_sign(s: &Situation<'_>, transition: &Transition) -> Option<u64> {
    let is_standby = s.server(transition.to).is_some_and(|server| server.report.role == Role::Standby);
    if transition.reason != Reason::Failover || !is_standby {
        return None;
    }
    let results = s.world.query(&[question(s, transition.to, vec![server::last_sign()])]).pop()?.ok()?;
    results.first()?.cell(0, 0).ok()??.number().ok()
}

fn question(s: &Situation<'_>, standby: i32, statements: Vec<Statement>) -> Query {
    let endpoint = s.target.servers.pod(standby);
    Query { endpoint, database: None, statements, deadline: dolt::READ_DEADLINE, max_rows: 1 }
}

fn ask(s: &Situation<'_>, standbys: &[i32], statements: impl Fn() -> Vec<Statement>) -> Vec<Result<Vec<Option<Duration>>, String>> {
    let questions: Vec<Query> = standbys.iter().map(|standby| question(s, *standby, statements())).collect();
    let unknown = |standby: &i32, why: String| format!("when {} last heard from it is not known: {why}", s.pod_name(*standby));
    let answers = if questions.is_empty() { Vec::new() } else { s.world.query(&questions) };
    standbys.iter().zip(answers).map(|(standby, answer)| times(&answer).map_err(|why| unknown(standby, why))).collect()
}

fn times(answer: &Result<Vec<Rows>, SqlError>) -> Result<Vec<Option<Duration>>, String> {
    let results = answer.as_ref().map_err(|error| error.message.clone())?;
    if results.is_empty() {
        return Err("no rows".to_owned());
    }
    results.iter().map(ago).collect()
}

fn ago(rows: &Rows) -> Result<Option<Duration>, String> {
    let cell = rows.cell(0, 0).map_err(|error| error.to_string())?.ok_or("no row")?;
    // A clock that was set back makes it a time to come.
    Ok(if cell.is_null() { None } else { Some(Duration::from_micros(cell.number().unwrap_or_default())) })
}
