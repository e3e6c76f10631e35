//! The name of an object, however it is written down: what is kept under one is found by the other, without a copy.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{Hash, Hasher},
};

use foldhash::fast::FixedState;
use host::{contract::ObjectRef, gateway::ObjectKey};

/// What is kept under names of objects, in no order.
pub(crate) type ByName<T> = HashMap<ObjectKey, T, FixedState>;

/// A name's parts: API version, kind, namespace and name.
pub(crate) trait Name {
    fn parts(&self) -> [&str; 4];
}

impl Name for ObjectKey {
    fn parts(&self) -> [&str; 4] {
        [&self.api_version, &self.kind, &self.namespace, &self.name]
    }
}

impl Name for ObjectRef {
    fn parts(&self) -> [&str; 4] {
        [&self.api_version, &self.kind, &self.namespace, &self.name]
    }
}

impl Hash for dyn Name + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As the parts of a key are hashed: one after the other.
        self.parts().iter().for_each(|part| part.hash(state));
    }
}

impl PartialEq for dyn Name + '_ {
    fn eq(&self, other: &Self) -> bool {
        // Names differ more often than what they are in.
        self.parts().iter().rev().eq(other.parts().iter().rev())
    }
}

impl Eq for dyn Name + '_ {}

impl<'a> Borrow<dyn Name + 'a> for ObjectKey {
    fn borrow(&self) -> &(dyn Name + 'a) {
        self
    }
}
