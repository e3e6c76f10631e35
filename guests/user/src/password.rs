//! How it is known that an account has the password of its Secret, although nobody here sees one.
//!
//! The host shows a digest of the Secret's value, keyed, so that it says nothing to whoever has not got the key. With this digest for a salt the
//! server is asked for a digest of what it stores of the password. Both are put into the status once a password has been set: another digest of
//! the Secret means another value, another answer of the server means that somebody else has set a password there. What stands in the status are
//! digests of digests, so that none of them is the salt of the other.
//!
//! While a password is being set the status names the Secret's digest only. The server's answer is added by the next round, and only where the
//! last plan is known to have happened: every plan in between takes the first half away again, so a password that may not have been set is set
//! once more.

use crds::{PasswordStatus, User};
use dolt::Obstacle;
use sdk::{Failure, Typed, World};
use serde_json::{Value as Json, json};
use sha2::Digest as _;

use crate::observe::Observed;

/// The keyed digest of the password that is wanted.
pub(crate) struct Digest(String);

impl Digest {
    /// The digest of the Secret's value, or what keeps it from being one.
    pub(crate) fn of(world: &dyn World, user: &Typed<User>) -> Result<Result<Self, Obstacle>, Failure> {
        let (namespace, reference) = (&user.header.namespace, &user.body.spec.password_secret_key_ref);
        let Some(keys) = world.secret(namespace, &reference.name)? else {
            let message = format!(
                "spec.passwordSecretKeyRef.name: there is no Secret \"{}\" in namespace \"{namespace}\": create it",
                reference.name
            );
            return Ok(Err(Obstacle::new("SecretNotFound", message)));
        };
        let digest = keys.into_iter().find(|entry| entry.key == reference.key);
        Ok(match digest {
            Some(entry) if !entry.digest.is_empty() => Ok(Self(entry.digest)),
            Some(_) => {
                let message = format!("the key \"{}\" of Secret \"{}\" is empty: give it a password", reference.key, reference.name);
                Err(Obstacle::new("PasswordEmpty", message))
            }
            None => {
                let message =
                    format!("spec.passwordSecretKeyRef.key: Secret \"{}\" has no key \"{}\": add it", reference.name, reference.key);
                Err(Obstacle::new("SecretKeyNotFound", message))
            }
        })
    }

    /// As the salt of the server's digest. It is never put into the status.
    pub(crate) fn salt(&self) -> &str {
        &self.0
    }

    /// As it stands in the status.
    fn published(&self) -> String {
        let mut hasher = sha2::Sha256::new();
        hasher.update("password ");
        hasher.update(&self.0);
        hex::encode(&hasher.finalize()[..16])
    }
}

/// Where an account's password stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It is the Secret's, with this answer of the server.
    Right(String),
    /// There is no such account.
    Missing {
        /// Whether there was one.
        was_there: bool,
    },
    /// Nothing is known of it.
    Unset,
    /// It is the one of an earlier value of the Secret.
    Changed,
    /// Somebody else has set it.
    Drifted,
}

impl State {
    pub(crate) fn of(user: &Typed<User>, observed: &Observed, digest: &Digest, went_well: bool) -> Self {
        let known = user.body.status.password.as_ref();
        let Some(server) = &observed.password else {
            return Self::Missing { was_there: known.is_some_and(|known| known.server.is_some()) };
        };
        match known {
            None => Self::Unset,
            Some(PasswordStatus { secret, server: Some(_) }) if *secret != digest.published() => Self::Changed,
            Some(PasswordStatus { server: Some(known), .. }) if known == server => Self::Right(server.clone()),
            Some(PasswordStatus { server: Some(_), .. }) => Self::Drifted,
            Some(PasswordStatus { secret, server: None }) if *secret == digest.published() && went_well => Self::Right(server.clone()),
            Some(PasswordStatus { server: None, .. }) => Self::Unset,
        }
    }
}

/// Whether the status says that a password is being set.
pub(crate) fn is_being_set(user: &Typed<User>) -> bool {
    user.body.status.password.as_ref().is_some_and(|password| password.server.is_none())
}

/// The status' fields beside the common ones, together with the work that this state needs.
pub(crate) fn status(state: &State, digest: &Digest, holds_back: bool) -> Json {
    match state {
        State::Right(server) => json!({ "password": { "secret": digest.published(), "server": server } }),
        _ if holds_back => json!({}),
        _ => json!({ "password": { "secret": digest.published() } }),
    }
}

/// The same without any work: what is known stays known, and what was being set is not.
pub(crate) fn kept(user: &Typed<User>) -> Json {
    match &user.body.status.password {
        Some(password) if password.server.is_some() => json!({ "password": password }),
        _ => json!({}),
    }
}
