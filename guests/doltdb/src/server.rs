//! What the servers of a cluster say of themselves, and what a primary says of those that follow it.
//!
//! It knows nothing of what follows from that.

use std::collections::{BTreeMap, BTreeSet};

use dolt::{Report, Role, Servers, role_statement};
use sdk::{Cell, Endpoint, Guard, Query, Rows, RowsExt, SqlError, SqlErrorKind, Statement, Typed, Value, World, ident, sql, value};

use crate::{
    pod::{Pod, Pods},
    target::Target,
};

/// Time for asking a server for its role, in milliseconds. Less than for other reads: a whole round waits for the slowest server.
const ROLE_DEADLINE: u64 = 1_000;
/// A standby that is further behind than this has not all but the very last data.
const LAG_LIMIT: u64 = 1_000;

/// What is said of a standby that is on another volume than before.
pub(crate) const LOST_ITS_VOLUME: &str = "has lost its volume, and gets each database back with the next write to it";

/// What one server of a cluster says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// Its role.
    pub(crate) report: Report,
    /// Which volume it is on, if it says so: its `server_uuid`, which it makes up on an empty one and keeps there.
    pub(crate) volume: Option<String>,
    /// How far its standbys follow; on a standby, how far they would. Empty as long as there is no database.
    pub(crate) following: Vec<Following>,
}

/// How far one standby follows in one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Following {
    /// The database.
    pub(crate) database: String,
    /// The standby's pod.
    pub(crate) pod: String,
    /// Milliseconds; none where nothing has been sent since the primary's start.
    pub(crate) lag: Option<u64>,
    /// Why the last try to send something failed.
    pub(crate) error: Option<String>,
}

/// How far a standby follows, over all databases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has all but the very last data.
    CaughtUp,
    /// It has not.
    Behind(String),
    /// The primary has sent nothing since its start.
    Unknown,
}

impl Server {
    /// Whether it sends its changes to this pod. One that was added after its start is not among those that it knows, and has none of the
    /// data. Without any database there is nothing to know.
    pub(crate) fn knows(&self, pod: &str) -> bool {
        self.following.is_empty() || self.following.iter().any(|f| f.pod == pod)
    }

    /// Whether another server was told to be primary with a later epoch than it is of. That one may still hear of it, as what was told may be on
    /// its way for long.
    pub(crate) fn is_surpassed(&self, target: &Target) -> bool {
        self.report.epoch < target.recorded_epoch()
    }

    /// How far this standby follows.
    pub(crate) fn progress_of(&self, pod: &str) -> Progress {
        let mut progress = Progress::CaughtUp;
        for following in self.following.iter().filter(|f| f.pod == pod) {
            let database = &following.database;
            if let Some(lag) = following.lag.filter(|lag| *lag > LAG_LIMIT) {
                let why = following.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
                return Progress::Behind(format!("database {database} is {} behind{why}", coarse(lag)));
            }
            if let Some(error) = &following.error {
                return Progress::Behind(format!("database {database} cannot be sent: {error}"));
            }
            if following.lag.is_none() {
                progress = Progress::Unknown;
            }
        }
        progress
    }

    /// Whether this pod takes nothing from it, because its configuration does not name it. Only a restart with another one helps.
    pub(crate) fn is_unknown_to(&self, pod: &str) -> bool {
        let refused = |error: &String| error.contains("Unauthenticated");
        self.following.iter().any(|f| f.pod == pod && f.error.as_ref().is_some_and(refused))
    }

    /// The other pods that it knows.
    pub(crate) fn known_pods(&self) -> BTreeSet<&str> {
        self.following.iter().map(|f| f.pod.as_str()).collect()
    }

    /// That it is what it was, and on the same volume. With the time of its last sign from a primary ([`last_sign`]), also that there has been none
    /// since.
    pub(crate) fn guard(&self, last_sign: Option<u64>) -> Guard {
        let role = match self.report.role {
            Role::Primary => "primary",
            Role::Standby => "standby",
            Role::Broken => "detected_broken_config",
        };
        let volume = self.volume.clone().map_or(Value::Null, Value::Text);
        let mut expected = vec![Value::Text(role.to_owned()), Value::Unsigned(self.report.epoch), volume];
        let mut statement = standing_statement();
        if let Some(time) = last_sign {
            let asked = self::last_sign();
            statement.text = format!("{}, ({})", statement.text, asked.text);
            statement.arguments.extend(asked.arguments);
            expected.push(Value::Unsigned(time));
        }
        Guard { statement, expected }
    }

    /// The databases that it sends.
    pub(crate) fn databases(&self) -> BTreeSet<&str> {
        self.following.iter().map(|f| f.database.as_str()).collect()
    }
}

/// A time in words that don't change with each look.
fn coarse(milliseconds: u64) -> String {
    let limits = [(3_600, "more than an hour"), (600, "more than 10 minutes"), (60, "more than a minute"), (10, "more than 10 s")];
    let seconds = milliseconds / 1_000;
    limits.iter().find(|(limit, _)| seconds >= *limit).map_or_else(|| format!("more than {seconds} s"), |(_, words)| (*words).to_owned())
}

/// What the servers answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// By ordinal; of one that gave no answer, why.
    pub(crate) servers: BTreeMap<i32, Result<Server, String>>,
    /// Those that live and don't let the operator in.
    pub(crate) refusing: BTreeSet<i32>,
    /// Those that know only the password that the account had before.
    pub(crate) by_previous_password: BTreeSet<i32>,
}

/// Asks all started servers at once for their role and those that follow them. `previous` says whether they may be asked with the password that
/// the account had before, too.
///
/// Others aren't asked: the name of a pod that has just begun may not be known yet, and that answer is kept by name servers for a while. Nor
/// is one whose pod is being deleted to fence it: whatever it would say, it has to go.
pub(crate) fn servers(world: &dyn World, target: &Target, pods: &Pods, previous: bool) -> Answers {
    let fenced = target.status.transition.as_ref().and_then(|transition| transition.fencing.as_deref());
    let asked = |pod: &Typed<Pod>| pod.body.is_started() && !(pod.header.deleting && Some(pod.header.uid.as_str()) == fenced);
    let started: Vec<i32> = pods.iter().filter(|(_, pod)| asked(pod)).map(|(ordinal, _)| *ordinal).collect();
    let mut answers = Answers::default();
    let by = |servers: &Servers, ordinals: &[i32]| {
        let questions: Vec<Query> = ordinals.iter().map(|ordinal| question(target, servers.pod(*ordinal))).collect();
        if questions.is_empty() { Vec::new() } else { world.query(&questions) }
    };
    for (ordinal, answer) in started.iter().zip(by(&target.servers, &started)) {
        if answer.as_ref().is_err_and(|error| error.kind == SqlErrorKind::AccessDenied) {
            answers.refusing.insert(*ordinal);
        }
        answers.servers.insert(*ordinal, server(target, &answer));
    }
    if previous {
        let refusing: Vec<i32> = answers.refusing.iter().copied().collect();
        for (ordinal, answer) in refusing.iter().zip(by(&target.servers.with_previous_password(), &refusing)) {
            if answer.is_ok() {
                answers.servers.insert(*ordinal, server(target, &answer));
                answers.refusing.remove(ordinal);
                answers.by_previous_password.insert(*ordinal);
            }
        }
    }
    answers
}

/// A server without a cluster configuration is only asked whether it lets somebody in.
fn question(target: &Target, endpoint: Endpoint) -> Query {
    let statements = if target.replication.enabled { vec![standing_statement(), following_statement()] } else { vec![sql!("SELECT 1")] };
    Query { endpoint, database: None, statements, deadline: ROLE_DEADLINE, max_rows: 1_000 }
}

/// Its role and epoch, as [`role_statement`] asks for them, and its volume.
pub(crate) fn standing_statement() -> Statement {
    let mut statement = role_statement();
    statement.text.push_str(", @@global.server_uuid");
    statement
}

fn following_statement() -> Statement {
    sql!(
        "SELECT ??, standby_remote, replication_lag_millis, current_error FROM ??.?? ORDER BY ??, standby_remote",
        ident("database"),
        ident("dolt_cluster"),
        ident("dolt_cluster_status"),
        ident("database")
    )
}

/// Asks a standby when it had its last sign from a primary, in microseconds by its own clock; 0 where it has had none since its start.
pub(crate) fn last_sign() -> Statement {
    sql!(
        "SELECT COALESCE(TIMESTAMPDIFF(MICROSECOND, ?, MAX(last_update)), 0) FROM ??.??",
        value("1970-01-01"),
        ident("dolt_cluster"),
        ident("dolt_cluster_status")
    )
}

fn server(target: &Target, answer: &Result<Vec<Rows>, SqlError>) -> Result<Server, String> {
    if !target.replication.enabled {
        let report = Report { role: Role::Broken, epoch: 0 };
        return answer.as_ref().map(|_| Server { report, volume: None, following: Vec::new() }).map_err(|error| error.message.clone());
    }
    let report = Report::of(answer)?;
    let rows = |result: usize| answer.as_ref().ok().and_then(|results| results.get(result));
    let volume = rows(0).map(|rows| rows.cell(0, 2)).transpose().map_err(|error| error.to_string())?.flatten();
    let volume = volume.and_then(|cell| cell.text().ok()).map(ToOwned::to_owned);
    let following = match rows(1) {
        Some(rows) => (0..rows.rows.len()).map(|row| following(rows, row)).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    Ok(Server { report, volume, following })
}

fn following(rows: &Rows, row: usize) -> Result<Following, String> {
    let cell = |column| -> Result<Cell<'_>, String> {
        rows.cell(row, column).map_err(|error| error.to_string())?.ok_or_else(|| "the row is not there".to_owned())
    };
    let text = |cell: Cell<'_>| cell.text().map(ToOwned::to_owned).map_err(|error| error.to_string());
    let (lag, error) = (cell(2)?, cell(3)?);
    Ok(Following {
        database: text(cell(0)?)?,
        pod: text(cell(1)?)?,
        // A clock that was set back gives a negative lag.
        lag: if lag.is_null() { None } else { Some(lag.number().unwrap_or_default()) },
        error: if error.is_null() { None } else { Some(text(error)?).filter(|error| !error.is_empty()) },
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn primary(rows: &[(&str, &str, Option<u64>, Option<&str>)]) -> Server {
        let following = rows
            .iter()
            .map(|(database, pod, lag, error)| Following {
                database: (*database).to_owned(),
                pod: (*pod).to_owned(),
                lag: *lag,
                error: error.map(ToOwned::to_owned),
            })
            .collect();
        Server { report: Report { role: Role::Primary, epoch: 1 }, volume: None, following }
    }

    #[rstest]
    #[case(&[], Progress::CaughtUp)]
    #[case(&[("shop", "d-1", Some(0), None)], Progress::CaughtUp)]
    #[case(&[("shop", "d-1", Some(LAG_LIMIT), None)], Progress::CaughtUp)]
    #[case(&[("shop", "d-1", None, None)], Progress::Unknown)]
    #[case(&[("shop", "d-1", Some(0), None), ("stock", "d-1", Some(61_000), None)], Progress::Behind("database stock is more than a minute behind".into()))]
    #[case(&[("shop", "d-1", Some(2_900), Some("no route"))], Progress::Behind("database shop is more than 2 s behind (no route)".into()))]
    #[case(&[("shop", "d-1", None, Some("no route"))], Progress::Behind("database shop cannot be sent: no route".into()))]
    #[case(&[("shop", "d-1", None, None), ("stock", "d-1", Some(9_000), None)], Progress::Behind("database stock is more than 9 s behind".into()))]
    #[case(&[("shop", "d-1", Some(0), None), ("shop", "d-2", Some(9_000), None)], Progress::CaughtUp)]
    fn the_database_that_is_furthest_behind_counts(#[case] rows: &[(&str, &str, Option<u64>, Option<&str>)], #[case] progress: Progress) {
        assert_eq!(primary(rows).progress_of("d-1"), progress);
    }
}
