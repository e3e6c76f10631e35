//! What is on the server.

use std::collections::{BTreeMap, BTreeSet};

use crds::DatabaseSpec;
use dolt::{Answers, Primary};
use sdk::{AnswerError, RowsExt, SqlError, Statement, World, sql, value};

/// The database, as far as it is of concern.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Its character set and collation; none where there is no such database.
    pub(crate) database: Option<(String, String)>,
    /// The branch that a connection gets that names none.
    pub(crate) default_branch: String,
    /// Those of the wanted branches that exist.
    pub(crate) branches: BTreeSet<String>,
    /// The ignore patterns and whether they are in force.
    pub(crate) patterns: BTreeMap<String, bool>,
    /// Whether changes of the ignore patterns are not committed.
    pub(crate) uncommitted_patterns: bool,
    /// Other tables that somebody is about to commit.
    pub(crate) staged_tables: Vec<String>,
}

/// The server cannot be read.
#[derive(Debug)]
pub(crate) enum ObserveError {
    /// It answers with an error, or not at all.
    Sql(SqlError),
    /// Its answer is not what the statement promises.
    Answer(AnswerError),
}

impl std::fmt::Display for ObserveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sql(error) => f.write_str(&error.message),
            Self::Answer(error) => error.fmt(f),
        }
    }
}

impl From<SqlError> for ObserveError {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<AnswerError> for ObserveError {
    fn from(error: AnswerError) -> Self {
        Self::Answer(error)
    }
}

/// Asks whether the database exists.
pub(crate) fn schema_question(name: &str) -> Vec<Statement> {
    vec![sql!(
        "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = ?",
        value(name)
    )]
}

/// Reads the answers to [`schema_question`]: its character set and collation, if it exists.
pub(crate) fn schema(answers: Answers) -> Result<Option<(String, String)>, ObserveError> {
    let answers = answers?;
    let Some(rows) = answers.first() else { return Ok(None) };
    let (Some(charset), Some(collation)) = (rows.cell(0, 0)?, rows.cell(0, 1)?) else { return Ok(None) };
    Ok(Some((charset.text()?.to_owned(), collation.text()?.to_owned())))
}

impl Observed {
    /// Reads the answers to [`schema_question`], and asks for the rest.
    pub(crate) fn of(world: &dyn World, primary: &Primary, answers: Answers, spec: &DatabaseSpec) -> Result<Self, ObserveError> {
        let database = schema(answers)?;
        if database.is_none() {
            return Ok(Self::default());
        }
        let mut statements = vec![
            sql!("SELECT active_branch()"),
            sql!("SELECT pattern, ignored FROM dolt_ignore"),
            sql!("SELECT table_name, staged FROM dolt_status"),
        ];
        statements
            .extend(spec.system_branches.iter().map(|branch| sql!("SELECT COUNT(*) FROM dolt_branches WHERE name = ?", value(branch))));
        let answers = primary.ask(world, Some(&spec.name), statements)?;
        let rows = |place: usize| answers.get(place).ok_or(AnswerError::NoColumn(0));

        let mut observed = Self { database, ..Self::default() };
        if let Some(branch) = rows(0)?.cell(0, 0)? {
            observed.default_branch = branch.text()?.to_owned();
        }
        for (pattern, ignored) in rows(1)?.column(0)?.iter().zip(rows(1)?.column(1)?) {
            observed.patterns.insert(pattern.text()?.to_owned(), ignored.truth()?);
        }
        for (table, staged) in rows(2)?.column(0)?.iter().zip(rows(2)?.column(1)?) {
            let table = table.text()?;
            if table == "dolt_ignore" {
                observed.uncommitted_patterns = true;
            } else if staged.truth()? {
                observed.staged_tables.push(table.to_owned());
            }
        }
        for (branch, place) in spec.system_branches.iter().zip(3..) {
            let count = rows(place)?.cell(0, 0)?;
            if count.is_some_and(|count| count.number().is_ok_and(|n| n > 0)) {
                observed.branches.insert(branch.clone());
            }
        }
        Ok(observed)
    }

    /// What differs from the spec and cannot be changed any more.
    pub(crate) fn remark(&self, spec: &DatabaseSpec) -> Option<String> {
        let (charset, collation) = self.database.as_ref()?;
        let differs = |field: &str, is: &str, wanted: &str| {
            let same = wanted.is_empty() || is.eq_ignore_ascii_case(wanted);
            (!same).then(|| format!("{field}: \"{wanted}\" has no effect on a database that was created with \"{is}\""))
        };
        differs("spec.charset", charset, &spec.charset).or_else(|| differs("spec.collation", collation, &spec.collation))
    }
}
