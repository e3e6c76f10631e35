//! An account of a server: what it may be called, how statements name it, and how a write makes sure that it means this one.
//!
//! Where Dolt does not find the account that GRANT, REVOKE or DROP USER name, it takes one that would be let in from the same host: dropping
//! `'a'@'10.0.0.1'` drops `'a'@'%'`. So whoever writes first sees that the account is there, and sends a guard along in case it goes.

use std::fmt;

use crds::{FieldError, UserSpec};
use sdk::{Argument, value};
use serde::{Deserialize, Serialize};

use crate::exclusive::label;

/// Dolt's limit for the name of an account, in bytes.
const NAME_BYTES: usize = 32;
/// Accounts that a server makes for itself.
const RESERVED: [(&str, &str); 2] = [("__dolt_local_user__", "localhost"), ("event_scheduler", "localhost")];
/// Addresses that Dolt looks up as `localhost`, so that an account of such a host cannot be told from others of its name.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "::1"];

/// Who connects, and from where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Account {
    /// The name.
    #[serde(rename = "username")]
    pub name: String,
    /// The host, or a pattern of hosts; `%` is any.
    pub host: String,
}

impl Account {
    /// An account of this name and host.
    pub fn new(name: &str, host: &str) -> Self {
        Self { name: name.to_owned(), host: host.to_owned() }
    }

    /// The account that a User is about.
    pub fn of(user: &UserSpec) -> Self {
        Self::new(&user.name, user.host())
    }

    /// For `?@?`.
    pub fn arguments(&self) -> [Argument; 2] {
        [value(&self.name), value(&self.host)]
    }

    /// As the server writes it in the rows of SHOW GRANTS.
    pub fn in_backticks(&self) -> String {
        let quoted = |text: &str| format!("`{}`", text.replace('`', "``"));
        format!("{}@{}", quoted(&self.name), quoted(&self.host))
    }

    /// As CURRENT_USER() gives it.
    pub fn plain(&self) -> String {
        format!("{}@{}", self.name, self.host)
    }

    /// The value of the label by which all Users of this account on one DoltDB are found.
    pub fn label(&self, doltdb: &str) -> String {
        label(doltdb, &self.subject())
    }

    /// What tells it from others.
    pub(crate) fn subject(&self) -> Vec<String> {
        vec![self.name.clone(), self.host.clone()]
    }

    /// What keeps a server from having such an account. `name` and `host` are the fields where its parts stand.
    pub fn mistakes(&self, name: &str, host: &str) -> Vec<FieldError> {
        let mut found = Vec::new();
        let problem = match self.name.as_str() {
            "" => Some("must not be empty: an account without a name lets everybody in".to_owned()),
            text if text.len() > NAME_BYTES => {
                Some(format!("must have at most {NAME_BYTES} bytes, as Dolt demands, and has {}: choose a shorter one", text.len()))
            }
            text if text.contains(char::is_control) => Some("must not hold control characters".to_owned()),
            text if RESERVED.contains(&(text, self.host.as_str())) => {
                Some("is an account of the server itself: choose another one".to_owned())
            }
            _ => None,
        };
        found.extend(problem.map(|problem| FieldError::new(name, &self.name, problem)));
        if LOOPBACK.contains(&self.host.as_str()) {
            found.push(FieldError::new(host, &self.host, "is localhost for Dolt: write \"localhost\""));
        } else if self.host.contains(|c: char| c.is_control() || c == '@') {
            found.push(FieldError::new(
                host,
                &self.host,
                "must be the name or address of a host, in which % stands for any run of characters",
            ));
        }
        found
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'@'{}'", self.name, self.host)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("app", "%", None)]
    #[case("Zoë's `app` \\ \"x\"", "10.0.0.%", None)]
    #[case("root", "%", None)]
    #[case("", "%", Some("spec.name: must not be empty"))]
    #[case("äääääääääääääääää", "%", Some("has 34"))]
    #[case("a\nb", "%", Some("control characters"))]
    #[case("event_scheduler", "localhost", Some("of the server itself"))]
    #[case("app", "127.0.0.1", Some("spec.host: invalid value \"127.0.0.1\""))]
    #[case("app", "a@b", Some("must be the name or address of a host"))]
    fn what_no_server_can_have_is_named(#[case] name: &str, #[case] host: &str, #[case] expected: Option<&str>) {
        let found = Account::new(name, host).mistakes("spec.name", "spec.host");
        assert_eq!(found.len(), usize::from(expected.is_some()), "{found:?}");
        assert!(expected.is_none_or(|words| found[0].to_string().contains(words)), "{found:?}");
    }

    #[test]
    fn names_are_quoted_as_the_server_quotes_them() {
        let account = Account::new("ti`ck", "%");
        assert_eq!(account.in_backticks(), "`ti``ck`@`%`");
        assert_eq!(account.to_string(), "'ti`ck'@'%'");
    }

    #[test]
    fn each_account_has_a_label_of_its_own() {
        let label = Account::new("ab", "c").label("d");
        assert_eq!(label.len(), 32);
        assert_eq!(label, Account::new("ab", "c").label("d"));
        for (name, host, doltdb) in [("a", "bc", "d"), ("ab", "%", "d"), ("ab", "c", "e")] {
            assert_ne!(label, Account::new(name, host).label(doltdb));
        }
    }
}
