//! The engine's configuration and the clock by which it interrupts guests. It knows nothing of what guests do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use wasmtime::{Config, Enabled, Engine, PoolingAllocationConfig};

use super::error::RuntimeError;
use crate::settings::Limits;

/// How often a running guest is interrupted: to count its time and to let others run on its thread.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Ticks without a guest after which the clock stands still. Guests that follow each other need not wake it each time.
const IDLE: u32 = 100;

/// The stack of a guest, in bytes. Deeper recursion ends the call.
pub(super) const STACK: usize = 512 << 10;

/// What one component may consist of. A Rust guest has 3 core instances, 2 tables and 1 memory; interpreters with their shared libraries
/// have up to a hundred.
mod shape {
    pub(super) const CORE_INSTANCES: u32 = 100;
    pub(super) const TABLES: u32 = 50;
    pub(super) const TABLE_ELEMENTS: usize = 50_000;
    pub(super) const MEMORIES: u32 = 2;
}

/// An engine that takes instances from a pool of `calls` places.
///
/// Measured against allocation on demand, a call takes a fifth less time, and several at once don't wait for each other in the kernel.
/// The pool costs address space only: a component of any allowed shape fits in each place, so it cannot run dry before the calls do.
pub(super) fn pooled(limits: &Limits, calls: u32) -> Result<Engine, RuntimeError> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_stacks(calls)
        .max_core_instances_per_component(shape::CORE_INSTANCES)
        .total_core_instances(calls * shape::CORE_INSTANCES)
        .max_tables_per_component(shape::TABLES)
        .max_tables_per_module(shape::TABLES)
        .total_tables(calls * shape::TABLES)
        .table_elements(shape::TABLE_ELEMENTS)
        .max_memories_per_component(shape::MEMORIES)
        .max_memories_per_module(shape::MEMORIES)
        .total_memories(calls * shape::MEMORIES)
        .max_memory_size((limits.memory_mib as usize) << 20)
        .max_unused_warm_slots(16)
        .linear_memory_keep_resident(1 << 20)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = code()?;
    config.allocation_strategy(pool);
    Engine::new(&config).map_err(RuntimeError::engine)
}

/// An engine that only compiles. Its code is the same as that of [`pooled`]: where instances are allocated makes no difference to it.
pub(super) fn compiler() -> Result<Engine, RuntimeError> {
    Engine::new(&code()?).map_err(RuntimeError::engine)
}

/// What machine code depends on. No limit of the settings is in it, so code compiled once is good for every setting; and no feature that
/// some processors of the architecture lack, so code in an image is good on every node.
fn code() -> Result<Config, RuntimeError> {
    let mut config = Config::new();
    // Named, so that nothing is inferred from the machine that compiles.
    config.target(&format!("{}-unknown-linux-gnu", std::env::consts::ARCH)).map_err(RuntimeError::engine)?;
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK)
        // The same request and answers must give the same plan on every machine. Threads are not compiled in at all.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    Ok(config)
}

/// Advances the engine's epoch each [`TICK`], as long as a guest runs. A thread rather than a task: a busy executor must not stop the clock
/// that limits who keeps it busy. It sleeps a tick after each tick, so that after a pause it does not make up for lost ticks at once.
pub(super) struct Ticker {
    shared: Arc<Clock>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Clock {
    stop: AtomicBool,
    running: AtomicUsize,
    /// The thread waits to be woken, or is about to. Set before it looks for guests for the last time, and read after a guest is counted.
    asleep: AtomicBool,
}

/// A guest that runs, until it is dropped.
pub(super) struct Running<'a>(&'a AtomicUsize);

impl Ticker {
    pub(super) fn start(engine: &Engine) -> Result<Self, RuntimeError> {
        let shared = Arc::new(Clock::default());
        let (engine, clock) = (engine.clone(), Arc::clone(&shared));
        let tick = move || {
            let mut idle = 0;
            while !clock.stop.load(Ordering::SeqCst) {
                idle = if clock.running.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
                if idle < IDLE {
                    std::thread::park_timeout(TICK);
                    engine.increment_epoch();
                    continue;
                }
                // At rest nothing wakes the processor a hundred times a second.
                clock.asleep.store(true, Ordering::SeqCst);
                while clock.running.load(Ordering::SeqCst) == 0 && !clock.stop.load(Ordering::SeqCst) {
                    std::thread::park();
                }
                clock.asleep.store(false, Ordering::SeqCst);
            }
        };
        let thread = std::thread::Builder::new()
            .name("guest-ticker".into())
            .spawn(tick)
            .map_err(|e| RuntimeError::Engine { message: format!("cannot start the ticker's thread: {e}") })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Ticks until this is dropped, and for a while longer.
    pub(super) fn running(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
        Running(&self.shared.running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does nothing that could panic, and there would be nobody to tell.
            let _ = thread.join();
        }
    }
}
