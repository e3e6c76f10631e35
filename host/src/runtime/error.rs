//! What can go wrong with a guest, in terms of what to do about it. It knows nothing of events or conditions beyond a name for each case.

use std::path::PathBuf;

use wasmtime::{Trap, WasmBacktrace};

use super::{call::Call, engine};

/// The engine, or a component before its first call.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine cannot be set up.
    #[error("cannot set up the engine: {message}")]
    Engine {
        /// Why.
        message: String,
    },
    /// Not a valid component.
    #[error("not a valid component: {message}")]
    Component {
        /// Where it breaks the rules.
        message: String,
    },
    /// Machine code that this engine does not take: made by another version or configuration, or damaged.
    #[error("cannot load machine code {path}: {message}")]
    Code {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A component of another world.
    #[error("not a component of the world controller:reconciler/reconciler: {message}")]
    World {
        /// What it imports or lacks.
        message: String,
    },
    /// A component of a version of the world that is not served.
    #[error("of version {version} of the world, and this host runs {served}")]
    Version {
        /// Of the component.
        version: String,
        /// Those of this host.
        served: String,
    },
}

impl RuntimeError {
    /// The versions of the world that this host runs, for people.
    pub fn served() -> String {
        super::world::SERVED.map(|world| world.version).join(" and ")
    }

    pub(super) fn engine(error: wasmtime::Error) -> Self {
        Self::Engine { message: text(&error) }
    }
}

/// A call that gave no answer. The instance is gone; the next call has a fresh one.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It wanted more memory than an instance may have.
    #[error("more than {limit_mib} MiB of memory")]
    Memory {
        /// `limits.memoryMib`.
        limit_mib: u32,
    },
    /// It ran for too long without reading anything.
    #[error("more than {limit_ms} ms on the CPU without a read")]
    Cpu {
        /// `limits.cpuMs`.
        limit_ms: u32,
    },
    /// The whole call, waiting for reads included, took too long.
    #[error("longer than {limit_ms} ms")]
    Wall {
        /// `limits.wallMs`.
        limit_ms: u32,
    },
    /// It read more often than a reconcile may.
    #[error("more than {limit} reads")]
    Reads {
        /// `limits.reads`.
        limit: u32,
    },
    /// Its plan has more effects, or more events, than a plan may.
    #[error("a plan with {effects} effects and {events} events, of each at most {limit}")]
    Effects {
        /// In the plan.
        effects: usize,
        /// In the plan.
        events: usize,
        /// `limits.effects`.
        limit: u32,
    },
    /// One call of an import, or the answer, carries more than the host is willing to hold.
    #[error("more than {limit_kib} KiB handed to the host at once")]
    TooLarge {
        /// Follows from `limits.logBytes`.
        limit_kib: u32,
    },
    /// It recurses too deep.
    #[error("more than {limit_kib} KiB of stack, in {}", innermost(frames))]
    Stack {
        /// Fixed.
        limit_kib: u32,
        /// Functions, innermost first.
        frames: Vec<String>,
    },
    /// It panicked, and said why.
    #[error("{message}")]
    Panic {
        /// The panic's text.
        message: String,
        /// Functions, innermost first.
        frames: Vec<String>,
    },
    /// It did what WebAssembly forbids, or aborted without a word.
    #[error("{message}, in {}", innermost(frames))]
    Trap {
        /// The engine's word for it.
        message: String,
        /// Functions, innermost first.
        frames: Vec<String>,
    },
    /// `describe` asked for something: a description cannot depend on the world.
    #[error("describe() reads")]
    ReadInDescribe,
    /// There is nothing to call.
    #[error("slot {slot} has no module")]
    NoModule {
        /// The reconciler's slot.
        slot: String,
    },
}

impl CallError {
    /// A name for the case in upper camel case, for an event or a condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Memory { .. } => "MemoryLimit",
            Self::Cpu { .. } => "CpuLimit",
            Self::Wall { .. } => "TimeLimit",
            Self::Reads { .. } => "ReadLimit",
            Self::Effects { .. } => "EffectLimit",
            Self::TooLarge { .. } => "SizeLimit",
            Self::Stack { .. } => "StackLimit",
            Self::Panic { .. } => "Panicked",
            Self::Trap { .. } => "Trapped",
            Self::ReadInDescribe => "ReadInDescribe",
            Self::NoModule { .. } => "NoModule",
        }
    }

    /// Functions that were running, innermost first, where the case has them.
    pub fn frames(&self) -> &[String] {
        match self {
            Self::Stack { frames, .. } | Self::Panic { frames, .. } | Self::Trap { frames, .. } => frames,
            _ => &[],
        }
    }

    /// Says which limit or fault ended the call.
    pub(super) fn of(error: &wasmtime::Error, call: &Call) -> Self {
        let limits = call.limits();
        if let Some(passed) = error.downcast_ref::<Passed>() {
            return match passed {
                Passed::Memory => Self::Memory { limit_mib: limits.memory_mib },
                Passed::Cpu => Self::Cpu { limit_ms: limits.cpu_ms },
                Passed::Reads => Self::Reads { limit: limits.reads },
                Passed::ReadInDescribe => Self::ReadInDescribe,
            };
        }
        let frames = frames(error);
        match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => Self::Stack { limit_kib: (engine::STACK >> 10) as u32, frames },
            Some(trap) => match call.last_words() {
                Some(message) if *trap == Trap::UnreachableCodeReached => Self::Panic { message: message.into(), frames },
                _ => Self::Trap { message: trap.to_string(), frames },
            },
            // The engine's own type for it is private.
            None if text(error).contains("fuel allocated for hostcalls") => Self::TooLarge { limit_kib: (call.host_bytes() >> 10) as u32 },
            None => Self::Trap { message: text(error), frames },
        }
    }
}

/// Limits that the host's side of a call notices. It ends the call as a trap.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum Passed {
    #[error("memory limit")]
    Memory,
    #[error("cpu limit")]
    Cpu,
    #[error("read limit")]
    Reads,
    #[error("read in describe")]
    ReadInDescribe,
}

/// An error with its causes, in one line, without the backtrace.
pub(super) fn text(error: &wasmtime::Error) -> String {
    let causes = error.chain().map(ToString::to_string).filter(|c| !c.starts_with("error while executing at wasm backtrace"));
    causes.collect::<Vec<_>>().join(": ")
}

/// The functions of a backtrace. A component keeps its functions' names, so this is what its author reads.
fn frames(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    // The names are demangled by its `Display` only: `  0: 0x85d3 - guest.wasm!guest::nested_panic`.
    backtrace.to_string().lines().filter_map(|line| Some(line.split_once('!')?.1.to_owned())).collect()
}

fn innermost(frames: &[String]) -> &str {
    frames.first().map_or("an unnamed function", String::as_str)
}
