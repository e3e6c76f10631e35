//! What is on the server.

use dolt::{Account, Answers};
use sdk::{AnswerError, Rows, RowsExt, SqlError, Statement, sql, value};

use crate::password::Digest;

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
    /// Asks for the account with a digest of what the server stores of its password, salted with the digest of the one that is wanted.
    pub(crate) fn question(account: &Account, digest: &Digest) -> Vec<Statement> {
        let [name, host] = account.arguments();
        let stored = sql!(
            "SELECT SHA2(CONCAT(?, plugin, authentication_string), 256) FROM mysql.user WHERE user = ? AND BINARY host = ?",
            value(digest.salt()),
            name,
            host
        );
        vec![own_account(), stored]
    }

    /// Reads the answers to [`Self::question`].
    pub(crate) fn read(answers: Answers, account: &Account) -> Result<Self, ObserveError> {
        let rows = not_own(answers, account)?;
        let password = match rows.cell(0, 0)? {
            None => None,
            Some(cell) if cell.is_null() => Some(String::new()),
            Some(cell) => Some(cell.text()?.to_owned()),
        };
        Ok(Self { password })
    }
}

/// Asks whether there is such an account.
pub(crate) fn is_there_question(account: &Account) -> Vec<Statement> {
    let [name, host] = account.arguments();
    vec![own_account(), sql!("SELECT user FROM mysql.user WHERE user = ? AND BINARY host = ?", name, host)]
}

/// Reads the answers to [`is_there_question`].
pub(crate) fn is_there(answers: Answers, account: &Account) -> Result<bool, ObserveError> {
    Ok(not_own(answers, account)?.cell(0, 0)?.is_some())
}

fn own_account() -> Statement {
    sql!("SELECT CURRENT_USER()")
}

/// The rows about an account, unless it is the operator's own.
fn not_own(answers: Answers, account: &Account) -> Result<Rows, ObserveError> {
    let mut answers = answers?;
    let rows = answers.pop().ok_or(AnswerError::NoColumn(0))?;
    match answers.first().map(|own| own.cell(0, 0)).transpose()?.flatten() {
        Some(own) if own.text()? == account.plain() => Err(ObserveError::Own),
        _ => Ok(rows),
    }
}
