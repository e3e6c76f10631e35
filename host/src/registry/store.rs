//! The folder of what was pulled: `<digest of the artifact>-<digest of the component>.wasm`. It is in the private cache, beside the machine
//! code, so that a restart does not need the registry. What has changed on the disk is not used.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// Artifacts that were pulled.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// In this folder of the cache.
    pub fn in_cache(cache: &Path) -> Self {
        Self { folder: cache.join("artifacts") }
    }

    /// The module of an artifact (its digest in hex), as a file and the component's digest in hex, if it was pulled before.
    pub fn find(&self, artifact: &str) -> Option<(PathBuf, String)> {
        let prefix = format!("{artifact}-");
        let entries = fs::read_dir(&self.folder).ok()?.flatten().map(|entry| entry.path());
        for path in entries {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(component) = name.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".wasm")) else { continue };
            if fs::read(&path).is_ok_and(|bytes| hex::encode(Sha256::digest(&bytes)) == component) {
                return Some((path, component.to_owned()));
            }
            tracing::warn!(artifact, "a pulled artifact has changed on the disk: not used");
            let _ = fs::remove_file(&path);
        }
        None
    }

    /// Keeps the module of an artifact. The file appears whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, artifact: &str, wasm: &[u8]) -> io::Result<(PathBuf, String)> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let component = hex::encode(Sha256::digest(wasm));
        let place = self.folder.join(format!("{artifact}-{component}.wasm"));
        let mut partial = tempfile::NamedTempFile::with_prefix_in(".pulling-", &self.folder)?;
        io::Write::write_all(&mut partial, wasm)?;
        partial.persist(&place).map_err(|error| error.error)?;
        Ok((place, component))
    }

    /// Forgets all artifacts but these.
    pub fn tidy(&self, needed: &[&str]) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // What begins with a dot is being written.
            if !name.starts_with('.') && !needed.iter().any(|artifact| name.starts_with(artifact)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_pulled_is_found_until_it_is_damaged_or_not_needed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_cache(folder.path());
        assert!(store.find("aa").is_none());
        let (path, component) = store.keep("aa", b"one").unwrap();
        store.keep("bb", b"two").unwrap();
        assert_eq!(store.find("aa"), Some((path.clone(), component)));
        fs::write(&path, b"other").unwrap();
        assert!(store.find("aa").is_none() && !path.exists());
        store.keep("aa", b"one").unwrap();
        store.tidy(&["bb"]);
        assert!(store.find("aa").is_none() && store.find("bb").is_some());
    }
}
