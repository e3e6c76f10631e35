//! The name of an object as a key. There are many of each, so they share their text.

use std::{fmt, ops::Deref, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::contract::{Header, ObjectRef};

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Parts", into = "Parts")]
pub struct ObjectKey(Arc<Parts>);

/// What a name is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Parts {
    /// As in a manifest: `apps/v1`.
    pub api_version: String,
    /// In upper camel case.
    pub kind: String,
    /// Empty for a cluster-scoped object.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl ObjectKey {
    /// The key of an object.
    pub fn new(api_version: impl Into<String>, kind: impl Into<String>, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Parts { api_version: api_version.into(), kind: kind.into(), namespace: namespace.into(), name: name.into() }.into()
    }
}

impl Deref for ObjectKey {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl From<Parts> for ObjectKey {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl From<ObjectKey> for Parts {
    fn from(key: ObjectKey) -> Self {
        Arc::unwrap_or_clone(key.0)
    }
}

impl From<&ObjectRef> for ObjectKey {
    fn from(r: &ObjectRef) -> Self {
        Self::new(&r.api_version, &r.kind, &r.namespace, &r.name)
    }
}

impl From<&Header> for ObjectKey {
    fn from(header: &Header) -> Self {
        Self::new(&header.api_version, &header.kind, &header.namespace, &header.name)
    }
}

impl From<&ObjectKey> for ObjectRef {
    fn from(k: &ObjectKey) -> Self {
        Self { api_version: k.api_version.clone(), kind: k.kind.clone(), namespace: k.namespace.clone(), name: k.name.clone() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}
