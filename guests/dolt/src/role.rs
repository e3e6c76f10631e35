//! The role of a server, as it says itself. Roles and epochs are kept on a server's volume: they are read, never assumed.

use sdk::{Cell, Rows, RowsExt, SqlError, Statement, sql};

/// What a server does in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It follows a primary.
    Standby,
    /// It has no part in a cluster, or met another primary of its own epoch and serves none.
    Broken,
}

/// What a server says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Its role.
    pub role: Role,
    /// Counts the changes of roles: of two servers that disagree, the one with the higher epoch is right.
    pub epoch: u64,
}

/// Asks a server for its role and its epoch. A server that was started without a cluster configuration answers with an error.
pub fn role_statement() -> Statement {
    sql!("SELECT @@global.dolt_cluster_role, @@global.dolt_cluster_role_epoch")
}

impl Report {
    /// Whether the server has no cluster in its configuration.
    pub fn has_no_cluster(&self) -> bool {
        self.role == Role::Broken && self.epoch == 0
    }

    /// What the rows of [`role_statement`] say.
    ///
    /// # Errors
    /// When they are not what the statement promises.
    pub fn read(rows: &Rows) -> Result<Self, String> {
        let cell = |column| -> Result<Cell<'_>, String> {
            rows.cell(0, column).map_err(|error| error.to_string())?.ok_or_else(|| "the server gave no role".to_owned())
        };
        let role = match cell(0)?.text().map_err(|error| error.to_string())? {
            "primary" => Role::Primary,
            "standby" => Role::Standby,
            _ => Role::Broken,
        };
        Ok(Self { role, epoch: cell(1)?.number().map_err(|error| error.to_string())? })
    }

    /// What a server answers that was asked for its role, by an answer to a query that begins with [`role_statement`].
    ///
    /// # Errors
    /// Why the role is not known.
    pub fn of(answer: &Result<Vec<Rows>, SqlError>) -> Result<Self, String> {
        match answer {
            Ok(results) => Self::read(results.first().ok_or("the server gave no rows")?),
            // Dolt knows the variable only where a cluster is configured, and has one number for nearly all of its errors.
            Err(error) if error.message.contains("Unknown system variable") => Ok(Self { role: Role::Broken, epoch: 0 }),
            Err(error) => Err(error.message.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use sdk::{SqlErrorKind, Value};

    use super::*;

    #[rstest]
    #[case("primary", Role::Primary)]
    #[case("standby", Role::Standby)]
    #[case("detected_broken_config", Role::Broken)]
    #[case("", Role::Broken)]
    fn a_role_is_read_with_its_epoch(#[case] text: &str, #[case] role: Role) {
        let rows = Rows { columns: Vec::new(), rows: vec![vec![Value::Text(text.to_owned()), Value::Text("7".to_owned())]] };
        assert_eq!(Report::of(&Ok(vec![rows])), Ok(Report { role, epoch: 7 }));
    }

    #[test]
    fn a_server_without_a_cluster_has_no_role_and_an_unreachable_one_is_not_known() {
        let error =
            |message: &str| SqlError { kind: SqlErrorKind::Server, code: 1105, state: "HY000".to_owned(), message: message.to_owned() };
        let unknown = Err(error("Unknown system variable '@@global.dolt_cluster_role'"));
        assert_eq!(Report::of(&unknown), Ok(Report { role: Role::Broken, epoch: 0 }));
        assert_eq!(Report::of(&Err(error("nobody there"))), Err("nobody there".to_owned()));
    }
}
