//! Why a module may not run, and what to do about it.

use std::{io, path::PathBuf};

use super::signature::KeyError;
use crate::runtime::{CallError, RuntimeError};

/// No module can be used at all: the settings or the machine are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The folder for machine code.
    #[error("cannot use the code cache {folder}: {message}")]
    Cache {
        /// `modules.cache` of the settings.
        folder: PathBuf,
        /// What to do.
        message: String,
    },
    /// The own program cannot be found, so nothing can be compiled.
    #[error("cannot find the own program to compile modules with: {0}")]
    Program(io::Error),
    /// A key of the settings.
    #[error("modules.signatures.keys: {0}")]
    Key(#[from] KeyError),
}

/// A module was not admitted. Others are not affected.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The file is missing or unreadable.
    #[error("cannot be read: {source}; slot {slot} needs its component there")]
    Read {
        /// The slot.
        slot: String,
        /// Why.
        source: io::Error,
    },
    /// What offers it does not hold exactly one module.
    #[error("{0}")]
    Content(String),
    /// The artifact that is referred to is not here yet.
    #[error("{}", fetching(artifact, trouble.as_ref()))]
    Fetching {
        /// Registry, repository and digest.
        artifact: String,
        /// Why the last try came to nothing; none during the first one.
        trouble: Option<Trouble>,
    },
    /// The artifact that is referred to can never be had, or is no module.
    #[error("{}", .0.message)]
    Artifact(Trouble),
    /// It is too long.
    #[error("is longer than {limit_mib} MiB; strip it of debug information")]
    TooLong {
        /// How long a module may be.
        limit_mib: u64,
    },
    /// It cannot be unpacked.
    #[error("cannot be unpacked: {0}")]
    Packing(String),
    /// It is another than was announced.
    #[error("has the digest {found}, and {expected} was announced")]
    Digest {
        /// Announced.
        expected: String,
        /// Of the component.
        found: String,
    },
    /// It has to be signed.
    #[error("is not signed, and only signed modules may run here; sign it with a key of modules.signatures.keys")]
    Unsigned,
    /// Nobody known has signed it.
    #[error("has a signature that is by none of the keys {}", keys.join(", "))]
    Signature {
        /// Names of the trusted keys.
        keys: Vec<String>,
    },
    /// It does not compile.
    #[error("cannot be compiled: {0}")]
    Compile(CompileError),
    /// The private cache failed.
    #[error("cannot be loaded: {0}")]
    Cache(ModuleError),
    /// It is a component of another world.
    #[error("is not a reconciler: {message}; build it for the world reconciler of controller:reconciler {} alone", RuntimeError::served())]
    World {
        /// What it imports or lacks.
        message: String,
    },
    /// It is of a version of the world that this host does not run.
    #[error("is built for controller:reconciler@{version}, and this host runs {served}; build it for one of these, or use another host")]
    Version {
        /// Of the component.
        version: String,
        /// Those of this host.
        served: String,
    },
    /// It is of a language with a runtime of its own, and the slot is not for such.
    #[error(
        "imports wasi:*, as languages with a runtime of their own do; where that is meant, set reconcilers.{slot}.wasi in the settings"
    )]
    Wasi {
        /// The slot.
        slot: String,
    },
    /// Freshly compiled code does not load.
    #[error("cannot be loaded: {0}; the program that compiles must be the program that runs")]
    Load(RuntimeError),
    /// It cannot say what it is.
    #[error("does not describe itself: {0}; it would not reconcile either")]
    Describe(CallError),
    /// It is another reconciler than the slot is for.
    #[error("is reconciler {name}, and cannot run in slot {slot}; put it into a slot of its name")]
    Name {
        /// The slot.
        slot: String,
        /// The name in its description.
        name: String,
    },
    /// There is no such slot.
    #[error("is for slot {slot}, and the slots are {}", slots.join(", "))]
    Slot {
        /// As asked for.
        slot: String,
        /// Those of the settings.
        slots: Vec<String>,
    },
    /// It reconciles another kind than the slot is for.
    #[error("reconciles {found}, and reconcilers.{slot}.reconciles says {expected}; correct one of them")]
    Kind {
        /// The slot.
        slot: String,
        /// API version and kind in its description.
        found: String,
        /// API version and kind in the settings.
        expected: String,
    },
    /// It wants more than the slot grants.
    #[error("wants more than it is granted; missing in the settings: {}", missing.join(", "))]
    Permissions {
        /// Each as a place in the settings and what is missing there.
        missing: Vec<String>,
    },
    /// The slot's settings are not those that it takes.
    #[error("does not take the settings of the slot: {}", mismatches.join("; "))]
    Settings {
        /// Each as a place in `reconcilers.<slot>.settings` and what is wrong there.
        mismatches: Vec<String>,
    },
    /// Its schema of settings cannot be used.
    #[error("has a schema of settings that cannot be checked: {0}")]
    Schema(String),
    /// What its author wants to be done is not understood.
    #[error("{0}")]
    Wish(String),
    /// It failed where the active module does not.
    #[error("failed when it was tried: {0}")]
    Shadow(String),
}

/// What is wrong with an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// In upper camel case.
    pub reason: &'static str,
    /// The rest of a sentence about the module.
    pub message: String,
}

fn fetching(artifact: &str, trouble: Option<&Trouble>) -> String {
    match trouble {
        None => format!("is being fetched: {artifact}"),
        Some(trouble) => format!("cannot be fetched: {}; it is tried again, after a longer pause each time", trouble.message),
    }
}

impl Refusal {
    /// Whether it may still come to something by itself.
    pub fn is_awaited(&self) -> bool {
        matches!(self, Self::Fetching { .. })
    }

    /// A name for the case in upper camel case, for an annotation, an event, a metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Read { .. } => "Unreadable",
            Self::Content(_) => "NoModule",
            Self::Fetching { trouble: None, .. } => "Fetching",
            Self::Fetching { trouble: Some(trouble), .. } | Self::Artifact(trouble) => trouble.reason,
            Self::TooLong { .. } => "TooLong",
            Self::Packing(_) => "NotUnpackable",
            Self::Digest { .. } => "OtherDigest",
            Self::Unsigned => "Unsigned",
            Self::Signature { .. } => "UnknownSignature",
            Self::Compile(CompileError::Time { .. }) => "CompileTime",
            Self::Compile(CompileError::Ended { .. }) => "CompileMemory",
            Self::Compile(_) | Self::Cache(_) => "NotCompiled",
            Self::World { .. } | Self::Version { .. } => "OtherWorld",
            Self::Wasi { .. } => "NeedsWasi",
            Self::Load(_) => "NotLoaded",
            Self::Describe(_) => "NotDescribed",
            Self::Name { .. } => "OtherName",
            Self::Slot { .. } => "NoSuchSlot",
            Self::Kind { .. } => "OtherKind",
            Self::Permissions { .. } => "BeyondGrant",
            Self::Settings { .. } => "OtherSettings",
            Self::Schema(_) => "BadSchema",
            Self::Wish(_) => "UnknownPolicy",
            Self::Shadow(_) => "ShadowFailed",
        }
    }
}

/// A component was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// It is not a valid component.
    #[error("{0}")]
    Invalid(RuntimeError),
    /// A file or the child process.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The child process gave up.
    #[error("{message}")]
    Failed {
        /// Its last words.
        message: String,
    },
    /// The child process was ended, by its memory limit most likely.
    #[error("the compiler was ended ({status}); it may use {limit_mib} MiB of address space: {message}")]
    Ended {
        /// The signal.
        status: String,
        /// Its last words.
        message: String,
        /// What it may use.
        limit_mib: u64,
    },
    /// The child process took too long.
    #[error("it takes longer than {seconds} s")]
    Time {
        /// The limit.
        seconds: u64,
    },
}
