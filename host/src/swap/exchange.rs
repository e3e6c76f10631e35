//! The exchange: a desk for each slot, offers from their source to the desks, and what the desks say back to the authors.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    Source,
    desk::{Desk, News},
    offer::{Offer, Standing},
    shadow::Stage,
};
use crate::{
    metrics::Metrics,
    module::{Admission, Modules, Refusal},
};

/// The desk of offers for slots that there are not. It has nothing to promote to.
const STRAY: &str = "";

/// Swaps modules until it is dropped.
pub struct Exchange {
    desks: BTreeMap<String, mpsc::UnboundedSender<News>>,
    settled: Vec<watch::Receiver<bool>>,
    tasks: JoinSet<()>,
}

impl Exchange {
    /// Starts with what `source` offers. Until [`Exchange::lead`] only what was active before becomes active again.
    pub fn start(admission: Arc<Admission>, modules: Arc<Modules>, metrics: &Metrics, source: Arc<dyn Source>) -> Self {
        let mut tasks = JoinSet::new();
        let (telling, mut told) = mpsc::unbounded_channel::<(Offer, Standing)>();
        let (mut desks, mut settled) = (BTreeMap::new(), Vec::new());
        let slots: Vec<String> = admission.settings().reconcilers.keys().cloned().chain([STRAY.to_owned()]).collect();
        for slot in slots {
            let desk = Desk::new(&slot, admission.clone(), modules.clone(), metrics.clone(), telling.clone());
            settled.push(desk.settled.subscribe());
            let (news, hears) = mpsc::unbounded_channel();
            desks.insert(slot, news);
            tasks.spawn(desk.run(hears));
        }
        tasks.spawn({
            let source = source.clone();
            async move {
                while let Some((offer, standing)) = told.recv().await {
                    source.tell(&offer, &standing).await;
                }
            }
        });
        tasks.spawn({
            let desks = desks.clone();
            async move {
                while let Some(offers) = source.offers().await {
                    distribute(offers, &desks);
                }
            }
        });
        Self { desks, settled, tasks }
    }

    /// Waits until every offer that was active before is so again, for `patience` at most. Gives whether it is so.
    pub async fn settled(&self, patience: Duration) -> bool {
        let all = self.settled.iter().map(|settled| {
            let mut settled = settled.clone();
            async move { settled.wait_for(|settled| *settled).await.is_ok() }
        });
        tokio::time::timeout(patience, futures::future::join_all(all)).await.is_ok()
    }

    /// From now on this process decides what is promoted.
    pub fn lead(&self, stage: &Stage) {
        self.desks.values().for_each(|desk| drop(desk.send(News::Lead(stage.clone()))));
    }

    /// Ready when a part of it has ended, which none should.
    pub async fn ended(&mut self) {
        self.tasks.join_next().await;
    }
}

/// To each desk what is on offer there, also where that is nothing any more.
fn distribute(offers: Vec<Offer>, desks: &BTreeMap<String, mpsc::UnboundedSender<News>>) {
    let mut by_slot: BTreeMap<&str, Vec<Offer>> = desks.keys().map(|slot| (slot.as_str(), Vec::new())).collect();
    let slots: Vec<String> = desks.keys().filter(|slot| *slot != STRAY).cloned().collect();
    for mut offer in offers {
        let slot = if slots.contains(&offer.slot) { offer.slot.clone() } else { STRAY.to_owned() };
        if slot == STRAY {
            offer.content = Err(Arc::new(Refusal::Slot { slot: offer.slot.clone(), slots: slots.clone() }));
        }
        if let Some(list) = by_slot.get_mut(slot.as_str()) {
            list.push(offer);
        }
    }
    for (slot, offers) in by_slot {
        if let Some(desk) = desks.get(slot) {
            let _ = desk.send(News::Offers(offers));
        }
    }
}
