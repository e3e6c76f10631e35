//! The objects of the API server, kind by kind: most often somebody looks for all of one.

use std::collections::BTreeMap;

use host::gateway::ObjectKey;

use super::Kept;

/// Objects by kind, and of one kind by namespace and name.
#[derive(Debug, Clone, Default)]
pub(super) struct Objects(BTreeMap<String, BTreeMap<ObjectKey, Kept>>);

impl Objects {
    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Kept> {
        self.0.get(&key.kind)?.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &ObjectKey) -> Option<&mut Kept> {
        self.0.get_mut(&key.kind)?.get_mut(key)
    }

    pub(super) fn insert(&mut self, key: ObjectKey, kept: Kept) {
        match self.0.get_mut(&key.kind) {
            Some(of_kind) => drop(of_kind.insert(key, kept)),
            None => drop(self.0.insert(key.kind.clone(), BTreeMap::from([(key, kept)]))),
        }
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<Kept> {
        self.0.get_mut(&key.kind)?.remove(key)
    }

    /// Those of a kind, by namespace and name.
    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = (&ObjectKey, &Kept)> {
        self.0.get(kind).into_iter().flatten()
    }

    /// All of them, by kind.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Kept)> {
        self.0.values().flatten()
    }
}
