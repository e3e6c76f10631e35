//! What the host keeps for one call: who asks, how much has been used of each limit, and the empty world behind `wasi:*`.
//! It knows nothing of what is asked or answered.

use std::time::Duration;

use wasmtime::{ResourceLimiter, UpdateDeadline};
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, ResourceTable, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::{engine::TICK, error::Passed, log::Log};
use crate::{
    contract::Timestamp,
    gateway::{SharedGateway, Subject},
    settings::Limits,
};

/// Bytes that one import's arguments, or the plan, may have, as a multiple of `limits.logBytes`: 16 MiB with its default.
const HOST_BYTES: usize = 2_048;

/// Table elements of an instance, all tables together. Interpreters have some ten thousand.
const TABLE_ELEMENTS: usize = 200_000;

/// The state of one call, in its store.
pub(super) struct Call {
    asks: Option<(Subject, SharedGateway)>,
    limits: Limits,
    ticks: u32,
    memory: usize,
    table_elements: usize,
    reads: u32,
    now: Option<Timestamp>,
    pub(super) log: Log,
    wasi: Option<WasiCtx>,
    resources: ResourceTable,
}

impl Call {
    /// A `reconcile`.
    pub(super) fn reconcile(subject: &Subject, gateway: SharedGateway, limits: &Limits) -> Self {
        let log = Log::new(&subject.reconciler, subject.object.to_string(), limits.log_bytes);
        Self::new(Some((subject.clone(), gateway)), log, limits)
    }

    /// A `describe`, which has nobody to ask.
    pub(super) fn describe(limits: &Limits) -> Self {
        Self::new(None, Log::new("", String::new(), limits.log_bytes), limits)
    }

    fn new(asks: Option<(Subject, SharedGateway)>, log: Log, limits: &Limits) -> Self {
        let (ticks, memory, table_elements, reads) = (0, 0, 0, 0);
        let (now, wasi, resources) = (None, None, ResourceTable::new());
        Self { asks, limits: limits.clone(), ticks, memory, table_elements, reads, now, log, wasi, resources }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bytes that the guest may hand over at once.
    pub(super) fn host_bytes(&self) -> usize {
        (self.limits.log_bytes as usize).saturating_mul(HOST_BYTES)
    }

    /// What the guest said last, if it was an error: the text of a panic, for a panic hook says it before the trap.
    pub(super) fn last_words(&self) -> Option<&str> {
        self.log.last_error()
    }

    /// Counts `reads` more and says whom to ask.
    pub(super) fn read(&mut self, reads: usize) -> Result<(Subject, SharedGateway), Passed> {
        let asks = self.asks.clone().ok_or(Passed::ReadInDescribe)?;
        self.reads = self.reads.saturating_add(u32::try_from(reads).unwrap_or(u32::MAX));
        if self.reads > self.limits.reads { Err(Passed::Reads) } else { Ok(asks) }
    }

    /// The guest has its answer: its time on the CPU starts anew.
    pub(super) fn answered(&mut self) {
        self.ticks = 0;
    }

    /// The time of this call: asked for once.
    pub(super) fn now(&mut self) -> Result<Timestamp, Passed> {
        match (self.now, &self.asks) {
            (Some(now), _) => Ok(now),
            (None, Some((_, gateway))) => Ok(*self.now.insert(gateway.now())),
            (None, None) => Err(Passed::ReadInDescribe),
        }
    }

    /// The guest has been seen running. Ticks are counted rather than time measured, so that a wait, the guest's own or for a thread,
    /// costs it one tick at most.
    pub(super) fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        self.ticks += 1;
        let spent = TICK * self.ticks;
        if spent > Duration::from_millis(self.limits.cpu_ms.into()) {
            return Err(Passed::Cpu.into());
        }
        Ok(UpdateDeadline::Yield(1))
    }
}

impl ResourceLimiter for Call {
    /// All memories of an instance together. An error ends the call at once, where a refusal would look like a panic of the guest.
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.memory = self.memory.saturating_add(desired.saturating_sub(current));
        if self.memory > (self.limits.memory_mib as usize) << 20 { Err(Passed::Memory.into()) } else { Ok(true) }
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.table_elements = self.table_elements.saturating_add(desired.saturating_sub(current));
        if self.table_elements > TABLE_ELEMENTS { Err(Passed::Memory.into()) } else { Ok(true) }
    }
}

impl WasiView for Call {
    /// No files, network, environment, arguments; output goes nowhere. Made at the first use: most guests never ask.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: self.wasi.get_or_insert_with(nothing), table: &mut self.resources }
    }
}

fn nothing() -> WasiCtx {
    // A fixed seed: a hash map's order must be the same in a replay.
    let seed = || Deterministic::new(vec![0x5e, 0xed, 0x1f, 0x07, 0xa9, 0x3c, 0x88, 0x42, 0xd1, 0x64, 0x0b, 0xf7, 0x29, 0x90, 0xce]);
    WasiCtxBuilder::new()
        .secure_random(seed())
        .insecure_random(seed())
        .insecure_random_seed(0)
        .max_random_size(64 << 10)
        .wall_clock(Frozen)
        .monotonic_clock(Frozen)
        .build()
}

/// A clock that stands still. A reconciler's time is `clock.now`.
struct Frozen;

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}
