//! The last reconciles of each slot, for people, for replays and for trying a new module against the past.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use crate::gateway::Journal;

/// Journals kept of each slot.
const KEPT: usize = 64;

/// Recent journals by slot.
#[derive(Default)]
pub struct Journals {
    by_slot: Mutex<HashMap<String, VecDeque<Arc<Journal>>>>,
}

impl Journals {
    /// Keeps a journal; the oldest of the slot goes.
    pub fn keep(&self, journal: Arc<Journal>) {
        let mut by_slot = self.by_slot.lock().expect("no holder of the lock can panic");
        let journals = by_slot.entry(journal.subject.reconciler.clone()).or_default();
        if journals.len() == KEPT {
            journals.pop_front();
        }
        journals.push_back(journal);
    }

    /// The journals of a slot, oldest first.
    pub fn of(&self, slot: &str) -> Vec<Arc<Journal>> {
        self.by_slot.lock().expect("no holder of the lock can panic").get(slot).map(|j| j.iter().cloned().collect()).unwrap_or_default()
    }
}
