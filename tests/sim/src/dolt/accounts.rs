//! Accounts of a server, and what they may do: what CREATE, ALTER and DROP USER, GRANT, REVOKE, SHOW GRANTS and FLUSH PRIVILEGES
//! do and say.
//!
//! They are the content of the database `mysql`, which goes to standbys as any other one does.

use std::collections::{BTreeMap, BTreeSet};

use host::contract::{Rows, Value};

use super::{
    Dolt,
    disk::NO_SPACE,
    sql::{Answer, CODE, hash},
};

/// The database of accounts.
pub(super) const ACCOUNTS: &str = "mysql";
/// The place of what holds everywhere.
const EVERYWHERE: &str = "*.*";
/// The right to pass privileges on.
const OPTION: &str = "GRANT OPTION";

/// Name and host.
pub type Name = (String, String);

/// An account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// A digest of its password.
    pub password: String,
    /// Privileges by place, as SHOW GRANTS writes it.
    pub held: BTreeMap<String, BTreeSet<String>>,
}

/// The digest of a password that a server stores.
pub(crate) fn stored(password: &str) -> String {
    hash(("password", password))
}

impl Account {
    /// The rows of SHOW GRANTS.
    fn shown(&self, (name, host): &Name) -> Vec<String> {
        let whose = format!("`{}`@`{}`", name.replace('`', "``"), host.replace('`', "``"));
        let line = |place: &str, privileges: &BTreeSet<String>| {
            let names: Vec<&str> = privileges.iter().map(String::as_str).filter(|name| *name != OPTION).collect();
            // A grant option without a privilege is not shown.
            let shown = !names.is_empty() || place == EVERYWHERE;
            let names = if names.is_empty() { "USAGE".to_owned() } else { names.join(", ") };
            let option = if privileges.contains(OPTION) && names != "USAGE" { " WITH GRANT OPTION" } else { "" };
            shown.then(|| format!("GRANT {names} ON {place} TO {whose}{option}"))
        };
        let everywhere = self.held.get(EVERYWHERE).cloned().unwrap_or_default();
        let others = self.held.iter().filter(|(place, _)| *place != EVERYWHERE);
        line(EVERYWHERE, &everywhere).into_iter().chain(others.filter_map(|(place, privileges)| line(place, privileges))).collect()
    }

    /// Takes privileges away. With the last one on a database go those on its tables.
    fn lose(&mut self, place: &str, privileges: &[String]) {
        let Some(held) = self.held.get_mut(place) else { return };
        held.retain(|name| !privileges.contains(name));
        if held.is_empty() {
            self.held.remove(place);
            if let Some(database) = place.strip_suffix(".*") {
                self.held.retain(|other, _| !other.starts_with(&format!("{database}.")));
            }
        }
    }
}

impl Dolt {
    /// The accounts that a server knows.
    pub fn accounts(&self, server: &str) -> BTreeMap<Name, Account> {
        self.databases(server).remove(ACCOUNTS).map(|content| content.accounts.clone()).unwrap_or_default()
    }

    /// A statement about accounts; none where it is about something else. Words are the arguments.
    pub(super) fn account_statement(&mut self, server: &str, text: &str, words: &[String]) -> Option<Answer> {
        if let ("SHOW GRANTS FOR ?@?", [name, host]) = (text, words) {
            return Some(self.show_grants(server, (name.clone(), host.clone())));
        }
        let (gives, names, place, whose) = match (text, words) {
            ("CREATE USER ?@? IDENTIFIED BY ?", [name, host, password]) => {
                return Some(self.with_accounts(server, |accounts| {
                    let name = (name.clone(), host.clone());
                    if accounts.contains_key(&name) {
                        return Err(format!("Operation CREATE USER failed for '{}'@'{}'", name.0, name.1));
                    }
                    accounts.insert(name, Account { password: stored(password), ..Account::default() });
                    Ok(())
                }));
            }
            ("ALTER USER ?@? IDENTIFIED BY ?", [name, host, password]) => {
                return Some(self.with_accounts(server, |accounts| match accounts.get_mut(&(name.clone(), host.clone())) {
                    Some(account) => {
                        account.password = stored(password);
                        Ok(())
                    }
                    None => Err(format!("Operation ALTER USER failed for '{name}'@'{host}'")),
                }));
            }
            ("FLUSH PRIVILEGES", []) => return Some(self.with_accounts(server, |_| Ok(()))),
            ("DROP USER IF EXISTS ?@?", [name, host]) => {
                return Some(self.with_accounts(server, |accounts| {
                    if let Some(taken) = taken_for(accounts, &(name.clone(), host.clone())) {
                        accounts.remove(&taken);
                    }
                    Ok(())
                }));
            }
            _ => {
                let (verb, rest) = text.split_once(' ')?;
                let (names, rest) = rest.split_once(" ON ")?;
                let names: Vec<String> = names.split(", ").map(ToOwned::to_owned).collect();
                let (place, whose) = match (verb, rest, words) {
                    ("GRANT", "*.* TO ?@?", [name, host]) | ("REVOKE", "*.* FROM ?@?", [name, host]) => {
                        (EVERYWHERE.to_owned(), (name.clone(), host.clone()))
                    }
                    ("GRANT", "??.* TO ?@?", [database, name, host]) | ("REVOKE", "??.* FROM ?@?", [database, name, host]) => {
                        (format!("`{database}`.*"), (name.clone(), host.clone()))
                    }
                    ("GRANT", "??.?? TO ?@?", [database, table, name, host])
                    | ("REVOKE", "??.?? FROM ?@?", [database, table, name, host]) => {
                        (format!("`{database}`.`{table}`"), (name.clone(), host.clone()))
                    }
                    _ => return None,
                };
                (verb == "GRANT", names, place, whose)
            }
        };
        Some(self.with_accounts(server, |accounts| {
            let account = taken_for(accounts, &whose).and_then(|taken| accounts.get_mut(&taken));
            match account {
                Some(account) if gives => account.held.entry(place).or_default().extend(names),
                Some(account) => account.lose(&place, &names),
                None if gives => return Err("You are not allowed to create a user with GRANT".into()),
                None => return Err(no_grant(&whose)),
            }
            Ok(())
        }))
    }

    fn show_grants(&self, server: &str, name: Name) -> Answer {
        let accounts = self.accounts(server);
        let Some(taken) = taken_for(&accounts, &name) else { return Answer::Error(CODE, no_grant(&name)) };
        let rows = accounts[&taken].shown(&taken).into_iter().map(|line| vec![Value::Text(line)]).collect();
        Answer::Rows(Rows { columns: vec![format!("Grants for {}@{}", name.0, name.1)], rows })
    }

    fn with_accounts(&mut self, server: &str, change: impl FnOnce(&mut BTreeMap<Name, Account>) -> Result<(), String>) -> Answer {
        let mut kept = true;
        if let Some(volume) = self.servers.get(server).and_then(|server| self.volumes.get_mut(&server.volume)) {
            kept = volume.keeps_accounts();
        }
        let answer = self.with_content(server, ACCOUNTS, |content| change(&mut content.accounts));
        if kept { answer } else { Answer::Error(CODE, NO_SPACE.into()) }
    }
}

/// The account that a server takes for the one that is named: one that would be let in from the same host, where it does not have that one.
fn taken_for(accounts: &BTreeMap<Name, Account>, name: &Name) -> Option<Name> {
    let anywhere = (name.0.clone(), "%".to_owned());
    [name, &anywhere].into_iter().find(|name| accounts.contains_key(*name)).cloned()
}

fn no_grant((name, host): &Name) -> String {
    format!("There is no such grant defined for user '{name}' on host '{host}'")
}

/// The rows of a table of accounts.
pub(super) fn table(accounts: &BTreeMap<Name, Account>, table: &str) -> Option<Vec<Vec<(&'static str, Value)>>> {
    let text = |text: &str| Value::Text(text.to_owned());
    let plain = |place: &str| place.replace('`', "");
    let rows = accounts.iter().flat_map(|((name, host), account)| {
        let whose = [("user", text(name)), ("host", text(host))];
        let option = |held: &BTreeSet<String>| text(if held.contains(OPTION) { "Y" } else { "N" });
        let places = account.held.iter().filter(|(place, _)| *place != EVERYWHERE);
        let rows: Vec<Vec<(&'static str, Value)>> = match table {
            "mysql.user" => {
                let everywhere = account.held.get(EVERYWHERE).cloned().unwrap_or_default();
                vec![vec![
                    ("plugin", text("mysql_native_password")),
                    ("authentication_string", text(&account.password)),
                    ("grant_priv", option(&everywhere)),
                ]]
            }
            "mysql.db" => places
                .filter_map(|(place, held)| {
                    let database = place.strip_suffix(".*")?;
                    Some(vec![("db", text(&plain(database))), ("grant_priv", option(held))])
                })
                .collect(),
            _ => places
                .filter_map(|(place, held)| {
                    let (database, table) = place.split_once("`.`")?;
                    let names = if held.contains(OPTION) { "Grant" } else { "" };
                    Some(vec![("db", text(&plain(database))), ("table_name", text(&plain(table))), ("table_priv", text(names))])
                })
                .collect(),
        };
        rows.into_iter().map(move |row| whose.clone().into_iter().chain(row).collect())
    });
    matches!(table, "mysql.user" | "mysql.db" | "mysql.tables_priv").then(|| rows.collect())
}
