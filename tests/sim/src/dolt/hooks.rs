//! What a server knows of each of its databases on each of the others. It knows nothing of when anything is sent.

use std::sync::Arc;

use super::Content;

/// Where a primary sends: a database and a standby.
pub(crate) type Place = Arc<(String, String)>;

/// What a primary knows of one database on one standby.
#[derive(Debug, Clone, Default)]
pub(super) struct Hook {
    /// What was sent last.
    pub(super) pushed: Option<Arc<Content>>,
    /// Not before this time again.
    pub(super) next_try: u64,
    /// Failures in a row.
    pub(super) failures: u32,
    /// When it last succeeded.
    pub(super) last_success: Option<u64>,
    pub(super) error: Option<String>,
}

impl Hook {
    /// Whether the standby was given all that the primary has. `content` is none for a system database in which nothing was ever written.
    pub(super) fn is_caught_up(&self, content: Option<&Arc<Content>>) -> bool {
        self.pushed.as_ref().is_some_and(|pushed| content.is_none_or(|content| content == pushed))
    }
}

/// The hooks of a server, by their places. There are few, and they are looked for with each write.
#[derive(Debug, Clone, Default)]
pub(super) struct Hooks(Vec<(Place, Hook)>);

impl Hooks {
    /// The hook of a place.
    pub(super) fn get_mut(&mut self, place: &Place) -> Option<&mut Hook> {
        let at = self.find(place)?;
        Some(&mut self.0[at].1)
    }

    /// The hook of a place.
    pub(super) fn get(&self, place: &Place) -> Option<&Hook> {
        self.find(place).map(|at| &self.0[at].1)
    }

    /// Which one is of a place. Whoever looks for it has most often got the place from here.
    fn find(&self, place: &Place) -> Option<usize> {
        let is_it = |(other, _): &(Place, Hook)| Arc::ptr_eq(other, place);
        self.0.iter().position(is_it).or_else(|| self.search(place).ok())
    }

    /// Which one is of a place, or would be.
    fn search(&self, place: &Place) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(place))
    }

    /// Puts a new hook in a place.
    pub(super) fn insert(&mut self, place: Place, hook: Hook) {
        match self.search(&place) {
            Ok(at) => self.0[at].1 = hook,
            Err(at) => self.0.insert(at, (place, hook)),
        }
    }

    /// All of them, in the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Place, &Hook)> {
        self.0.iter().map(|(place, hook)| (place, hook))
    }

    /// All of them, in the order of their places.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&Place, &mut Hook)> {
        self.0.iter_mut().map(|(place, hook)| (&*place, hook))
    }

    /// All places, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().map(|(place, _)| place)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets those of a database.
    pub(super) fn forget(&mut self, database: &str) {
        self.0.retain(|(place, _)| place.0 != database);
    }
}
