//! Grant: privileges of an SQL account on a DoltDB.

use serde::{Deserialize, Serialize};

use crate::{Condition, DoltDBRef, Kind, Object, SqlTemplate};

/// Privileges of an SQL account.
pub type Grant = Object<GrantSpec>;

impl Kind for GrantSpec {
    const KIND: &'static str = "Grant";
    const PLURAL: &'static str = "grants";
    const SINGULAR: &'static str = "grant";
    type Status = GrantStatus;
}

/// The privileges that are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct GrantSpec {
    /// When the SQL runs again, and what deletion does.
    #[serde(flatten)]
    pub sql: SqlTemplate,
    /// The DoltDB on which the privileges hold. Immutable.
    #[serde(rename = "doltDBRef")]
    pub dolt_db_ref: DoltDBRef,
    /// Privileges as SQL names them: `SELECT`, `INSERT`, `ALL`. At least one.
    pub privileges: Vec<String>,
    /// Database on which they hold. Default: `*`, all.
    pub database: String,
    /// Table on which they hold. Default: `*`, all.
    pub table: String,
    /// Name of the account, as in the User's `spec.name`.
    pub username: String,
    /// Host of the account. Default: `%`, any host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Whether the account may pass the privileges on. Default: false.
    pub grant_option: bool,
}

impl Default for GrantSpec {
    fn default() -> Self {
        Self {
            sql: SqlTemplate::default(),
            dolt_db_ref: DoltDBRef::default(),
            privileges: Vec::new(),
            database: "*".into(),
            table: "*".into(),
            username: String::new(),
            host: None,
            grant_option: false,
        }
    }
}

impl GrantSpec {
    /// `host` with its default.
    pub fn host(&self) -> &str {
        self.host.as_deref().filter(|h| !h.is_empty()).unwrap_or("%")
    }
}

/// What was last observed of the privileges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct GrantStatus {
    /// Condition `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The privileges that this object has given and has to take away again, by account and by where they hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<Granted>,
}

/// Privileges of one account in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Granted {
    /// Name of the account.
    pub username: String,
    /// Host of the account.
    pub host: String,
    /// Database on which they hold, `*` for all.
    pub database: String,
    /// Table on which they hold, `*` for all.
    pub table: String,
    /// Each by its name; `ALL` is written out, the grant option is `GRANT OPTION`.
    pub privileges: Vec<String>,
}
