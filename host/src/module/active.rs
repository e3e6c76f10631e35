//! A module in its slot, and how it fares there. It knows nothing of what follows from that.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::{Module, Source};
use crate::{contract::Description, runtime::Guest};

/// A module that runs in a slot, since its promotion.
#[derive(Debug)]
pub struct Active {
    /// The slot, as in the settings.
    pub slot: String,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// Where it came from.
    pub source: Source,
    /// The component, ready to be called.
    pub guest: Guest,
    /// What it says of itself.
    pub description: Description,
    /// Since when it is active.
    pub since: Timestamp,
    rounds: AtomicU64,
    failures: AtomicU64,
    faults: AtomicU64,
    last_fault: Mutex<Option<String>>,
    news: Notify,
}

/// How a round ended, as far as the module that decided in it is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fared {
    /// With a plan that was applied.
    Well,
    /// Without, which may have many causes outside of the module: it could not decide, took too long, or an effect failed.
    Failed,
    /// By the module's own fault: it trapped, passed a limit, or wanted more than it is granted. Says what.
    AtFault(String),
}

/// Rounds since a promotion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// All.
    pub rounds: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that ended by the module's fault.
    pub faults: u64,
}

impl Active {
    pub(super) fn new(module: &Module) -> Self {
        Self {
            slot: module.slot.clone(),
            digest: module.digest.clone(),
            source: module.source.clone(),
            guest: module.guest.clone(),
            description: module.description.clone(),
            since: Timestamp::now(),
            rounds: AtomicU64::default(),
            failures: AtomicU64::default(),
            faults: AtomicU64::default(),
            last_fault: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// Takes note of how a round ended.
    pub fn fared(&self, fared: &Fared) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        match fared {
            Fared::Well => return,
            Fared::Failed => drop(self.failures.fetch_add(1, Ordering::Relaxed)),
            Fared::AtFault(what) => {
                self.last_fault.lock().expect("no holder of the lock can panic").replace(what.clone());
                self.faults.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.news.notify_one();
    }

    /// The rounds so far.
    pub fn tally(&self) -> Tally {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Tally { rounds: count(&self.rounds), failures: count(&self.failures), faults: count(&self.faults) }
    }

    /// What the last fault was.
    pub fn last_fault(&self) -> Option<String> {
        self.last_fault.lock().expect("no holder of the lock can panic").clone()
    }

    /// Ready when a round has not ended well. For one who waits.
    pub async fn trouble(&self) {
        self.news.notified().await;
    }
}
