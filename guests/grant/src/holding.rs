//! Who holds what where: the privileges that a spec wants, that a status remembers, that a server has.

use std::collections::BTreeMap;

use crds::{GrantSpec, Granted};
use dolt::Account;

use crate::privilege::{GRANT_OPTION, Level, Privileges, named, parse};

/// What stands for all databases, and for all tables.
const ALL: &str = "*";

/// Where privileges hold. Dolt tells neither databases nor tables by upper and lower case here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) database: String,
    pub(crate) table: String,
}

/// Privileges by account and place.
pub(crate) type Holdings = BTreeMap<(Account, Place), Privileges>;

impl Place {
    pub(crate) fn new(database: &str, table: &str) -> Self {
        Self { database: database.to_lowercase(), table: table.to_lowercase() }
    }

    pub(crate) fn level(&self) -> Level {
        match (self.database.as_str(), self.table.as_str()) {
            (ALL, _) => Level::Server,
            (_, ALL) => Level::Database,
            _ => Level::Table,
        }
    }

    /// As the server writes it in the rows of SHOW GRANTS, in lower case. It doubles no backtick; names with one are refused.
    pub(crate) fn shown(&self) -> String {
        match self.level() {
            Level::Server => "*.*".to_owned(),
            Level::Database => format!("`{}`.*", self.database),
            Level::Table => format!("`{}`.`{}`", self.database, self.table),
        }
    }
}

/// The place, the account and the privileges that a spec wants. What is wrong in it is left out.
pub(crate) fn wanted(spec: &GrantSpec) -> ((Account, Place), Privileges) {
    let place = Place::new(&spec.database, &spec.table);
    let mut privileges: Privileges = spec.privileges.iter().filter_map(|entry| parse(entry, place.level()).ok()).flatten().collect();
    if spec.grant_option {
        privileges.insert(GRANT_OPTION);
    }
    ((Account::new(&spec.username, spec.host()), place), privileges)
}

/// What a status remembers. A name that is none is left out.
pub(crate) fn from_status(granted: &[Granted]) -> Holdings {
    let mut holdings = Holdings::new();
    for entry in granted {
        let key = (Account::new(&entry.username, &entry.host), Place::new(&entry.database, &entry.table));
        holdings.entry(key).or_default().extend(entry.privileges.iter().filter_map(|name| named(name)));
    }
    holdings
}

/// The same for the status.
pub(crate) fn to_status(holdings: &Holdings) -> Vec<Granted> {
    let entry = |((account, place), privileges): (&(Account, Place), &Privileges)| Granted {
        username: account.name.clone(),
        host: account.host.clone(),
        database: place.database.clone(),
        table: place.table.clone(),
        privileges: privileges.iter().map(ToString::to_string).collect(),
    };
    holdings.iter().map(entry).collect()
}
