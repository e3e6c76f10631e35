//! The table of slots: which module is active in each, which one was before, what else is on offer. Whoever reconciles takes the active
//! one as a handle and keeps it to the end of its round; a promotion is one store.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

use super::{
    Source,
    active::Active,
    admission::{Admission, Module, named},
};

/// The modules that run, by slot.
pub struct Modules {
    slots: BTreeMap<String, Slot>,
}

struct Slot {
    /// Whether the image should have a module for it.
    in_image: bool,
    active: watch::Sender<Option<Arc<Active>>>,
    rest: Mutex<Rest>,
}

#[derive(Default)]
struct Rest {
    image: Option<Arc<Module>>,
    /// Why the image's module may not run.
    refused: Option<String>,
    previous: Option<Seat>,
    offers: Vec<Offered>,
}

/// A module and the time in which it was active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seat {
    /// The module's own version.
    pub version: String,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// Where it came from.
    pub source: Source,
    /// Since when it was active.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// A module that is offered from outside of the image, as `/modules` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Offered {
    /// Where.
    pub source: Source,
    /// SHA-256 of the component, in hex; empty where there is none in it.
    pub digest: String,
    /// How it stands, in upper camel case.
    pub state: &'static str,
    /// What that means.
    pub message: String,
    /// How its plans compare with the active module's, in a line.
    pub summary: Option<String>,
    /// The same in full: objects as reconcilers saw them, so it is not for everybody.
    pub comparison: Option<serde_json::Value>,
    /// Since when it stands so.
    pub since: Timestamp,
}

/// A slot as `/modules` shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleReport {
    /// The slot, as in the settings.
    pub slot: String,
    /// What runs there.
    #[serde(flatten)]
    pub active: Option<Shown>,
    /// Why the image's module may not run, where it may not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What ran before.
    pub previous: Option<Seat>,
    /// What is on offer beside the image's module, the one that comes first first.
    pub offers: Vec<Offered>,
}

/// An active module as `/modules` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The module's own version.
    pub version: String,
    /// The version of the contract (`controller:reconciler@…`) that it was built for.
    pub world: &'static str,
    /// API version and kind that it reconciles.
    pub reconciles: String,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// Where it came from.
    pub source: Source,
    /// Since when it is active.
    pub since: Timestamp,
}

impl Modules {
    /// Loads the image's module of each slot. One that may not run leaves its slot empty, and the others do not notice.
    pub async fn load(admission: &Admission) -> Self {
        let mut slots = BTreeMap::new();
        // One after the other: the compiler has threads of its own.
        for (slot, settings) in &admission.settings().reconcilers {
            let mut rest = Rest::default();
            let image = if settings.in_image { Some(admission.from_folder(slot).await) } else { None };
            match image {
                None => tracing::info!(slot, "the slot waits for a module from outside of the image"),
                Some(Ok(module)) => rest.image = Some(Arc::new(module)),
                Some(Err(refusal)) => {
                    let message = format!("module {} {refusal}", admission.file(slot).display());
                    tracing::error!(slot, reason = refusal.reason(), message, "a module of the image may not run: its slot is empty");
                    rest.refused = Some(message);
                }
            }
            let active = rest.image.as_deref().map(|module| {
                tracing::info!(slot, digest = module.digest, version = module.description.version, "module is active");
                Arc::new(Active::new(module))
            });
            slots.insert(slot.clone(), Slot { in_image: settings.in_image, active: watch::Sender::new(active), rest: Mutex::new(rest) });
        }
        Self { slots }
    }

    /// The module that runs in a slot now.
    pub fn active(&self, slot: &str) -> Option<Arc<Active>> {
        self.slots.get(slot)?.active.borrow().clone()
    }

    /// Hears of each promotion in a slot; none where there is no such slot.
    pub fn follow(&self, slot: &str) -> Option<watch::Receiver<Option<Arc<Active>>>> {
        Some(self.slots.get(slot)?.active.subscribe())
    }

    /// The image's module of a slot, if it may run.
    pub fn image(&self, slot: &str) -> Option<Arc<Module>> {
        self.rest(slot)?.image.clone()
    }

    /// Why the image's module of a slot may not run, where it may not.
    pub fn refused(&self, slot: &str) -> Option<String> {
        self.rest(slot)?.refused.clone()
    }

    /// Makes a module the active one of its slot, or leaves the slot empty. From the next round on it decides.
    pub fn promote(&self, slot: &str, module: Option<&Module>) -> Option<Arc<Active>> {
        let place = self.slots.get(slot)?;
        let next = module.map(|module| Arc::new(Active::new(module)));
        let former = place.active.send_replace(next.clone());
        if let Some(former) = former {
            let seat = Seat {
                version: former.description.version.clone(),
                digest: former.digest.clone(),
                source: former.source.clone(),
                since: former.since,
                until: Timestamp::now(),
            };
            place.rest.lock().expect("no holder of the lock can panic").previous = Some(seat);
        }
        next
    }

    /// Shows what is on offer for a slot.
    pub fn offer(&self, slot: &str, offers: Vec<Offered>) {
        if let Some(mut rest) = self.rest(slot) {
            rest.offers = offers;
        }
    }

    /// The module that ran before the active one.
    pub fn previous(&self, slot: &str) -> Option<Seat> {
        self.rest(slot)?.previous.clone()
    }

    /// Digests of all modules that run, have run last, or may run next.
    pub fn digests(&self) -> Vec<String> {
        let of = |slot: &Slot| {
            let rest = slot.rest.lock().expect("no holder of the lock can panic");
            let active = slot.active.borrow().as_ref().map(|active| active.digest.clone());
            let image = rest.image.as_ref().map(|image| image.digest.clone());
            let previous = rest.previous.as_ref().map(|seat| seat.digest.clone());
            let offers = rest.offers.iter().map(|offer| offer.digest.clone()).filter(|digest| !digest.is_empty());
            offers.chain(active).chain(image).chain(previous).collect::<Vec<_>>()
        };
        self.slots.values().flat_map(of).collect()
    }

    /// Slots without a module that should have one.
    pub fn empty(&self) -> Vec<String> {
        self.slots.iter().filter(|(_, slot)| slot.in_image && slot.active.borrow().is_none()).map(|(name, _)| name.clone()).collect()
    }

    /// Every slot, in order. Comparisons in full show objects: only `whole` has them.
    pub fn report(&self, whole: bool) -> Vec<ModuleReport> {
        self.slots.iter().map(|(name, slot)| slot.report(name, whole)).collect()
    }

    fn rest(&self, slot: &str) -> Option<std::sync::MutexGuard<'_, Rest>> {
        Some(self.slots.get(slot)?.rest.lock().expect("no holder of the lock can panic"))
    }
}

impl Slot {
    fn report(&self, name: &str, whole: bool) -> ModuleReport {
        let rest = self.rest.lock().expect("no holder of the lock can panic");
        let mut offers = rest.offers.clone();
        if !whole {
            offers.iter_mut().for_each(|offer| offer.comparison = None);
        }
        ModuleReport {
            slot: name.into(),
            active: self.active.borrow().as_deref().map(Active::shown),
            refused: rest.refused.clone(),
            previous: rest.previous.clone(),
            offers,
        }
    }
}

impl Active {
    fn shown(&self) -> Shown {
        Shown {
            version: self.description.version.clone(),
            world: self.guest.world(),
            reconciles: named(&self.description.reconciles),
            digest: self.digest.clone(),
            source: self.source.clone(),
            since: self.since,
        }
    }
}
