//! Reconcilers as the components that are shipped, in the place of the native functions: in the host's own runtime, on the thread of the run.
//!
//! Their time is virtual, as all time is. Only the ticks by which the runtime counts a guest's time are real: a guest that one of them has
//! interrupted goes on at once, before anybody else has a turn, so that a run does not depend on how fast the machine is.

use std::{
    env, fs,
    future::{Future, poll_fn},
    path::Path,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use async_trait::async_trait;
use host::{
    contract::{Failure, Plan, Request},
    controller::Decide,
    gateway::{SharedGateway, Subject},
    runtime::{CallError, Guest, Runtime, compile},
    settings::Limits,
};

use crate::moment::Sim;

/// A reconciler, as a component, in a simulated world.
pub(crate) struct Component {
    guest: Guest,
    sim: Arc<Sim>,
    digest: String,
}

impl Component {
    /// The component of this slot; compiled once for the process.
    pub(crate) fn of(slot: &str, sim: &Arc<Sim>, digest: &str) -> Self {
        static GUESTS: OnceLock<Vec<(&'static str, Guest)>> = OnceLock::new();
        let guests = GUESTS.get_or_init(|| crate::host::SLOTS.map(|(name, _)| (name, shipped(name))).to_vec());
        let (_, guest) = guests.iter().find(|(name, _)| *name == slot).expect("all slots have a component");
        Self { guest: guest.clone(), sim: sim.clone(), digest: digest.into() }
    }
}

fn shipped(name: &str) -> Guest {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let folder =
        env::var_os("MODULES_DIR").expect("MODULES_DIR is the folder of the components: `cargo xtask guests` builds them and prints it");
    let file = Path::new(&folder).join(format!("{name}.wasm"));
    let component = fs::read(&file).unwrap_or_else(|e| panic!("cannot read {}: {e}", file.display()));
    let code = compile(&component).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let place = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(place.path(), code).expect("a temporary file is writable");
    let runtime = RUNTIME.get_or_init(|| Runtime::new(&Limits::default()).expect("the runtime starts with its own limits"));
    // What is mapped stays when the file is gone.
    runtime.load(place.path()).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

#[async_trait]
impl Decide for Component {
    fn digest(&self) -> &str {
        &self.digest
    }

    async fn decide(&self, subject: &Subject, gateway: SharedGateway, request: &Request) -> Result<Result<Plan, Failure>, CallError> {
        self.sim.at_now().on_round(&subject.object, &self.digest);
        without_turns(self.guest.reconcile(subject, gateway, request)).await
    }
}

/// Whoever waits, and whether it was woken.
struct Woken {
    waker: Waker,
    woken: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.waker.wake_by_ref();
    }
}

/// What gives others a turn without waiting for anything is asked again at once.
async fn without_turns<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|context| {
        loop {
            let woken = Arc::new(Woken { waker: context.waker().clone(), woken: AtomicBool::new(false) });
            let polled = future.as_mut().poll(&mut Context::from_waker(&Waker::from(woken.clone())));
            if polled.is_ready() || !woken.woken.load(Ordering::SeqCst) {
                return polled;
            }
        }
    })
    .await
}
