//! What is asked and answered: shared by who reads it, the record of the read, and who asks the same again and compares.

use std::{ops::Deref, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::contract::{Object, Page, Query, Rows, SqlError};

/// Something of which several have a part and that nobody changes.
#[derive(Debug)]
pub struct Shared<T>(Arc<T>);

/// An object, behind the mask with which it was asked for.
pub type Seen = Shared<Object>;
/// Queries that run at once.
pub type Queries = Shared<Vec<Query>>;
/// What databases answer to them.
pub type Answers = Shared<Vec<Result<Vec<Rows>, SqlError>>>;

impl<T: Clone> Shared<T> {
    /// It for somebody of its own, as a reconciler is.
    pub fn into_inner(self) -> T {
        Arc::unwrap_or_clone(self.0)
    }
}

impl<T> From<T> for Shared<T> {
    fn from(inner: T) -> Self {
        Self(Arc::new(inner))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Most often nothing has changed, and it is the very same.
impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from).map(Self::from)
    }
}

/// A page of objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// The objects, by namespace and name.
    pub objects: Vec<Seen>,
    /// The next page; none where there is none.
    pub next: Option<String>,
}

impl Listed {
    /// The page for somebody of its own.
    pub fn into_page(self) -> Page {
        Page { objects: self.objects.into_iter().map(Seen::into_inner).collect(), next: self.next }
    }
}
