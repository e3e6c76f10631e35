//! What is on the server.

use dolt::{Account, Primary, READ_DEADLINE};
use sdk::{AnswerError, Query, Rows, RowsExt, SqlError, Statement, World, sql, value};

use crate::password::Digest;

/// Rows that one statement may give.
const MAX_ROWS: u32 = 10;

/// The account, as far as it is of concern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Observed {
    /// A digest of what the server stores of its password; none where there is no such account.
    pub(crate) password: Option<String>,
}

/// The account cannot be read, or must not be touched.
#[derive(Debug)]
pub(crate) enum ObserveError {
    /// The server answers with an error, or not at all.
    Sql(SqlError),
    /// Its answer is not what the statement promises.
    Answer(AnswerError),
    /// It is the account by which the server is asked.
    Own,
}

impl std::fmt::Display for ObserveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sql(error) => f.write_str(&error.message),
            Self::Answer(error) => error.fmt(f),
            Self::Own => f.write_str("it is the operator's own account"),
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

impl Observed {
    /// The account with a digest of what the server stores of its password, salted with the digest of the one that is wanted.
    pub(crate) fn of(world: &dyn World, primary: &Primary, account: &Account, digest: &Digest) -> Result<Self, ObserveError> {
        let [name, host] = account.arguments();
        let stored = sql!(
            "SELECT SHA2(CONCAT(?, plugin, authentication_string), 256) FROM mysql.user WHERE user = ? AND BINARY host = ?",
            value(digest.salt()),
            name,
            host
        );
        let rows = ask(world, primary, account, stored)?;
        let password = match rows.cell(0, 0)? {
            None => None,
            Some(cell) if cell.is_null() => Some(String::new()),
            Some(cell) => Some(cell.text()?.to_owned()),
        };
        Ok(Self { password })
    }
}

/// Whether there is such an account.
pub(crate) fn is_there(world: &dyn World, primary: &Primary, account: &Account) -> Result<bool, ObserveError> {
    let [name, host] = account.arguments();
    let rows = ask(world, primary, account, sql!("SELECT user FROM mysql.user WHERE user = ? AND BINARY host = ?", name, host))?;
    Ok(rows.cell(0, 0)?.is_some())
}

/// The rows of a statement about an account that is not the operator's own.
fn ask(world: &dyn World, primary: &Primary, account: &Account, statement: Statement) -> Result<Rows, ObserveError> {
    let mut answers = world.query_one(Query {
        endpoint: primary.endpoint.clone(),
        database: None,
        statements: vec![sql!("SELECT CURRENT_USER()"), statement],
        deadline: READ_DEADLINE,
        max_rows: MAX_ROWS,
    })?;
    let rows = answers.pop().ok_or(AnswerError::NoColumn(0))?;
    match answers.first().map(|own| own.cell(0, 0)).transpose()?.flatten() {
        Some(own) if own.text()? == account.plain() => Err(ObserveError::Own),
        _ => Ok(rows),
    }
}
