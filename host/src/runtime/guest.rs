//! A loaded reconciler: each call has a store and an instance of its own, which end with it. It knows nothing of where it came from.

use std::sync::Arc;

use wasmtime::{
    Store,
    component::{Component, Linker},
};

use super::{
    Shared,
    call::Call,
    error::{CallError, RuntimeError, text},
    former,
    world::{self, World},
};
use crate::{
    contract::{Description, Failure, Plan, Reconciler, ReconcilerPre, Request},
    gateway::{SharedGateway, Subject},
};

/// A reconciler, ready to be called, by many at once.
#[derive(Clone)]
pub struct Guest {
    shared: Arc<Shared>,
    world: World,
    pre: Pre,
}

/// A component by its world, all but instantiated.
#[derive(Clone)]
enum Pre {
    Present(ReconcilerPre<Call>),
    Former(former::ReconcilerPre<Call>),
}

/// An instance by its world.
enum Instance {
    Present(Reconciler),
    Former(former::Reconciler),
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("world", &self.world.version).finish_non_exhaustive()
    }
}

impl Guest {
    pub(super) fn new(shared: Arc<Shared>, linker: &Linker<Call>, component: &Component, world: World) -> Result<Self, RuntimeError> {
        let pre = linker.instantiate_pre(component).and_then(|pre| {
            Ok(if world == world::PRESENT { Pre::Present(ReconcilerPre::new(pre)?) } else { Pre::Former(former::ReconcilerPre::new(pre)?) })
        });
        Ok(Self { shared, world, pre: pre.map_err(|e| RuntimeError::World { message: text(&e) })? })
    }

    /// The version of the world (`controller:reconciler@…`) that it was built for.
    pub fn world(&self) -> &'static str {
        self.world.version
    }

    /// Names of the interfaces that it imports.
    pub fn imports(&self) -> Vec<String> {
        let pre = match &self.pre {
            Pre::Present(pre) => pre.instance_pre(),
            Pre::Former(pre) => pre.instance_pre(),
        };
        let component = pre.component().component_type();
        component.imports(&self.shared.engine).map(|(name, _)| name.to_owned()).collect()
    }

    /// Whether it imports interfaces that languages with a runtime of their own need. There is nothing behind them.
    pub fn imports_wasi(&self) -> bool {
        self.imports().iter().any(|name| name.starts_with(super::world::WASI))
    }

    /// Asks the reconciler what it is and needs.
    ///
    /// # Errors
    /// When it passes a limit, traps, or reads.
    pub async fn describe(&self) -> Result<Description, CallError> {
        let store = self.store(Call::describe(&self.shared.limits));
        self.run(store, async |instance, store| instance.describe(store).await).await
    }

    /// Asks the reconciler what is to be done. The inner result is its own answer.
    ///
    /// # Errors
    /// When it passes a limit or traps. The next call is not affected.
    pub async fn reconcile(
        &self,
        subject: &Subject,
        gateway: SharedGateway,
        request: &Request,
    ) -> Result<Result<Plan, Failure>, CallError> {
        let limit = self.shared.limits.effects;
        let store = self.store(Call::reconcile(subject, gateway, &self.shared.limits));
        let answer = self.run(store, async |instance, store| instance.reconcile(store, request).await).await?;
        match &answer {
            Ok(plan) if plan.effects.len().max(plan.events.len()) > limit as usize => {
                Err(CallError::Effects { effects: plan.effects.len(), events: plan.events.len(), limit })
            }
            _ => Ok(answer),
        }
    }

    fn store(&self, call: Call) -> Store<Call> {
        let host_bytes = call.host_bytes();
        let mut store = Store::new(&self.shared.engine, call);
        store.limiter(|call| call);
        store.set_hostcall_fuel(host_bytes);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| store.data_mut().tick());
        store
    }

    async fn run<T>(
        &self,
        mut store: Store<Call>,
        call: impl AsyncFnOnce(&Instance, &mut Store<Call>) -> wasmtime::Result<T>,
    ) -> Result<T, CallError> {
        // The semaphore is never closed, and without a turn there would be an instance too many, which the pool refuses.
        let _turn = self.shared.turns.acquire().await;
        let _ticking = self.shared.ticker.running();
        let answer = tokio::time::timeout(self.shared.limits.wall(), async {
            let instance = self.pre.instantiate(&mut store).await?;
            call(&instance, &mut store).await
        });
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(CallError::of(&error, store.data())),
            Err(_) => Err(CallError::Wall { limit_ms: self.shared.limits.wall_ms }),
        }
    }
}

impl Pre {
    async fn instantiate(&self, store: &mut Store<Call>) -> wasmtime::Result<Instance> {
        Ok(match self {
            Self::Present(pre) => Instance::Present(pre.instantiate_async(store).await?),
            Self::Former(pre) => Instance::Former(pre.instantiate_async(store).await?),
        })
    }
}

impl Instance {
    async fn describe(&self, store: &mut Store<Call>) -> wasmtime::Result<Description> {
        match self {
            Self::Present(guest) => guest.call_describe(store).await,
            Self::Former(guest) => former::describe(guest, store).await,
        }
    }

    async fn reconcile(&self, store: &mut Store<Call>, request: &Request) -> wasmtime::Result<Result<Plan, Failure>> {
        match self {
            Self::Present(guest) => guest.call_reconcile(store, request).await,
            Self::Former(guest) => former::reconcile(guest, store, request).await,
        }
    }
}
