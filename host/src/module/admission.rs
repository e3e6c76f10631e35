//! Admission: from bytes to a module that may run in a slot.
//!
//! In this order: size, digest, signature, compile (in a child process, with limits of its own; this is where a component is found valid),
//! world and imports, description, name, kind, permissions within the grant, settings. What fails first is the answer.

use std::{
    borrow::Cow,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::{
    Source,
    cache::{self, Cache},
    compile::Compiler,
    error::{CompileError, ModuleError, Refusal},
    pack::{UnpackError, unpack},
    permissions, schema,
    signature::Signers,
};
use crate::{
    contract::{Description, Kind},
    runtime::{Guest, Runtime, RuntimeError},
    settings::{Limits, Reconciler, Settings, SignatureMode},
};

/// The longest module, in bytes. Components of interpreted languages have some 20 MB.
pub(crate) const LONGEST: u64 = 64 << 20;
/// The longest module that one in a ConfigMap may become, in bytes: these are held in memory.
const LONGEST_HELD: u64 = 16 << 20;

/// A module that may run in its slot.
#[derive(Debug, Clone)]
pub struct Module {
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
    /// What people should know of it all the same.
    pub warning: Option<String>,
}

/// A module as it arrives from outside of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The component, as it is or as zstd.
    pub bytes: Bytes,
    /// SHA-256 of the component in hex, where it was announced.
    pub announced: Option<String>,
    /// A signature as base64, where there is one.
    pub signature: Option<String>,
}

/// Where the bytes of a parcel are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bytes {
    /// In memory.
    Held(Arc<[u8]>),
    /// In a file of the private cache.
    File(PathBuf),
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self::Held(bytes.into())
    }
}

impl Bytes {
    fn read(&self) -> io::Result<Cow<'_, [u8]>> {
        match self {
            Self::Held(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::File(path) => fs::read(path).map(Cow::Owned),
        }
    }
}

/// What it takes to admit modules.
pub struct Admission {
    settings: Settings,
    runtime: Arc<Runtime>,
    cache: Cache,
    compiler: Compiler,
    signers: Signers,
}

impl Admission {
    /// Opens the cache and reads the keys. `compiler` is called for each module that is not in the cache.
    ///
    /// # Errors
    /// When the cache or a key cannot be used.
    pub fn new(settings: &Settings, runtime: Arc<Runtime>, compiler: Compiler) -> Result<Self, ModuleError> {
        let cache = Cache::open(&settings.modules.cache, runtime.compatibility_key())?;
        let signers = Signers::new(&settings.modules.signatures.keys)?;
        Ok(Self { settings: settings.clone(), runtime, cache, compiler, signers })
    }

    /// The settings that modules are held against.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The slot of this name.
    pub fn slot(&self, slot: &str) -> Option<&Reconciler> {
        self.settings.reconcilers.get(slot)
    }

    /// Where a slot's module lies in the image.
    pub fn file(&self, slot: &str) -> PathBuf {
        self.settings.modules.folder.join(format!("{slot}.wasm"))
    }

    /// Admits the slot's module of the image. It is as trustworthy as this program, so nobody has to have signed it.
    ///
    /// # Errors
    /// Why it may not run.
    pub async fn from_folder(&self, slot: &str) -> Result<Module, Refusal> {
        let file = self.file(slot);
        let wasm = read(slot, &file)?;
        self.admit_component(slot, Source::Folder { file }, &wasm, &digest(&wasm), None).await
    }

    /// Admits a module that comes from outside of the image.
    ///
    /// # Errors
    /// Why it may not run.
    pub async fn from_outside(&self, slot: &str, source: Source, parcel: &Parcel) -> Result<Module, Refusal> {
        let bytes = parcel.bytes.read().map_err(|source| Refusal::Read { slot: slot.into(), source })?;
        let wasm = component(&bytes)?;
        let digest = digest(&wasm);
        if let Some(announced) = &parcel.announced
            && announced.trim().trim_start_matches("sha256:") != digest
        {
            return Err(Refusal::Digest { expected: announced.clone(), found: digest });
        }
        let warning = self.vouch(&digest, parcel.signature.as_deref())?;
        self.admit_component(slot, source, &wasm, &digest, warning).await
    }

    /// Who has signed it. Gives a warning where nobody known has, and nobody has to.
    fn vouch(&self, digest: &str, signature: Option<&str>) -> Result<Option<String>, Refusal> {
        let wanted = &self.settings.modules.signatures;
        let refusal = match signature {
            _ if wanted.mode == SignatureMode::Off => return Ok(None),
            Some(signature) => match self.signers.signer(digest, signature) {
                Some(signer) => {
                    tracing::debug!(digest, signer, "the signature is valid");
                    return Ok(None);
                }
                None => Refusal::Signature { keys: wanted.keys.keys().cloned().collect() },
            },
            None => Refusal::Unsigned,
        };
        match (wanted.mode, refusal) {
            (SignatureMode::Required, refusal) => Err(refusal),
            (_, Refusal::Unsigned) => Ok(Some("it is not signed".into())),
            (_, refusal) => Ok(Some(format!("it {refusal}"))),
        }
    }

    async fn admit_component(
        &self,
        slot: &str,
        source: Source,
        wasm: &[u8],
        digest: &str,
        warning: Option<String>,
    ) -> Result<Module, Refusal> {
        let wanted = self
            .slot(slot)
            .ok_or_else(|| Refusal::Slot { slot: slot.into(), slots: self.settings.reconcilers.keys().cloned().collect() })?;
        let guest = self.guest(wasm, digest).await?;
        if guest.imports_wasi() && !wanted.wasi {
            return Err(Refusal::Wasi { slot: slot.into() });
        }
        let description = guest.describe().await.map_err(Refusal::Describe)?;
        if description.name != slot {
            return Err(Refusal::Name { slot: slot.into(), name: description.name });
        }
        let (found, expected) = (named(&description.reconciles), format!("{} {}", wanted.reconciles.api_version, wanted.reconciles.kind));
        if found != expected {
            return Err(Refusal::Kind { slot: slot.into(), found, expected });
        }
        let missing = permissions::missing(&description.permissions, slot, wanted);
        if !missing.is_empty() {
            return Err(Refusal::Permissions { missing });
        }
        let mismatches = schema::mismatches(&description.settings_schema, &wanted.settings).map_err(Refusal::Schema)?;
        if !mismatches.is_empty() {
            return Err(Refusal::Settings { mismatches });
        }
        Ok(Module { slot: slot.into(), digest: digest.into(), source, guest, description, warning })
    }

    /// Machine code from the cache, or compiled now. What the engine refuses is compiled again.
    async fn guest(&self, wasm: &[u8], digest: &str) -> Result<Guest, Refusal> {
        let world = |error| match error {
            RuntimeError::World { message } => Refusal::World { message },
            RuntimeError::Version { version, served } => Refusal::Version { version, served },
            other => Refusal::Load(other),
        };
        let shipped = self.cache.find_shipped(&self.settings.modules.folder, digest).into_iter().map(|code| (code, true));
        let own = self.cache.find(digest).map_err(Refusal::Cache)?.into_iter().map(|code| (code, false));
        for (code, shipped) in shipped.chain(own) {
            match self.runtime.load(&code) {
                Err(RuntimeError::Code { message, .. }) => {
                    tracing::warn!(code = %code.display(), message, "compiled code cannot be used: compiling again");
                    if !shipped {
                        cache::remove(&code);
                    }
                }
                loaded => return loaded.map_err(world),
            }
        }
        let code = self.cache.fill(digest, wasm, &self.compiler).await.map_err(Refusal::Compile)?;
        self.runtime.load(&code).map_err(world)
    }

    /// Forgets machine code that nobody needs: of what is not `needed` (digests), only the newest files stay.
    pub fn tidy(&self, needed: &[String]) {
        self.cache.tidy(needed);
    }
}

/// Compiles every module of a folder into the folder of machine code beside them, where [`Admission::from_folder`] finds it. For the build of
/// an image: in a process that ends afterwards.
///
/// # Errors
/// When a module cannot be read, is not a component, or its code cannot be written.
pub fn ship_compiled(modules: &Path) -> Result<Vec<PathBuf>, CompileError> {
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| CompileError::Io { doing, path, source }
    };
    let runtime = Runtime::new(&Limits::default()).map_err(CompileError::Invalid)?;
    let mut shipped = Vec::new();
    for entry in fs::read_dir(modules).map_err(failed("list", modules))?.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "wasm") {
            continue;
        }
        let wasm = fs::read(&path).map_err(failed("read", &path))?;
        let code = runtime.compile(&wasm).map_err(CompileError::Invalid)?;
        let file = cache::ship(modules, &digest(&wasm), &runtime.compatibility_key(), &code).map_err(failed("write the code of", &path))?;
        shipped.push(file);
    }
    Ok(shipped)
}

/// The component in a parcel's bytes.
///
/// # Errors
/// When it is too long or damaged.
pub fn component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    within(bytes, LONGEST)
}

/// The same, for one that is held in memory.
pub(crate) fn held_component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    within(bytes, LONGEST_HELD)
}

fn within(bytes: &[u8], longest: u64) -> Result<Cow<'_, [u8]>, Refusal> {
    unpack(bytes, longest).map_err(|error| match error {
        UnpackError::TooLong { limit_mib } => Refusal::TooLong { limit_mib },
        damaged => Refusal::Packing(damaged.to_string()),
    })
}

/// The digest of a component: SHA-256 in hex.
pub fn digest(wasm: &[u8]) -> String {
    hex::encode(Sha256::digest(wasm))
}

/// The file's bytes, unless it is too long to be a module.
fn read(slot: &str, file: &Path) -> Result<Vec<u8>, Refusal> {
    let failed = |source| Refusal::Read { slot: slot.into(), source };
    let mut bytes = Vec::new();
    fs::File::open(file).and_then(|f| f.take(LONGEST + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LONGEST {
        return Err(Refusal::TooLong { limit_mib: LONGEST >> 20 });
    }
    Ok(bytes)
}

pub(super) fn named(kind: &Kind) -> String {
    format!("{} {}", kind.api_version, kind.kind)
}
