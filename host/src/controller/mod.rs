//! Controllers: for each slot a queue of objects, workers, and rounds. A round observes, lets the reconciler decide, checks the plan,
//! applies it in order, and is followed by another round until nothing changes.
//!
//! Knows nothing of WebAssembly and nothing of databases: it sees a [`Reconcile`] and a [`Gateway`](crate::gateway::Gateway).

mod backoff;
mod journals;
mod memory;
mod queue;
mod round;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc::UnboundedReceiver;

use self::memory::Memory;
pub use self::{
    journals::Journals,
    queue::{Queue, Wake},
};
use crate::{
    cluster::Index,
    collections::Map,
    contract::{Failure, Kind, Plan, Request, Selection},
    gateway::{Listed, ObjectKey, SharedGateway, Subject},
    metrics::Metrics,
    module::Fared,
    plan::{Granted, Reach},
    runtime::CallError,
    settings::{Limits, Reconciler},
};

/// Where a controller finds who decides.
pub trait Reconcile: Send + Sync + 'static {
    /// Who decides now. A round asks once and holds on to the answer, so that the digest in its journal is that of who decided.
    fn active(&self) -> Option<Arc<dyn Decide>>;
}

/// Whatever decides: a component in its sandbox, or the same code natively in a test.
#[async_trait]
pub trait Decide: Send + Sync + 'static {
    /// The digest of the module.
    fn digest(&self) -> &str;

    /// One decision.
    ///
    /// # Errors
    /// When the call was ended by a limit or a trap; inside, when the reconciler could not decide.
    async fn decide(&self, subject: &Subject, gateway: SharedGateway, request: &Request) -> Result<Result<Plan, Failure>, CallError>;

    /// Takes note of how a round came out in which it decided.
    fn fared(&self, fared: &Fared) {
        let _ = fared;
    }
}

/// What the controllers of one host share.
#[derive(Clone)]
pub struct Shared {
    /// The world, not yet narrowed by a grant.
    pub world: SharedGateway,
    /// Who has read what.
    pub index: Arc<Mutex<Index>>,
    /// Recent reconciles.
    pub journals: Arc<Journals>,
    /// Limits of calls and plans.
    pub limits: Limits,
    /// Where figures go.
    pub metrics: Metrics,
}

/// The controller of one slot.
pub struct Controller {
    name: String,
    slot: Arc<Reconciler>,
    reach: Reach,
    granted: SharedGateway,
    reconciler: Arc<dyn Reconcile>,
    queue: Queue,
    memory: Mutex<Map<ObjectKey, Memory>>,
    shared: Shared,
}

impl Controller {
    /// A controller that does nothing until [`Controller::run`].
    pub fn new(name: &str, slot: Reconciler, reconciler: Arc<dyn Reconcile>, shared: Shared) -> Self {
        let slot = Arc::new(slot);
        let reach = Reach::new(slot.clone());
        let granted = Arc::new(Granted::new(shared.world.clone(), reach.clone()));
        Self { name: name.into(), slot, reach, granted, reconciler, queue: Queue::default(), memory: Mutex::default(), shared }
    }

    /// Asks for a reconcile of an object.
    pub fn wake(&self, object: &ObjectKey, wake: Wake) {
        self.queue.wake(object, wake);
    }

    /// Looks at every object again, because somebody else decides now. What is under way comes to its end first, and is looked at again too.
    pub async fn wake_all(&self) {
        let kind = Kind { api_version: self.slot.reconciles.api_version.clone(), kind: self.slot.reconciles.kind.clone() };
        let nobody = ObjectKey::new(&kind.api_version, &kind.kind, "", "");
        let subject = Subject { reconciler: self.name.clone(), object: nobody, uid: String::new() };
        let mut selection =
            Selection { kind, namespace: String::new(), labels: vec![], fields: vec!["/metadata/uid".into()], limit: 0, page: None };
        loop {
            match self.shared.world.select(&subject, &selection).await {
                Ok(Listed { objects, next }) => {
                    objects.iter().for_each(|object| self.wake(&ObjectKey::from(&object.header), Wake::Change));
                    selection.page = next;
                }
                // Without a list there are no objects yet that anybody has decided about: they will come as changes.
                Err(error) => return tracing::warn!(reconciler = self.name, %error, "the objects cannot be listed, to be looked at again"),
            }
            if selection.page.is_none() {
                return;
            }
        }
    }

    /// Whether objects of this kind are reconciled here.
    pub fn reconciles(&self, object: &ObjectKey) -> bool {
        self.slot.reconciles.api_version == object.api_version && self.slot.reconciles.kind == object.kind
    }

    /// Objects that wait for a worker.
    pub fn depth(&self) -> usize {
        self.queue.depth()
    }

    /// Reconciles until the task is dropped.
    pub async fn run(self: Arc<Self>) {
        let workers = (0..self.slot.workers.max(1)).map(|_| {
            let controller = self.clone();
            async move {
                loop {
                    let (object, wake, waited) = controller.queue.next().await;
                    controller.shared.metrics.queue_wait(&controller.name, waited);
                    controller.shared.metrics.queue_depth(&controller.name, controller.queue.depth());
                    controller.process(&object, wake).await;
                    controller.queue.done(&object);
                }
            }
        });
        // Only who is woken is asked.
        let mut workers: FuturesUnordered<_> = workers.collect();
        while workers.next().await.is_some() {}
    }
}

/// From tasks that have ended to the objects that they belong to. Does not end.
pub async fn follow(mut ended: UnboundedReceiver<Subject>, controllers: HashMap<String, Arc<Controller>>) {
    while let Some(subject) = ended.recv().await {
        if let Some(controller) = controllers.get(&subject.reconciler) {
            controller.wake(&subject.object, Wake::Change);
        }
    }
    // Without anybody who could start a task the host is shutting down.
    std::future::pending().await
}
