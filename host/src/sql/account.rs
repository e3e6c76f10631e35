//! Plaintext: the account of a connection and the secrets in arguments. Its types have neither `Debug` nor `Display`, so that no log or error
//! can show them by accident.

use super::{Secrets, error::Failure};
use crate::contract::{Credentials, SqlErrorKind};

/// A secret text.
pub(super) struct Plain(String);

impl Plain {
    /// For the connection and for the quoting; nowhere else.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        Self(text.into())
    }
}

/// By whom a connection is made.
pub(super) struct Account {
    pub user: Plain,
    pub password: Plain,
}

impl Account {
    /// Reads user and password.
    pub(super) async fn read(secrets: &dyn Secrets, credentials: &Credentials) -> Result<Self, Failure> {
        let Credentials { namespace, secret: name, user_key, password_key } = credentials;
        let user = secret(secrets, namespace, name, user_key).await?;
        let password = secret(secrets, namespace, name, password_key).await?;
        Ok(Self { user, password })
    }
}

/// The value of a key of a Secret.
pub(super) async fn secret(secrets: &dyn Secrets, namespace: &str, name: &str, key: &str) -> Result<Plain, Failure> {
    let none = |message: String| Failure::new(SqlErrorKind::NoCredentials, message);
    let value = secrets.value(namespace, name, key).await.map_err(|e| none(e.to_string()))?;
    let value = value.ok_or_else(|| none(format!("there is no key {key} in secret {namespace}/{name}, or no such secret")))?;
    let text = String::from_utf8(value).map_err(|_| none(format!("key {key} of secret {namespace}/{name} is not text")))?;
    Ok(Plain(text))
}
