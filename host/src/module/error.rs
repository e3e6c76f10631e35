//! Why a module may not run, and what to do about it.

use std::{io, path::PathBuf};

use crate::runtime::{CallError, RuntimeError};

/// A module, or the folder with machine code, cannot be used.
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
    /// The file is missing or unreadable.
    #[error("cannot read module {file}: {source}; slot {slot} needs its component there")]
    Read {
        /// The slot.
        slot: String,
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is too long.
    #[error("module {file} is longer than {limit_mib} MiB; strip it of debug information")]
    TooLong {
        /// The file.
        file: PathBuf,
        /// How long a module may be.
        limit_mib: u64,
    },
    /// It does not compile.
    #[error("cannot compile module {file}: {source}")]
    Compile {
        /// The file.
        file: PathBuf,
        /// Why.
        source: CompileError,
    },
    /// It is a component of another world.
    #[error("module {file} is not a reconciler: {message}; build it for the world reconciler of controller:reconciler@0.1.0 alone")]
    World {
        /// The file.
        file: PathBuf,
        /// What it imports or lacks.
        message: String,
    },
    /// Freshly compiled code does not load.
    #[error("cannot load module {file}: {source}; the program that compiles must be the program that runs")]
    Load {
        /// The file.
        file: PathBuf,
        /// Why.
        source: RuntimeError,
    },
    /// It cannot say what it is.
    #[error("module {file} does not describe itself: {source}; it would not reconcile either")]
    Describe {
        /// The file.
        file: PathBuf,
        /// Why.
        source: CallError,
    },
    /// It is another reconciler than the slot is for.
    #[error("module {file} is reconciler {name}, and cannot run in slot {slot}; put it into a slot of its name")]
    Name {
        /// The file.
        file: PathBuf,
        /// The slot.
        slot: String,
        /// The name in its description.
        name: String,
    },
    /// It reconciles another kind than the slot is for.
    #[error("module {file} reconciles {found}, and reconcilers.{slot}.reconciles says {expected}; correct one of them")]
    Kind {
        /// The file.
        file: PathBuf,
        /// The slot.
        slot: String,
        /// API version and kind in its description.
        found: String,
        /// API version and kind in the settings.
        expected: String,
    },
    /// It wants more than the slot grants.
    #[error("module {file} wants more than it is granted; missing in the settings: {}", missing.join(", "))]
    Permissions {
        /// The file.
        file: PathBuf,
        /// Each as a place in the settings and what is missing there.
        missing: Vec<String>,
    },
    /// The own program cannot be found, so nothing can be compiled.
    #[error("cannot find the own program to compile modules with: {0}")]
    Program(io::Error),
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
