//! Database: a database on a DoltDB, with branches and ignore patterns.

use serde::{Deserialize, Serialize};

use crate::{Condition, DoltDBRef, Kind, Object, SqlTemplate};

/// A database on a DoltDB.
pub type Database = Object<DatabaseSpec>;

impl Kind for DatabaseSpec {
    const KIND: &'static str = "Database";
    const PLURAL: &'static str = "databases";
    const SINGULAR: &'static str = "database";
    type Status = DatabaseStatus;
}

/// The database that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct DatabaseSpec {
    /// When the SQL runs again, and what deletion does.
    #[serde(flatten)]
    pub sql: SqlTemplate,
    /// The DoltDB on which the database lives. Immutable.
    #[serde(rename = "doltDBRef")]
    pub dolt_db_ref: DoltDBRef,
    /// Name of the database on the server: letters, digits and underscores, up to 80. Immutable.
    pub name: String,
    /// Character set that the database is created with. Default: `utf8mb4`.
    pub charset: String,
    /// Collation that the database is created with. Default: `utf8mb4_0900_bin`.
    pub collation: String,
    /// Branches to create from `main`. Removing one from the list does not delete the branch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub system_branches: Vec<String>,
    /// Patterns of tables that Dolt leaves out of commits, kept in the table `dolt_ignore`: `log_%`. Removing one takes it off the server again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dolt_ignore_patterns: Vec<String>,
}

impl Default for DatabaseSpec {
    fn default() -> Self {
        Self {
            sql: SqlTemplate::default(),
            dolt_db_ref: DoltDBRef::default(),
            name: String::new(),
            charset: "utf8mb4".into(),
            collation: "utf8mb4_0900_bin".into(),
            system_branches: Vec::new(),
            dolt_ignore_patterns: Vec::new(),
        }
    }
}

/// What was last observed of the database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct DatabaseStatus {
    /// Condition `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The ignore patterns that this object has put on the server. Those of them that leave the spec leave the server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applied_ignore_patterns: Vec<String>,
}
