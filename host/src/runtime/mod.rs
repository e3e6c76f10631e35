//! Runs reconcilers: the engine, the limits of a call, one fresh instance for each call, and the world's imports.
//!
//! A call is a pure function of its request and the answers of the [gateway](crate::gateway): nothing survives in an instance, clocks of
//! other interfaces stand still, random numbers are the same each time. It knows nothing of the queue, of plans' meaning, or of where
//! modules come from.

mod call;
mod engine;
mod error;
mod former;
mod guest;
mod imports;
mod log;
mod world;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::Arc,
};

use tokio::sync::Semaphore;
use wasmtime::{
    Engine,
    component::{Component, HasSelf, Linker},
};

use self::{call::Call, engine::Ticker};
pub use self::{
    error::{CallError, RuntimeError},
    guest::Guest,
};
use crate::{contract::Reconciler, settings::Limits};

/// Calls that run at the same time. Each holds an instance from the pool, also while it waits for the answer to a read; the next ones wait
/// for their turn, which is not counted as their time.
const CONCURRENT_CALLS: u32 = 64;

/// The engine with everything that guests share.
pub struct Runtime {
    shared: Arc<Shared>,
    linker: Linker<Call>,
}

/// What a guest needs of its runtime, also when the runtime itself is gone.
struct Shared {
    engine: Engine,
    limits: Limits,
    turns: Semaphore,
    ticker: Ticker,
}

impl Runtime {
    /// Sets up an engine whose guests stay within `limits`.
    ///
    /// # Errors
    /// When the engine refuses its configuration or the ticker's thread cannot be started.
    pub fn new(limits: &Limits) -> Result<Self, RuntimeError> {
        let engine = engine::pooled(limits, CONCURRENT_CALLS)?;
        let mut linker = Linker::new(&engine);
        Reconciler::add_to_linker::<_, HasSelf<Call>>(&mut linker, |call| call).map_err(RuntimeError::engine)?;
        former::add_to_linker(&mut linker).map_err(RuntimeError::engine)?;
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(RuntimeError::engine)?;
        let ticker = Ticker::start(&engine)?;
        let turns = Semaphore::new(CONCURRENT_CALLS as usize);
        Ok(Self { shared: Arc::new(Shared { engine, limits: limits.clone(), turns, ticker }), linker })
    }

    /// Maps machine code that [`compile`] made and checks that it is a component of a world that is served.
    ///
    /// The file must come from a folder that only this program, or the image that it is in, writes: what it contains is run as it is.
    ///
    /// # Errors
    /// [`RuntimeError::Code`] where the file was made by another engine or is damaged, [`RuntimeError::Version`] where the component is of
    /// a version that is not served, [`RuntimeError::World`] where it imports or exports other things than the world.
    #[expect(unsafe_code, reason = "wasmtime cannot tell whether a file of machine code is its own")]
    pub fn load(&self, cwasm: &Path) -> Result<Guest, RuntimeError> {
        // SAFETY: what is mapped is trusted as machine code, so it must be the unchanged output of wasmtime. Callers hand in files of the
        // private cache only: the folder is this user's alone (mode 0700, checked when it is opened), files appear there by rename, whole,
        // from a child of this very binary, and are never written again, so that a mapping never changes under us; or files beside the image's
        // modules, which came with this binary and which only root or this user can write (checked for each). Output of another
        // version or configuration of wasmtime is told by its header and refused as an error.
        let component = unsafe { Component::deserialize_file(&self.shared.engine, cwasm) }
            .map_err(|e| RuntimeError::Code { path: cwasm.into(), message: error::text(&e) })?;
        let world = world::of(&self.shared.engine, &component)?;
        Guest::new(Arc::clone(&self.shared), &self.linker, &component, world)
    }

    /// Compiles a component in this process, which costs some 90 MiB that do not come back: for tests and short-lived processes.
    ///
    /// # Errors
    /// When `wasm` is not a valid component.
    pub fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, RuntimeError> {
        self.shared.engine.precompile_component(wasm).map_err(|e| RuntimeError::Component { message: error::text(&e) })
    }

    /// What machine code must have been made for to load here: version and configuration of the engine, and the architecture.
    pub fn compatibility_key(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.shared.engine.precompile_compatibility_hash().hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Compiles a component for any [`Runtime`] of this binary, without setting one up.
///
/// # Errors
/// When `wasm` is not a valid component.
pub fn compile(wasm: &[u8]) -> Result<Vec<u8>, RuntimeError> {
    engine::compiler()?.precompile_component(wasm).map_err(|e| RuntimeError::Component { message: error::text(&e) })
}
