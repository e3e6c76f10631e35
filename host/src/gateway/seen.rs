//! An object as it was read: shared by who reads it, the record of the read, and who asks the same again and compares.

use std::{ops::Deref, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::contract::{Object, Page};

/// An object, behind the mask with which it was asked for.
#[derive(Debug, Clone)]
pub struct Seen(Arc<Object>);

impl Seen {
    /// The object for somebody of its own, as a reconciler is.
    pub fn into_object(self) -> Object {
        Arc::unwrap_or_clone(self.0)
    }
}

impl From<Object> for Seen {
    fn from(object: Object) -> Self {
        Self(Arc::new(object))
    }
}

impl Deref for Seen {
    type Target = Object;

    fn deref(&self) -> &Object {
        &self.0
    }
}

/// Most often nothing has changed, and it is the very same.
impl PartialEq for Seen {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Object::deserialize(from).map(Self::from)
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
        Page { objects: self.objects.into_iter().map(Seen::into_object).collect(), next: self.next }
    }
}
