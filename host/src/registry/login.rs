//! Logins as `docker login` and Secrets of type `kubernetes.io/dockerconfigjson` keep them. Their values are never shown.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

/// An account at a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The account's name.
    pub user: String,
    /// Its password, or a token.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The logins of a file or a Secret, by registry.
#[derive(Debug, Clone, Default)]
pub struct Logins(BTreeMap<String, Login>);

/// Something that should hold logins does not.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// It is not JSON of the expected form.
    #[error("not of the form {{\"auths\": {{registry: {{\"auth\": …}}}}}}: {0}")]
    Form(String),
    /// An entry cannot be used.
    #[error("the login for {registry} cannot be used: {message}")]
    Entry {
        /// As written.
        registry: String,
        /// Why.
        message: &'static str,
    },
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

impl Logins {
    /// Reads the content of `.dockerconfigjson`, or of docker's own `config.json`.
    ///
    /// # Errors
    /// When it cannot be read. The message has no word of a password.
    pub fn parse(text: &[u8]) -> Result<Self, LoginError> {
        let config: Config = serde_json::from_slice(text).map_err(|error| {
            // The text of the error may quote a value.
            LoginError::Form(format!("line {} column {}", error.line(), error.column()))
        })?;
        let mut logins = BTreeMap::new();
        for (registry, entry) in config.auths {
            let wrong = |message| LoginError::Entry { registry: registry.clone(), message };
            let login = if entry.auth.is_empty() {
                Login { user: entry.username, password: entry.password }
            } else {
                let decoded = STANDARD.decode(entry.auth.trim()).map_err(|_| wrong("auth is not base64"))?;
                let text = String::from_utf8(decoded).map_err(|_| wrong("auth is not text"))?;
                let (user, password) = text.split_once(':').ok_or_else(|| wrong("auth is not user:password"))?;
                Login { user: user.into(), password: password.into() }
            };
            // An empty entry says that a credential helper has it.
            if !login.user.is_empty() {
                logins.insert(host(&registry).to_owned(), login);
            }
        }
        Ok(Self(logins))
    }

    /// The login for a registry.
    pub fn of(&self, registry: &str) -> Option<&Login> {
        self.0.get(host(registry))
    }
}

/// Docker writes some registries as URLs, and its own under a name of the past.
fn host(registry: &str) -> &str {
    let bare = registry.trim_start_matches("https://").trim_start_matches("http://");
    let bare = bare.split('/').next().unwrap_or(bare);
    if bare == "index.docker.io" { "docker.io" } else { bare }
}

impl Login {
    /// The header by which it is shown.
    pub(super) fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.password)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_by_registry() {
        let text = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "YTpiOmM="}, "r.example:5000": {"username": "u", "password": "p"}, "h": {}}}"#;
        let logins = Logins::parse(text.as_bytes()).unwrap();
        assert_eq!(logins.of("docker.io"), Some(&Login { user: "a".into(), password: "b:c".into() }));
        assert_eq!(logins.of("r.example:5000").unwrap().user, "u");
        assert_eq!((logins.of("r.example"), logins.of("h")), (None, None));
        assert!(!format!("{logins:?}").contains("b:c"), "a password is shown");
    }

    #[rstest::rstest]
    #[case("secret", "line 1 column 1")]
    #[case(r#"{"auths": {"r": {"auth": "c2VjcmV0"}}}"#, "the login for r cannot be used: auth is not user:password")]
    #[case(r#"{"auths": {"r": {"auth": "secret!"}}}"#, "auth is not base64")]
    fn what_cannot_be_read_is_told_without_its_values(#[case] text: &str, #[case] says: &str) {
        let error = Logins::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(says) && !error.contains("secret"), "{error}");
    }
}
