//! Modules: where they come from, whether they may run, their machine code, and which one is active in each slot.
//!
//! A module passes, in this order: read, digest, compile (in a child process), world, description, grant. Each failure names the file and
//! what to do. It knows nothing of Kubernetes kinds or of what a reconciler does.

mod cache;
mod compile;
mod error;
mod permissions;

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use self::cache::Cache;
pub use self::{
    compile::{Compiler, compile_in_this_process},
    error::{CompileError, ModuleError},
};
use crate::{
    contract::{Description, Kind},
    runtime::{Guest, Runtime, RuntimeError},
    settings::{Reconciler, Settings},
};

/// The longest file that is taken for a module, in bytes. Components of interpreted languages have some 20 MB.
const LONGEST: u64 = 64 << 20;

/// The modules that run, by slot.
pub struct Modules {
    active: BTreeMap<String, Arc<Active>>,
}

/// A module that runs in a slot.
#[derive(Debug)]
pub struct Active {
    /// The slot, as in the settings.
    pub slot: String,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// Where it came from.
    pub source: Source,
    /// The component, ready to be called.
    pub guest: Guest,
    /// What it says of itself.
    pub description: Description,
    /// Since when it is active.
    pub since: Timestamp,
}

/// Where a module came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "from")]
pub enum Source {
    /// The folder in the image.
    Folder {
        /// The file.
        file: PathBuf,
    },
}

/// An active module as `/modules` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleReport {
    /// The slot, as in the settings.
    pub slot: String,
    /// The module's own version.
    pub version: String,
    /// API version and kind that it reconciles.
    pub reconciles: String,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// Where it came from.
    pub source: Source,
    /// Since when it is active.
    pub since: Timestamp,
}

impl Modules {
    /// Loads the module of each slot of the settings, compiled by a child of this program.
    ///
    /// # Errors
    /// With the first module that may not run, and why.
    pub async fn load(settings: &Settings, runtime: Arc<Runtime>) -> Result<Self, ModuleError> {
        Self::load_with(settings, runtime, &Compiler::own_program()?).await
    }

    /// Loads the module of each slot of the settings.
    ///
    /// # Errors
    /// With the first module that may not run, and why.
    pub async fn load_with(settings: &Settings, runtime: Arc<Runtime>, compiler: &Compiler) -> Result<Self, ModuleError> {
        let loader = Loader { cache: Cache::open(&settings.modules.cache, runtime.compatibility_key())?, runtime, compiler };
        let mut active = BTreeMap::new();
        // One after the other: the compiler has threads of its own.
        for (slot, wanted) in &settings.reconcilers {
            let file = settings.modules.folder.join(format!("{slot}.wasm"));
            let module = loader.load(slot, wanted, &file).await?;
            tracing::info!(slot, digest = module.digest, version = module.description.version, "module is active");
            active.insert(slot.clone(), Arc::new(module));
        }
        Ok(Self { active })
    }

    /// The module that runs in a slot now.
    pub fn active(&self, slot: &str) -> Option<Arc<Active>> {
        self.active.get(slot).cloned()
    }

    /// What runs, in the order of the slots.
    pub fn report(&self) -> Vec<ModuleReport> {
        self.active.values().map(|module| module.report()).collect()
    }
}

impl Active {
    fn report(&self) -> ModuleReport {
        ModuleReport {
            slot: self.slot.clone(),
            version: self.description.version.clone(),
            reconciles: named(&self.description.reconciles),
            digest: self.digest.clone(),
            source: self.source.clone(),
            since: self.since,
        }
    }
}

/// What it takes to load a module.
struct Loader<'a> {
    cache: Cache,
    runtime: Arc<Runtime>,
    compiler: &'a Compiler,
}

impl Loader<'_> {
    /// From a file to a module that may run in `slot`.
    async fn load(&self, slot: &str, wanted: &Reconciler, file: &Path) -> Result<Active, ModuleError> {
        let wasm = read(slot, file)?;
        let digest = hex::encode(Sha256::digest(&wasm));
        let guest = self.guest(file, &wasm, &digest).await?;
        let description = guest.describe().await.map_err(|source| ModuleError::Describe { file: file.into(), source })?;
        if description.name != slot {
            return Err(ModuleError::Name { file: file.into(), slot: slot.into(), name: description.name });
        }
        let (found, expected) = (named(&description.reconciles), format!("{} {}", wanted.reconciles.api_version, wanted.reconciles.kind));
        if found != expected {
            return Err(ModuleError::Kind { file: file.into(), slot: slot.into(), found, expected });
        }
        let missing = permissions::missing(&description.permissions, slot, wanted);
        if !missing.is_empty() {
            return Err(ModuleError::Permissions { file: file.into(), missing });
        }
        let source = Source::Folder { file: file.into() };
        Ok(Active { slot: slot.into(), digest, source, guest, description, since: Timestamp::now() })
    }

    /// Machine code from the cache, or compiled now. What the engine refuses is compiled again.
    async fn guest(&self, file: &Path, wasm: &[u8], digest: &str) -> Result<Guest, ModuleError> {
        let world = |error| match error {
            RuntimeError::World { message } => ModuleError::World { file: file.into(), message },
            other => ModuleError::Load { file: file.into(), source: other },
        };
        for code in self.cache.find(digest)? {
            match self.runtime.load(&code) {
                Err(RuntimeError::Code { message, .. }) => {
                    tracing::warn!(code = %code.display(), message, "compiled code cannot be used: compiling again");
                    cache::remove(&code);
                }
                loaded => return loaded.map_err(world),
            }
        }
        let compiled = self.cache.fill(digest, wasm, self.compiler).await;
        let code = compiled.map_err(|source| ModuleError::Compile { file: file.into(), source })?;
        self.runtime.load(&code).map_err(world)
    }
}

/// The file's bytes, unless it is too long to be a module.
fn read(slot: &str, file: &Path) -> Result<Vec<u8>, ModuleError> {
    let failed = |source| ModuleError::Read { slot: slot.into(), file: file.into(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(file).and_then(|f| f.take(LONGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(ModuleError::TooLong { file: file.into(), limit_mib: LONGEST >> 20 });
    }
    Ok(bytes)
}

fn named(kind: &Kind) -> String {
    format!("{} {}", kind.api_version, kind.kind)
}
