//! User: an SQL account on a DoltDB.

use serde::{Deserialize, Serialize};

use crate::{Condition, DoltDBRef, Kind, Object, SecretKeySelector, SqlTemplate};

/// An SQL account on a DoltDB.
pub type User = Object<UserSpec>;

impl Kind for UserSpec {
    const KIND: &'static str = "User";
    const PLURAL: &'static str = "users";
    const SINGULAR: &'static str = "user";
    type Status = UserStatus;
}

/// The account that is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct UserSpec {
    /// When the SQL runs again, and what deletion does.
    #[serde(flatten)]
    pub sql: SqlTemplate,
    /// The DoltDB on which the account lives. Immutable.
    #[serde(rename = "doltDBRef")]
    pub dolt_db_ref: DoltDBRef,
    /// Name of the account. Dolt takes up to 32 bytes. Immutable.
    pub name: String,
    /// Host from which the account may connect, up to 255 characters. Default: `%`, any host. Immutable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Password, from a Secret in the namespace of this object. A changed Secret changes the password within seconds.
    pub password_secret_key_ref: SecretKeySelector,
}

impl UserSpec {
    /// `host` with its default.
    pub fn host(&self) -> &str {
        self.host.as_deref().filter(|h| !h.is_empty()).unwrap_or("%")
    }
}

/// What was last observed of the account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct UserStatus {
    /// Condition `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What password the account has, without saying it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordStatus>,
}

/// By what it is seen that the account still has the password that it was given. Neither can be turned back, nor tried out by guessing: both are
/// made with a key that the operator keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct PasswordStatus {
    /// Changes with the value of the Secret.
    pub secret: String,
    /// Changes with what the server stores of the password. Absent while the password is being set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}
