//! The server that takes the writes of a DoltDB. Only this one is needed for work on databases, users and grants: how the standbys fare is of
//! no concern.

use std::time::Duration;

use crds::{API_VERSION, DoltDB};
use sdk::{Endpoint, Execution, Guard, Permission, Query, Rows, SqlError, SqlErrorKind, Statement, Typed, Value, World, kind, sql};

use crate::{Account, Obstacle, READ_DEADLINE, Report, Role, Servers, WRITE_DEADLINE, role::role_statement};

/// Rows that one statement may give. What has more of them is no ordinary database or account.
const MAX_ROWS: u32 = 10_000;

/// How long to wait before asking again for a primary that does not answer.
const RETRY: Duration = Duration::from_secs(2);

/// What finding a primary and writing to it takes: the DoltDB and its account, of whatever namespace, and the primary by its Service or the
/// first pod of a DoltDB without replication, in any namespace and DNS domain.
pub fn permissions() -> Vec<Permission> {
    let servers = ["*-primary.*.svc.*", "*-0.*-internal.*.svc.*"].map(ToOwned::to_owned);
    let reads = servers.clone().map(Permission::SqlRead);
    let writes = servers.map(Permission::SqlWrite);
    let account = Permission::Secret("*/*-credentials".to_owned());
    // A certificate's Secret may have any name.
    let authority = Permission::Authority("*/*".to_owned());
    [Permission::Read(kind(API_VERSION, DoltDB::KIND)), account, authority].into_iter().chain(reads).chain(writes).collect()
}

/// A server that takes writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Primary {
    /// Where it is.
    pub endpoint: Endpoint,
    replicated: bool,
}

/// What a server answers to statements: the rows of each, or the first error.
pub type Answers = Result<Vec<Rows>, SqlError>;

/// The server that takes the writes of a DoltDB, if it answers and says so itself, and what it answers to the `first` statements. They are
/// asked along with its role, since a question costs the way to the server, whatever is in it.
///
/// # Errors
/// What is awaited.
pub fn find_primary(
    world: &dyn World,
    target: &Typed<DoltDB>,
    domain: &str,
    first: Vec<Statement>,
) -> Result<(Primary, Answers), Obstacle> {
    let header = &target.header;
    let spec = &target.body.spec;
    let servers = Servers::new(&header.namespace, &header.name, spec, &target.body.status, domain);
    let replicated = spec.replication().enabled;
    // Without replication every server would take writes; those of the first one count, as they do for the Service of a single server.
    let endpoint = if replicated { servers.primary() } else { servers.pod(0) };
    let primary = Primary { endpoint, replicated };
    let role = if replicated { role_statement() } else { sql!("SELECT 1") };
    let together = std::iter::once(role.clone()).chain(first).collect();
    let (role, first) = match primary.ask(world, None, together) {
        Ok(mut answers) if !answers.is_empty() => {
            let first = answers.split_off(1);
            (Ok(answers), Ok(first))
        }
        // Which of the statements failed is not told.
        Err(error) if error.kind == SqlErrorKind::Server || error.kind == SqlErrorKind::TooLarge => {
            (primary.ask(world, None, vec![role]), Err(error))
        }
        failed => (failed.clone(), failed),
    };
    // What the host says of a query that failed names the server already.
    let waiting = |why: String| {
        let message = format!("waiting for a writable primary of DoltDB \"{}\": {why}", header.name);
        Obstacle::look_again("WaitingForPrimary", message, RETRY)
    };
    if replicated {
        let report = Report::of(&role).map_err(&waiting)?;
        if report.role != Role::Primary {
            return Err(waiting(format!("{} is no primary", primary.endpoint.host)));
        }
    } else {
        role.map_err(|error| waiting(error.message))?;
    }
    Ok((primary, first))
}

impl Primary {
    /// Asks it, in a database or in none in particular.
    ///
    /// # Errors
    /// The first failure.
    pub fn ask(&self, world: &dyn World, database: Option<&str>, statements: Vec<Statement>) -> Answers {
        world.query_one(Query {
            endpoint: self.endpoint.clone(),
            database: database.map(ToOwned::to_owned),
            statements,
            deadline: READ_DEADLINE,
            max_rows: MAX_ROWS,
        })
    }

    /// Statements that write to a database, or to none in particular. They run only on a server that is primary in the same session.
    pub fn execution(&self, database: Option<&str>, statements: Vec<Statement>) -> Execution {
        let guard = self
            .replicated
            .then(|| Guard { statement: sql!("SELECT @@global.dolt_cluster_role"), expected: vec![Value::Text("primary".to_owned())] });
        Execution {
            endpoint: self.endpoint.clone(),
            database: database.map(ToOwned::to_owned),
            guard,
            statements,
            deadline: WRITE_DEADLINE,
        }
    }

    /// Writes the accounts to the disk. What a server could not write, for want of room, it has changed in memory all the same, and forgets again
    /// when it ends: nothing but this tells one from the other.
    pub fn keeping_accounts(&self) -> Execution {
        self.execution(None, vec![sql!("FLUSH PRIVILEGES")])
    }

    /// Statements about an account. They run only where the server is primary and has exactly this account.
    pub fn execution_on(&self, account: &Account, statements: Vec<Statement>) -> Execution {
        let [name, host] = account.arguments();
        // Without an account there is no row, and no row is never the expected one.
        let guard = if self.replicated {
            let statement = sql!("SELECT @@global.dolt_cluster_role FROM mysql.user WHERE user = ? AND BINARY host = ?", name, host);
            Guard { statement, expected: vec![Value::Text("primary".to_owned())] }
        } else {
            let statement = sql!("SELECT user FROM mysql.user WHERE user = ? AND BINARY host = ?", name, host);
            Guard { statement, expected: vec![Value::Text(account.name.clone())] }
        };
        Execution { guard: Some(guard), ..self.execution(None, statements) }
    }
}
