//! Which of several objects about one thing on a server counts: the oldest one. Who asks decides what is one thing.

use sdk::{Header, Typed};
use serde::Deserialize;

/// What is read of the metadata of an object that may be about the same thing: a field mask has to name it.
pub const CREATED: &str = "/metadata/creationTimestamp";

/// The metadata by which objects are older and younger.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Created {
    creation_timestamp: String,
}

/// An object that wants something on a server.
#[derive(Debug, Clone, Deserialize)]
pub struct Claim<S> {
    /// When it was made.
    #[serde(default)]
    pub metadata: Created,
    /// What it wants.
    pub spec: S,
}

/// Whether an object counts more than another one. Of two of the same second the one with the lesser uid does: any order will do that everybody
/// comes to.
pub fn is_older<S>(one: &Typed<Claim<S>>, other: (&Header, &str)) -> bool {
    let of = |time: &str, header: &Header| (time.to_owned(), header.uid.clone(), header.namespace.clone(), header.name.clone());
    of(&one.body.metadata.creation_timestamp, &one.header) < of(other.1, other.0)
}
