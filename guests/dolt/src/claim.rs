//! Which of several objects about one thing on a server counts: the oldest one. Who asks decides what is one thing.

use crds::{API_VERSION, DoltDB};
use sdk::{Failure, Header, Selector, Typed, World};
use serde::{Deserialize, de::DeserializeOwned};

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

/// The objects of a kind that may be about a DoltDB, narrowed down by `narrow`: those of its namespace, and of all others where it allows some.
///
/// # Errors
/// When the host cannot answer.
pub fn claims<T: DeserializeOwned>(
    world: &dyn World,
    target: &Typed<DoltDB>,
    kind: &str,
    narrow: impl FnOnce(Selector) -> Selector,
) -> Result<Vec<Typed<T>>, Failure> {
    let namespace = if target.body.spec.allowed_namespaces.is_empty() { &target.header.namespace } else { "" };
    world.select_as(&narrow(Selector::new(API_VERSION, kind, namespace)))
}

/// An object's name for one that is in `namespace`.
pub fn name_for(namespace: &str, header: &Header) -> String {
    if header.namespace == namespace { header.name.clone() } else { header.qualified_name() }
}
