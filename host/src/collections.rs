//! Maps and sets of what is looked up at every round: their order means nothing, and their hash is a quick one.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// What is kept by a key.
pub(crate) type Map<K, V> = HashMap<K, V, RandomState>;
/// What there is.
pub(crate) type Set<T> = HashSet<T, RandomState>;
