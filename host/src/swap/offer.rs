//! What is offered, what its author wants to be done with it, and how it stands. It knows nothing of annotations.

use std::sync::Arc;

use jiff::Timestamp;

use crate::module::{Parcel, Refusal};

/// Fewer digits of a digest name nothing.
const DIGITS: usize = 12;

/// A module on offer for a slot.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Unique in its source.
    pub name: String,
    /// The offering object's uid.
    pub uid: String,
    /// The slot that it is for.
    pub slot: String,
    /// Of two offers the newer one counts.
    pub created: Timestamp,
    /// What is in it.
    pub content: Result<Content, Arc<Refusal>>,
    /// What its author wants.
    pub wishes: Wishes,
    /// What was told of it last, maybe by another process.
    pub past: Option<Past>,
}

/// A module's bytes.
#[derive(Debug, Clone)]
pub struct Content {
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// As it arrived.
    pub parcel: Parcel,
}

/// What an offer's author wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// When to promote.
    pub policy: Policy,
    /// The digest that is approved, in whole or its first digits.
    pub approved: Option<String>,
    /// The digest that must not run, in whole or its first digits.
    pub rollback: Option<String>,
}

/// When a module is promoted that has been tried and did not fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// By itself when all of its plans were those of the active module; otherwise when it is approved.
    #[default]
    Equal,
    /// By itself.
    Always,
    /// When it is approved.
    Approve,
}

impl Policy {
    /// The policy of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, Refusal> {
        match name {
            "equal" => Ok(Self::Equal),
            "always" => Ok(Self::Always),
            "approve" => Ok(Self::Approve),
            other => Err(Refusal::Wish(format!("has the policy {other:?}, which is none of equal, always, approve"))),
        }
    }
}

/// What a former process, or a former leader, has made of an offer: what was proved need not be proved again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// The digest that it is about.
    pub digest: String,
    /// As in [`Standing::state`].
    pub state: String,
    /// As in [`Standing::message`].
    pub message: String,
}

/// How an offer stands, for its author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// In upper camel case; one of the constants here.
    pub state: &'static str,
    /// In upper camel case: which check failed, where one has.
    pub reason: Option<&'static str>,
    /// What that means, and what to do.
    pub message: String,
    /// SHA-256 of the component, in hex; empty where there is none.
    pub digest: String,
    /// How its plans compare with those of the active module, in a line.
    pub summary: Option<String>,
}

impl Standing {
    /// It is on its way from a registry.
    pub const FETCHING: &str = "Fetching";
    /// It is being admitted or tried.
    pub const CHECKING: &str = "Checking";
    /// It may not run.
    pub const REFUSED: &str = "Refused";
    /// It waits for its author's approval.
    pub const WAITING: &str = "Waiting";
    /// It runs, and is watched closely.
    pub const PROBATION: &str = "Probation";
    /// It runs.
    pub const ACTIVE: &str = "Active";
    /// A newer offer comes before it.
    pub const SUPERSEDED: &str = "Superseded";
    /// It ran, or would, and must not any more.
    pub const ROLLED_BACK: &str = "RolledBack";
}

/// Whether what a person wrote names this digest.
pub(super) fn names(written: Option<&str>, digest: &str) -> bool {
    let written = written.map(|w| w.trim().trim_start_matches("sha256:")).unwrap_or_default();
    written.len() >= DIGITS && digest.starts_with(written)
}

/// A digest as people write it.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..DIGITS).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(Some("0123456789ab"), true)]
    #[case(Some(" sha256:0123456789abcdef "), true)]
    #[case(Some("0123456789a"), false)]
    #[case(Some("0123456789ac"), false)]
    #[case(Some("true"), false)]
    #[case(Some(""), false)]
    #[case(None, false)]
    fn a_digest_is_named_by_enough_of_its_digits(#[case] written: Option<&str>, #[case] expected: bool) {
        assert_eq!(names(written, "0123456789abcdef"), expected);
    }
}
