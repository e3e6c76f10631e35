//! Compiles in a child of the own program, with limits on time, memory and threads: compiling one component in the host would cost it
//! 90 MiB that never come back, and a component made for it could take everything. It knows nothing of slots or caches.

use std::{
    ffi::OsString,
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, nice, setrlimit};
use tokio::process::Command;

use super::error::{CompileError, ModuleError};
use crate::runtime;

/// How long the child may take. A reconciler takes 2 s, an interpreter 10 s, on two cores.
const TIME: Duration = Duration::from_secs(60);

/// The child's address space, in bytes. An interpreter takes 340 MiB.
const MEMORY: u64 = 2 << 30;

/// How much the child stands back behind other processes: enough for reconciles to come first, and little enough to be done in time beside a
/// machine's other work.
const NICENESS: i32 = 4;

/// Threads of the child. Each has a stack and an arena in its address space, and the others should have a core too.
const THREADS: &str = "2";

/// The program that compiles: called with its arguments, the component's path and the path for the machine code.
#[derive(Debug, Clone)]
pub struct Compiler {
    program: PathBuf,
    arguments: Vec<OsString>,
    time: Duration,
}

impl Compiler {
    /// This program's subcommand `compile-module`, which calls [`compile_in_this_process`].
    ///
    /// # Errors
    /// When the own program's path cannot be had.
    pub fn own_program() -> Result<Self, ModuleError> {
        let program = std::env::current_exe().map_err(ModuleError::Program)?;
        Ok(Self::new(program, ["compile-module"]))
    }

    /// Another program. It must be built with the same engine.
    pub fn new(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self { program: program.into(), arguments: arguments.into_iter().map(Into::into).collect(), time: TIME }
    }

    /// The same with another time limit.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    pub(super) async fn compile(&self, wasm: &Path, code: &Path) -> Result<(), CompileError> {
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .args([wasm, code])
            .env_clear()
            .envs([("RAYON_NUM_THREADS", THREADS), ("MALLOC_ARENA_MAX", THREADS)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| CompileError::Io { doing: "start", path: self.program.clone(), source })?;
        let output = tokio::time::timeout(self.time, child.wait_with_output())
            .await
            .map_err(|_| CompileError::Time { seconds: self.time.as_secs() })?
            .map_err(|source| CompileError::Io { doing: "wait for", path: self.program.clone(), source })?;
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.code() {
            Some(0) => Ok(()),
            Some(_) => Err(CompileError::Failed { message }),
            None => Err(CompileError::Ended { status: output.status.to_string(), message, limit_mib: MEMORY >> 20 }),
        }
    }
}

/// Compiles a component file to a file of machine code. For a process that does nothing else: it limits itself first.
///
/// The caller prints the error to standard error and exits with another status than 0.
///
/// # Errors
/// When `wasm` cannot be read or is not a valid component, or `code` exists or cannot be written.
pub fn compile_in_this_process(wasm: &Path, code: &Path) -> Result<(), CompileError> {
    let limit = |resource, limit| setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) });
    limit(Resource::As, MEMORY)
        // Reconciles of the parent come first; at its start there are none.
        .and_then(|()| nice(NICENESS).map(drop))
        // Should the parent not be there any more to end it.
        .and_then(|()| limit(Resource::Cpu, 2 * TIME.as_secs()))
        .and_then(|()| limit(Resource::Core, 0))
        .map_err(|e| CompileError::Io { doing: "limit", path: "the compiler".into(), source: e.into() })?;
    let bytes = fs::read(wasm).map_err(|source| CompileError::Io { doing: "read", path: wasm.into(), source })?;
    let compiled = runtime::compile(&bytes).map_err(CompileError::Invalid)?;
    write(code, &compiled).map_err(|source| CompileError::Io { doing: "write", path: code.into(), source })
}

/// Writes a new file. It need not be on the disk at once: its name in the cache says what is in it, and what is not is not used.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}
