//! The cache outside the checkout: what is costly to make, each under a name and a digest of what it was made from.
//! Knows nothing about what is kept in it. An entry is there whole or not at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

/// The folder `$DOLTDB_DEV_CACHE`, or `~/.cache/doltdb-operator`.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens the cache and makes its folder.
    ///
    /// # Errors
    /// When neither `DOLTDB_DEV_CACHE` nor `HOME` is set, or the folder can't be made.
    pub(crate) fn open() -> Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = match set("DOLTDB_DEV_CACHE") {
            Some(root) => root,
            None => set("HOME").context("neither DOLTDB_DEV_CACHE nor HOME is set")?.join(".cache/doltdb-operator"),
        };
        Self::at(&root)
    }

    /// The cache in that folder.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub(crate) fn at(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("make {}", root.display()))?;
        Ok(Self { root: root.canonicalize()? })
    }

    /// A path in the cache.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Where the product is built: `$CARGO_TARGET_DIR`, else one folder for all checkouts and this compiler.
    pub(crate) fn target(&self) -> PathBuf {
        match std::env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
            Some(target) => crate::repo::root().join(target),
            None => self.path("target").join(RUST),
        }
    }

    /// Takes the lock `name`, waiting for whoever has it. It is free again when the file is dropped, or its process gone.
    ///
    /// # Errors
    /// When the lock's file can't be made.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        let folder = self.path("locks");
        fs::create_dir_all(&folder)?;
        let file = File::create(folder.join(name)).with_context(|| format!("make the lock {name}"))?;
        if file.try_lock().is_err() {
            crate::run::say(format_args!("waiting for another run that works on {name}"));
            file.lock()?;
        }
        Ok(file)
    }

    /// The folder `kind/name-key`, made by `make` if it isn't there. `make` fills a folder next to it that takes its name at the end,
    /// so ending this program at any point leaves nothing half made.
    ///
    /// # Errors
    /// When `make` fails.
    pub(crate) fn entry(&self, kind: &str, name: &str, key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let folder = self.path(kind);
        let entry = folder.join(format!("{name}-{key}"));
        if entry.is_dir() {
            return Ok(entry);
        }
        let _lock = self.lock(&format!("{kind}-{name}"))?;
        if entry.is_dir() {
            return Ok(entry);
        }
        fs::create_dir_all(&folder)?;
        // Under the lock, so what others began was left behind; what they started may still write there for a moment.
        let prefix = format!(".{name}.");
        for left in fs::read_dir(&folder)?.flatten().filter(|left| left.file_name().to_string_lossy().starts_with(&prefix)) {
            let _ = fs::remove_dir_all(left.path());
        }
        let partial = folder.join(format!("{prefix}{}.partial", std::process::id()));
        fs::create_dir_all(&partial)?;
        make(&partial)?;
        fs::rename(&partial, &entry).with_context(|| format!("keep {}", entry.display()))?;
        Ok(entry)
    }
}

impl Cache {
    /// Removes all but the newest `count` entries of a name: what changes with every build would fill the disk.
    pub(crate) fn keep_newest(&self, kind: &str, name: &str, count: usize) {
        let prefix = format!("{name}-");
        let entries = fs::read_dir(self.path(kind)).into_iter().flatten().flatten();
        let entries = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        let mut entries = entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect::<Vec<_>>();
        entries.sort();
        for (_, old) in entries.iter().rev().skip(count) {
            // Another run may be removing it too.
            let _ = fs::remove_dir_all(old);
        }
    }
}

/// The compiler that `rust-toolchain.toml` names.
pub(crate) const RUST: &str = "1.95.0";

/// Twelve hexadecimal digits over files (with their paths) and words.
///
/// # Errors
/// When a file can't be read.
pub(crate) fn digest(sources: &[PathBuf], words: &[&str]) -> Result<String> {
    let mut hash = Sha256::new();
    for word in words {
        hash.update((word.len() as u64).to_le_bytes());
        hash.update(word);
    }
    for source in sources {
        for file in files(source)? {
            let name = file.strip_prefix(source).unwrap_or(&file).to_string_lossy().into_owned();
            let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
            for part in [name.as_bytes(), &bytes] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
        }
    }
    Ok(hex::encode(hash.finalize())[..12].to_owned())
}

/// Every file at or below a path, sorted.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        found.extend(files(&entry)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_made_once_and_only_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let failed = cache.entry("tools", "a", "1", |partial| {
            fs::write(partial.join("half"), "x")?;
            anyhow::bail!("killed")
        });
        assert!(failed.is_err());
        assert!(!cache.path("tools/a-1").exists());
        let made = cache.entry("tools", "a", "1", |partial| Ok(fs::write(partial.join("whole"), "x")?)).unwrap();
        assert!(made.join("whole").exists() && !made.join("half").exists());
        cache.entry("tools", "a", "1", |_| anyhow::bail!("made twice")).unwrap();
    }

    #[test]
    fn only_the_newest_stay() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        for (key, seconds) in [("b", 1), ("a", 2), ("c", 3)] {
            let entry = cache.entry("images", "operator", key, |_| Ok(())).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            File::open(entry).unwrap().set_modified(time).unwrap();
        }
        cache.entry("images", "dolt", "d", |_| Ok(())).unwrap();
        cache.keep_newest("images", "operator", 2);
        let left = ["operator-a", "operator-b", "operator-c", "dolt-d"].map(|entry| cache.path("images").join(entry).exists());
        assert_eq!(left, [true, false, true, true]);
    }

    #[test]
    fn a_digest_tells_names_and_contents_apart() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("a"), "1").unwrap();
        let first = digest(std::slice::from_ref(&source), &["w"]).unwrap();
        assert_eq!(first, digest(std::slice::from_ref(&source), &["w"]).unwrap());
        assert_ne!(first, digest(std::slice::from_ref(&source), &["v"]).unwrap());
        fs::rename(source.join("a"), source.join("b")).unwrap();
        assert_ne!(first, digest(&[source], &["w"]).unwrap());
    }
}
