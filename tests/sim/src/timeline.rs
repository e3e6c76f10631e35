//! What is to happen, by its time, and of one moment in the order in which it was planned. It knows nothing of what happens then.

use std::{cmp::Reverse, collections::BinaryHeap};

/// When something happens, and how many were planned before it.
pub(crate) type When = (u64, u64);

/// Later than all that is planned.
pub(crate) const NEVER: When = (u64::MAX, u64::MAX);

/// What is to happen.
#[derive(Debug, Clone)]
pub(crate) struct Timeline<T> {
    heap: BinaryHeap<Reverse<Planned<T>>>,
    planned: u64,
}

#[derive(Debug, Clone)]
struct Planned<T> {
    when: When,
    what: T,
}

impl<T> Timeline<T> {
    /// Plans something.
    pub(crate) fn plan(&mut self, at: u64, what: T) {
        self.planned += 1;
        self.put((at, self.planned), what);
    }

    /// Plans something in an order that several share.
    pub(crate) fn put(&mut self, when: When, what: T) {
        self.heap.push(Reverse(Planned { when, what }));
    }

    /// When the next is; [`NEVER`] where nothing is planned.
    pub(crate) fn first(&self) -> When {
        self.heap.peek().map_or(NEVER, |Reverse(planned)| planned.when)
    }

    /// Takes the next out.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|Reverse(planned)| planned.what)
    }

    /// Forgets what does not count any more.
    pub(crate) fn retain(&mut self, counts: impl Fn(&T) -> bool) {
        self.heap.retain(|Reverse(planned)| counts(&planned.what));
    }
}

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), planned: 0 }
    }
}

impl<T> PartialEq for Planned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.when == other.when
    }
}

impl<T> Eq for Planned<T> {}

impl<T> PartialOrd for Planned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Planned<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.when.cmp(&other.when)
    }
}
