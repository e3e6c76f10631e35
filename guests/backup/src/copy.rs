//! The copy of one database: the statements of its task, and what they answered.

use crds::{BranchHead, DatabaseBackup, DatabasePhase};
use dolt::{Answers, Primary};
use sdk::{AnswerError, Execution, Rows, RowsExt, SqlError, SqlErrorKind, Statement, TaskState, Timestamp, rfc3339, sql, value};

/// Databases that belong to the server.
const RESERVED: [&str; 5] = ["information_schema", "mysql", "dolt_cluster", "performance_schema", "sys"];
/// Databases of one server, at most.
const MAX_DATABASES: usize = 1_000;

/// The name of the task that copies a database, by its place in the status: a database may have a longer name than a task.
pub(crate) fn task_name(place: usize) -> String {
    format!("sync-{}", place + 1)
}

/// Copies a database to its destination. The task also asks for what the status remembers, in the same session: what is there at the beginning,
/// and whether it is still the same at the end.
pub(crate) fn execution(primary: &Primary, database: &DatabaseBackup, deadline_seconds: u64) -> Execution {
    let statements = vec![
        sql!("SELECT @@hostname, dolt_hashof_db()"),
        sql!("SELECT name, hash FROM dolt_branches ORDER BY latest_commit_date DESC, name LIMIT 20"),
        sql!("CALL dolt_backup(?, ?)", value("sync-url"), value(&database.destination)),
        sql!("SELECT dolt_hashof_db()"),
    ];
    Execution { deadline: deadline_seconds.saturating_mul(1_000), ..primary.execution(Some(&database.name), statements) }
}

/// Notes that a copy begins.
pub(crate) fn begin(database: &mut DatabaseBackup, now: Timestamp) {
    *database = DatabaseBackup {
        name: std::mem::take(&mut database.name),
        destination: std::mem::take(&mut database.destination),
        phase: DatabasePhase::Running,
        started_at: Some(rfc3339(now)),
        ..DatabaseBackup::default()
    };
}

/// Notes that a copy is at its destination, with what the statements answered.
pub(crate) fn end(database: &mut DatabaseBackup, task: &TaskState, answers: &[Rows], now: Timestamp) -> Result<(), AnswerError> {
    let text = |answer: usize, row: usize, column: usize| -> Result<Option<String>, AnswerError> {
        let Some(rows) = answers.get(answer) else { return Ok(None) };
        rows.cell(row, column)?.map(|cell| cell.text().map(ToOwned::to_owned)).transpose()
    };
    database.server = text(0, 0, 0)?;
    database.hash = text(0, 0, 1)?;
    let after = text(3, 0, 0)?;
    database.changed_meanwhile = database.hash.is_some().then_some(database.hash != after);
    database.branches.clear();
    for row in 0..answers.get(1).map_or(0, |rows| rows.rows.len()) {
        if let (Some(name), Some(commit)) = (text(1, row, 0)?, text(1, row, 1)?) {
            database.branches.push(BranchHead { name, commit });
        }
    }
    database.phase = DatabasePhase::Completed;
    database.started_at = Some(rfc3339(task.started));
    database.completed_at = Some(rfc3339(now));
    database.duration_seconds = i64::try_from(now.saturating_sub(task.started) / 1_000).ok();
    Ok(())
}

/// Asks which databases the server has.
pub(crate) fn databases_statement() -> Statement {
    sql!("SELECT schema_name FROM information_schema.schemata ORDER BY schema_name")
}

/// The databases that the server has, but for its own, by the answer to [`databases_statement`].
pub(crate) fn databases(answers: Answers) -> Result<Vec<String>, String> {
    let answers = answers.map_err(|error| error.message)?;
    let names = answers.first().map(|rows| rows.column(0)).transpose().map_err(|error| error.to_string())?.unwrap_or_default();
    let names: Result<Vec<&str>, AnswerError> = names.iter().map(|name| name.text()).collect();
    let names = names.map_err(|error| error.to_string())?;
    // With a slash it is a branch of a database, which is copied with it.
    let own = |name: &&str| !RESERVED.contains(&name.to_lowercase().as_str()) && !name.contains('/');
    let names: Vec<String> = names.into_iter().filter(own).map(ToOwned::to_owned).collect();
    if names.len() > MAX_DATABASES {
        return Err(format!("it has {} databases, and one Backup is about {MAX_DATABASES} at most", names.len()));
    }
    Ok(names)
}

/// Whether a name can be a part of every kind of destination.
pub(crate) fn fits_a_destination(name: &str) -> bool {
    !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// What the server or the host said of a copy that failed.
pub(crate) fn words(error: &SqlError, deadline_seconds: u64) -> String {
    match error.kind {
        SqlErrorKind::Timeout => format!("the copy took longer than the {deadline_seconds} s of spec.deadlineSeconds"),
        _ => error.message.clone(),
    }
}

/// `1 database`, `2 databases`.
pub(crate) fn count(databases: usize) -> String {
    format!("{databases} database{}", if databases == 1 { "" } else { "s" })
}
