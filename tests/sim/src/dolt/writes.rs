//! What has been written to a database: a list that only grows, and of which each standby and each round of replication keeps its own end.
//!
//! All but the last writes are shared, since a copy is made for every one of them.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

/// How many of the last writes are not shared.
const LAST: usize = 64;

/// Numbers that the writer chose, in order.
#[derive(Debug, Default)]
pub struct Writes {
    shared: Arc<Vec<u64>>,
    last: Vec<u64>,
}

impl Writes {
    /// One more.
    pub fn push(&mut self, write: u64) {
        self.last.push(write);
        if self.last.len() == LAST {
            Arc::make_mut(&mut self.shared).append(&mut self.last);
        }
    }

    /// From the first to the last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.shared.iter().chain(&self.last).copied()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.len() + self.last.len()
    }

    /// Whether nothing was ever written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first ones, to be hashed.
    pub(super) fn first(&self, number: usize) -> First<'_> {
        let shared = number.min(self.shared.len());
        First { shared: &self.shared[..shared], last: &self.last[..number - shared] }
    }
}

impl Clone for Writes {
    fn clone(&self) -> Self {
        let mut last = Vec::with_capacity(LAST);
        last.extend_from_slice(&self.last);
        Self { shared: self.shared.clone(), last }
    }
}

impl PartialEq for Writes {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Writes {}

/// The first writes of a database.
pub(super) struct First<'a> {
    shared: &'a [u64],
    last: &'a [u64],
}

impl Hash for First<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.shared.len() + self.last.len()).hash(state);
        Hash::hash_slice(self.shared, state);
        Hash::hash_slice(self.last, state);
    }
}
