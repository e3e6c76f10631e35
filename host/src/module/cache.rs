//! The private folder with machine code: `<digest of the component>-<engine>-<digest of the code>.cwasm`.
//!
//! What lies here is run as it is, so nobody else may write here, nothing is copied in from outside, and a file whose content is not what
//! its name says is not used. The image has a folder of the same form beside its modules, made when the image was built: [`shipped`].
//! It knows nothing of what a component is.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    time::Instant,
};

use rustix::process::geteuid;
use sha2::{Digest, Sha256};

use super::{
    compile::Compiler,
    error::{CompileError, ModuleError},
};

/// Files that are kept beside those that are needed: what comes back is not compiled again.
const KEPT: usize = 16;
/// Bytes of them, together. Those of interpreted languages have 30 MiB each, and the volume is limited.
const KEPT_BYTES: u64 = 64 << 20;

pub(super) struct Cache {
    folder: PathBuf,
    engine: String,
}

impl Cache {
    /// Opens or creates the folder. `engine` tells apart what machine code depends on.
    pub(super) fn open(folder: &Path, engine: String) -> Result<Self, ModuleError> {
        let wrong = |message: String| ModuleError::Cache { folder: folder.into(), message };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| wrong(format!("cannot create it: {e}")))?;
        let found = fs::symlink_metadata(folder).map_err(|e| wrong(format!("cannot look at it: {e}")))?;
        if !found.is_dir() {
            return Err(wrong("it is no folder".into()));
        }
        if found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
            return Err(wrong("others may write there; name a folder that does not exist yet, and it is created with mode 0700".into()));
        }
        Ok(Self { folder: folder.into(), engine })
    }

    /// Code of a component for this engine that is what it was when it was written: one file, or none.
    pub(super) fn find(&self, digest: &str) -> Result<Vec<PathBuf>, ModuleError> {
        let wrong = |e: io::Error| ModuleError::Cache { folder: self.folder.clone(), message: format!("cannot list it: {e}") };
        let (found, damaged) = matching(&self.folder, &self.prefix(digest)).map_err(wrong)?;
        damaged.iter().for_each(|code| remove(code));
        Ok(found)
    }

    /// Code of a component for this engine in the folder of the image.
    pub(super) fn find_shipped(&self, modules: &Path, digest: &str) -> Vec<PathBuf> {
        let folder = shipped(modules);
        if !is_private(&folder) {
            return Vec::new();
        }
        let (mut found, _) = matching(&folder, &self.prefix(digest)).unwrap_or_default();
        found.retain(|code| is_private(code));
        found
    }

    /// Compiles a component into the cache. The file appears whole or not at all.
    pub(super) async fn fill(&self, digest: &str, wasm: &[u8], compiler: &Compiler) -> Result<PathBuf, CompileError> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| CompileError::Io { doing, path, source }
        };
        // The component's bytes are handed on as they were digested: its own file may change meanwhile.
        let scratch = tempfile::TempDir::with_prefix_in(".compiling-", &self.folder).map_err(failed("write into", &self.folder))?;
        let (source, compiled) = (scratch.path().join("component.wasm"), scratch.path().join("code.cwasm"));
        fs::write(&source, wasm).map_err(failed("write", &source))?;
        let begun = Instant::now();
        compiler.compile(&source, &compiled).await?;
        tracing::info!(digest, bytes = wasm.len(), ms = begun.elapsed().as_millis(), "a module was compiled");
        let code = code_digest(&compiled).map_err(failed("read", &compiled))?;
        let place = self.folder.join(format!("{}{code}.cwasm", self.prefix(digest)));
        fs::rename(&compiled, &place).map_err(failed("write", &place))?;
        Ok(place)
    }

    /// Removes what is not needed, but for the newest files. What a running module has mapped stays mapped.
    pub(super) fn tidy(&self, needed: &[String]) {
        let mut old: Vec<_> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                name.ends_with(".cwasm") && !needed.iter().any(|digest| name.starts_with(digest.as_str()))
            })
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        old.sort();
        let mut bytes = 0;
        for (place, (_, length, code)) in old.iter().rev().enumerate() {
            bytes += length;
            if place >= KEPT || bytes > KEPT_BYTES {
                remove(code);
            }
        }
    }

    fn prefix(&self, digest: &str) -> String {
        prefix(digest, &self.engine)
    }
}

fn prefix(digest: &str, engine: &str) -> String {
    format!("{digest}-{engine}-")
}

/// Files whose names begin so: those whose content is what the name says, and the others.
fn matching(folder: &Path, prefix: &str) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut found, mut damaged) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Some(code) = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(".cwasm")) else { continue };
        if code_digest(&path).is_ok_and(|d| d == code) {
            found.push(path);
        } else {
            tracing::warn!(code = %path.display(), "compiled code has changed on the disk: not used");
            damaged.push(path);
        }
    }
    Ok((found, damaged))
}

/// Where an image has the machine code of its modules. It is as trustworthy as the program, as long as nobody can write there.
pub(super) fn shipped(modules: &Path) -> PathBuf {
    modules.join("compiled")
}

/// Whether only root or this user can write it.
fn is_private(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|found| !found.is_symlink() && (found.uid() == 0 || found.uid() == geteuid().as_raw()) && found.mode() & 0o022 == 0)
}

/// Writes machine code of a component under the name by which it is found.
pub(super) fn ship(modules: &Path, digest: &str, engine: &str, code: &[u8]) -> io::Result<PathBuf> {
    let folder = shipped(modules);
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&folder)?;
    let file = folder.join(format!("{}{}.cwasm", prefix(digest, engine), hex::encode(&Sha256::digest(code)[..8])));
    fs::write(&file, code)?;
    Ok(file)
}

/// Forgets a file. Where that fails it is overwritten by the next one.
pub(super) fn remove(code: &Path) {
    if let Err(error) = fs::remove_file(code) {
        tracing::warn!(code = %code.display(), %error, "cannot remove compiled code");
    }
}

/// Enough of the digest to tell damage: it guards against a broken disk, not against somebody who may write here.
fn code_digest(path: &Path) -> io::Result<String> {
    Ok(hex::encode(&Sha256::digest(fs::read(path)?)[..8]))
}
