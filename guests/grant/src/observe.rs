//! What an account holds on the server, by SHOW GRANTS: it looks one account up, where each of the tables in `mysql` goes through all of them.

use std::collections::BTreeMap;

use dolt::{Account, Answers, Primary};
use sdk::{AnswerError, RowsExt, SqlError, Statement, World, sql, value};

use crate::{
    holding::Place,
    privilege::{GRANT_OPTION, Level, Privileges, is_dynamic, named},
};

/// What the server says where there is no account, with a number that stands for anything.
const NO_ACCOUNT: &str = "There is no such grant defined";

/// What one account holds, by the place as the server writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    held: BTreeMap<String, Privileges>,
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
    /// Asks what an account holds.
    pub(crate) fn question(account: &Account) -> Vec<Statement> {
        let [name, host] = account.arguments();
        vec![sql!("SELECT CURRENT_USER()"), sql!("SHOW GRANTS FOR ?@?", name, host)]
    }

    /// What the account holds, by the answers to [`Self::question`]; none where there is no such account. `options` are the places where the
    /// grant option is of concern: it is shown beside other privileges only, so it is looked for where there are none.
    pub(crate) fn of(
        world: &dyn World,
        primary: &Primary,
        answers: Answers,
        account: &Account,
        options: &[&Place],
    ) -> Result<Option<Self>, ObserveError> {
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) if error.message.contains(NO_ACCOUNT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let rows = |place: usize| answers.get(place).ok_or(AnswerError::NoColumn(0));
        if let Some(own) = rows(0)?.cell(0, 0)?
            && own.text()? == account.plain()
        {
            return Err(ObserveError::Own);
        }
        let lines = rows(1)?.column(0)?.iter().map(|cell| cell.text()).collect::<Result<Vec<_>, _>>()?;
        let Some(mut observed) = Self::read(&lines, account) else { return Ok(None) };
        let alone: Vec<&Place> = options.iter().copied().filter(|place| observed.at(place).is_empty()).collect();
        if !alone.is_empty() {
            let answers = primary.ask(world, None, alone.iter().map(|place| option_alone(account, place)).collect())?;
            for (place, rows) in alone.iter().zip(&answers) {
                if rows.cell(0, 0)?.is_some() {
                    observed.held.entry(place.shown()).or_default().insert(GRANT_OPTION);
                }
            }
        }
        Ok(Some(observed))
    }

    /// What it holds in a place.
    pub(crate) fn at(&self, place: &Place) -> Privileges {
        self.held.get(&place.shown()).cloned().unwrap_or_default()
    }

    /// What it holds on single tables of a database.
    pub(crate) fn on_tables_of(&self, database: &str) -> Vec<(Place, Privileges)> {
        let (before, after) = (format!("`{database}`.`"), "`");
        let tables = self.held.iter().filter_map(|(place, privileges)| {
            let table = place.strip_prefix(&before)?.strip_suffix(after)?;
            Some((Place::new(database, table), privileges.clone()))
        });
        tables.filter(|(_, privileges)| !privileges.is_empty()).collect()
    }

    /// Reads the rows of SHOW GRANTS. None where they are about another account, which the server shows in place of one that it does not have.
    fn read(lines: &[&str], account: &Account) -> Option<Self> {
        let whose = format!(" TO {}", account.in_backticks());
        let mut observed = None;
        for line in lines {
            let (line, option) = line.strip_suffix(" WITH GRANT OPTION").map_or((*line, false), |line| (line, true));
            let Some(line) = line.strip_prefix("GRANT ").and_then(|line| line.strip_suffix(&whose)) else { continue };
            let Some((names, place)) = line.split_once(" ON ") else { continue };
            let held = observed.get_or_insert_with(Self::default).held.entry(place.to_lowercase()).or_default();
            held.extend(names.split(", ").filter_map(named));
            // A dynamic privilege has a grant option of its own.
            if option && !names.split(", ").any(is_dynamic) {
                held.insert(GRANT_OPTION);
            }
        }
        observed
    }
}

/// Gives a row where the account has the grant option in a place.
fn option_alone(account: &Account, place: &Place) -> Statement {
    let [name, host] = account.arguments();
    match place.level() {
        Level::Server => sql!("SELECT 1 FROM mysql.user WHERE user = ? AND BINARY host = ? AND grant_priv = ?", name, host, value("Y")),
        Level::Database => sql!(
            "SELECT 1 FROM mysql.db WHERE user = ? AND BINARY host = ? AND LOWER(db) = ? AND grant_priv = ?",
            name,
            host,
            value(&place.database),
            value("Y")
        ),
        Level::Table => sql!(
            "SELECT 1 FROM mysql.tables_priv WHERE user = ? AND BINARY host = ? AND LOWER(db) = ? AND LOWER(table_name) = ? AND table_priv LIKE ?",
            name,
            host,
            value(&place.database),
            value(&place.table),
            value("%Grant%")
        ),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("*", "*", &["CREATE ROLE", "SELECT"])]
    #[case("app", "*", &["GRANT OPTION", "INSERT"])]
    #[case("APP", "Items", &["UPDATE"])]
    #[case("other", "*", &[])]
    fn the_rows_are_read(#[case] database: &str, #[case] table: &str, #[case] expected: &[&str]) {
        let lines = [
            "GRANT SELECT, CREATE ROLE ON *.* TO `a``b`@`%`",
            "GRANT INSERT ON `app`.* TO `a``b`@`%` WITH GRANT OPTION",
            "GRANT UPDATE ON `App`.`items` TO `a``b`@`%`",
            "GRANT EXECUTE ON PROCEDURE `app`.`p` TO `a``b`@`%`",
            "GRANT `role`@`%` TO `a``b`@`%`",
            "",
        ];
        let observed = Observed::read(&lines, &Account::new("a`b", "%")).unwrap();
        assert_eq!(Vec::from_iter(observed.at(&Place::new(database, table))), expected);
    }

    #[test]
    fn a_dynamic_privilege_that_may_be_passed_on_says_nothing_of_the_others() {
        let lines = ["GRANT USAGE ON *.* TO `a`@`%`", "GRANT CLONE_ADMIN ON *.* TO `a`@`%` WITH GRANT OPTION"];
        let observed = Observed::read(&lines, &Account::new("a", "%")).unwrap();
        assert_eq!(Vec::from_iter(observed.at(&Place::new("*", "*"))), ["CLONE_ADMIN"]);
    }

    #[test]
    fn another_account_that_the_server_shows_instead_is_none() {
        assert_eq!(Observed::read(&["GRANT SELECT ON *.* TO `a`@`%`"], &Account::new("a", "10.0.0.1")), None);
    }
}
