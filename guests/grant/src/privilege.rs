//! The privileges that Dolt has: what they are called, where each can hold, what `ALL` means there.
//!
//! The names are fixed texts of this file, so they may stand in a statement. What a user has written is looked up and never gets into one.

use std::collections::BTreeSet;

/// How wide a privilege holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Everywhere.
    Server,
    /// In one database.
    Database,
    /// On one table.
    Table,
}

/// A set of privileges, by their names.
pub(crate) type Privileges = BTreeSet<&'static str>;

/// The right to pass privileges on. To the server it is one of them.
pub(crate) const GRANT_OPTION: &str = "GRANT OPTION";

/// What can hold on a table, in a database and everywhere.
const ON_TABLES: [&str; 12] =
    ["ALTER", "CREATE", "CREATE VIEW", "DELETE", "DROP", "INDEX", "INSERT", "REFERENCES", "SELECT", "SHOW VIEW", "TRIGGER", "UPDATE"];
/// What can hold in a database and everywhere.
const IN_DATABASES: [&str; 6] = ["ALTER ROUTINE", "CREATE ROUTINE", "CREATE TEMPORARY TABLES", "EVENT", "EXECUTE", "LOCK TABLES"];
/// What can hold everywhere only.
const EVERYWHERE: [&str; 12] = [
    "CREATE ROLE",
    "CREATE TABLESPACE",
    "CREATE USER",
    "DROP ROLE",
    "FILE",
    "PROCESS",
    "RELOAD",
    "REPLICATION CLIENT",
    "REPLICATION SLAVE",
    "SHOW DATABASES",
    "SHUTDOWN",
    "SUPER",
];
/// What can hold everywhere only and is not part of `ALL`.
const DYNAMIC: [&str; 2] = ["CLONE_ADMIN", "REPLICATION_SLAVE_ADMIN"];

/// The names in one entry of `spec.privileges`, which may hold several with commas between.
///
/// # Errors
/// What is wrong with the entry, and what to do about it.
pub(crate) fn parse(entry: &str, level: Level) -> Result<Privileges, String> {
    if entry.contains(['(', ')']) {
        return Err("Dolt has no privileges on columns: name the privilege without them".to_owned());
    }
    let mut found = Privileges::new();
    for word in entry.split(',') {
        let word = word.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
        match word.as_str() {
            "ALL" | "ALL PRIVILEGES" => found.extend(all(level)),
            "USAGE" => {}
            _ => {
                let name = named(&word)
                    .ok_or_else(|| "is no privilege that Dolt knows: write it as SQL does, such as SELECT or ALL".to_owned())?;
                if name != GRANT_OPTION && !all(level).chain(dynamic(level)).any(|privilege| privilege == name) {
                    return Err(match level {
                        Level::Table => "cannot be given on a table: give it on a database or on all (table: \"*\")",
                        Level::Database | Level::Server => "cannot be given on a database: give it on all (database: \"*\")",
                    }
                    .to_owned());
                }
                found.insert(name);
            }
        }
    }
    Ok(found)
}

/// The privilege of this name.
pub(crate) fn named(word: &str) -> Option<&'static str> {
    let known = ON_TABLES.iter().chain(&IN_DATABASES).chain(&EVERYWHERE).chain(&DYNAMIC).chain([&GRANT_OPTION]);
    known.copied().find(|name| *name == word)
}

/// Whether the grant option that stands beside this privilege is not its own.
pub(crate) fn is_dynamic(name: &str) -> bool {
    DYNAMIC.contains(&name)
}

/// What `ALL` means.
fn all(level: Level) -> impl Iterator<Item = &'static str> {
    let in_databases = IN_DATABASES.iter().filter(move |_| level != Level::Table);
    let everywhere = EVERYWHERE.iter().filter(move |_| level == Level::Server);
    ON_TABLES.iter().chain(in_databases).chain(everywhere).copied()
}

fn dynamic(level: Level) -> impl Iterator<Item = &'static str> {
    DYNAMIC.iter().filter(move |_| level == Level::Server).copied()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("select", Level::Table, &["SELECT"])]
    #[case(" create  temporary\ttables ", Level::Database, &["CREATE TEMPORARY TABLES"])]
    #[case("SELECT, insert", Level::Server, &["INSERT", "SELECT"])]
    #[case("USAGE", Level::Server, &[])]
    #[case("grant option", Level::Table, &["GRANT OPTION"])]
    #[case("clone_admin", Level::Server, &["CLONE_ADMIN"])]
    fn names_are_read_as_sql_reads_them(#[case] entry: &str, #[case] level: Level, #[case] expected: &[&str]) {
        assert_eq!(parse(entry, level).map(Vec::from_iter), Ok(expected.to_vec()));
    }

    #[rstest]
    #[case(Level::Server, 30)]
    #[case(Level::Database, 18)]
    #[case(Level::Table, 12)]
    fn all_is_what_dolt_takes_it_for(#[case] level: Level, #[case] count: usize) {
        let all = parse("ALL", level).unwrap();
        assert_eq!(all.len(), count);
        assert_eq!(parse("all privileges", level), Ok(all.clone()));
        assert!(!all.contains(GRANT_OPTION));
    }

    #[rstest]
    #[case("SELECT (id, name)", Level::Table, "no privileges on columns")]
    #[case("SELECT ON *.* TO 'x'@'%'; DROP USER 'y'@'%'; --", Level::Server, "no privilege that Dolt knows")]
    #[case("ALL ON *.* TO root@localhost --", Level::Database, "no privilege that Dolt knows")]
    #[case("", Level::Server, "no privilege that Dolt knows")]
    #[case("SUPER", Level::Database, "cannot be given on a database")]
    #[case("EXECUTE", Level::Table, "cannot be given on a table")]
    #[case("CLONE_ADMIN", Level::Database, "cannot be given on a database")]
    fn what_is_none_is_said(#[case] entry: &str, #[case] level: Level, #[case] expected: &str) {
        let problem = parse(entry, level).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }
}
