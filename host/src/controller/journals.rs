//! The last reconciles of each slot, for people, for replays and for trying a new module against the past.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use crate::gateway::Journal;

/// Journals kept of each slot, if nobody wants another number.
const KEPT: usize = 64;

/// Recent journals by slot.
pub struct Journals {
    kept: usize,
    by_slot: Mutex<HashMap<String, VecDeque<Arc<Journal>>>>,
}

impl Default for Journals {
    fn default() -> Self {
        Self::of_last(KEPT)
    }
}

impl Journals {
    /// Keeps so many of each slot, at least one.
    pub fn of_last(kept: usize) -> Self {
        Self { kept: kept.max(1), by_slot: Mutex::default() }
    }

    /// Keeps a journal; the oldest of the slot goes.
    pub fn keep(&self, journal: Arc<Journal>) {
        let mut by_slot = self.by_slot.lock().expect("no holder of the lock can panic");
        let journals = by_slot.entry(journal.subject.reconciler.clone()).or_default();
        if journals.len() >= self.kept {
            journals.pop_front();
        }
        journals.push_back(journal);
    }

    /// The journals of a slot, oldest first.
    pub fn of(&self, slot: &str) -> Vec<Arc<Journal>> {
        self.by_slot.lock().expect("no holder of the lock can panic").get(slot).map(|j| j.iter().cloned().collect()).unwrap_or_default()
    }
}
