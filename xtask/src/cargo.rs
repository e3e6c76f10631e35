//! How this command calls cargo for the product: one target folder for all checkouts, the workspace's own lock file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;

use crate::cache::Cache;
use crate::repo;
use crate::run::{output, run, say};

/// Cargo in the checkout, building into the cache.
pub(crate) fn product(cache: &Cache) -> Command {
    let target = cache.target();
    if let Err(error) = take_over(&target, &repo::root(), members) {
        say(format_args!("{} may hold tests of another checkout: {error:#}", target.display()));
    }
    let mut cargo = plain();
    cargo.env("CARGO_TARGET_DIR", target);
    cargo
}

/// Makes a target folder this checkout's. Programs and tests have the paths of their sources in them, and cargo takes those of another checkout for
/// this one's where the sources here are older: so what was compiled of the workspace there is compiled anew, and what it depends on is not.
fn take_over(target: &Path, checkout: &Path, members: impl FnOnce() -> Result<Vec<String>>) -> Result<()> {
    let note = target.join("checkout");
    let here = checkout.to_string_lossy();
    if fs::read_to_string(&note).is_ok_and(|there| there == here) {
        return Ok(());
    }
    let members = members()?;
    let of_a_member = |name: &str| name.rsplit_once('-').is_some_and(|(package, _)| members.iter().any(|member| member == package));
    // `PROFILE` and `PLATFORM/PROFILE`.
    let profiles = folders(target).into_iter().flat_map(|folder| folders(&folder).into_iter().chain([folder]));
    for known in profiles.flat_map(|profile| folders(&profile.join(".fingerprint"))) {
        if known.file_name().is_some_and(|name| of_a_member(&name.to_string_lossy())) {
            fs::remove_dir_all(&known).with_context(|| format!("remove {}", known.display()))?;
        }
    }
    fs::create_dir_all(target)?;
    fs::write(&note, here.as_bytes()).with_context(|| format!("write {}", note.display()))
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// What cargo says of the workspace and its packages.
///
/// # Errors
/// When it doesn't say it.
pub(crate) fn metadata<T: DeserializeOwned>() -> Result<T> {
    let metadata = output(plain().args(["metadata", "--no-deps", "--format-version", "1", "--quiet"]))?;
    serde_json::from_str(&metadata).context("read the workspace's metadata")
}

/// The names of the packages of the workspace.
fn members() -> Result<Vec<String>> {
    let metadata: serde_json::Value = metadata()?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    Ok(packages.filter_map(|package| package["name"].as_str()).map(ToOwned::to_owned).collect())
}

/// Builds a program of the product, and says where it is.
///
/// As a part of the workspace and along with a test, the smallest there is: by itself a program would have dependencies of other features than
/// the tests have, and the whole tree below it would be built once more.
///
/// # Errors
/// When it doesn't build.
pub(crate) fn program(cache: &Cache, name: &str) -> Result<PathBuf> {
    run(product(cache).args(["build", "--quiet", "--release", "--workspace", "--exclude", "xtask", "--bin", name, "--test", "generated"]))?;
    Ok(cache.target().join("release").join(name))
}

/// Cargo in the checkout, building where cargo itself would.
pub(crate) fn plain() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(repo::root());
    // What `cargo run` told this program about its own package means nothing to the others.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_BIN_"))
        {
            cargo.env_remove(name);
        }
    }
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_checkout_compiled_of_the_workspace_is_forgotten_once() {
        let target = tempfile::tempdir().unwrap();
        let known = |path: &str| target.path().join(path);
        let make = || {
            for path in ["release/.fingerprint/crds-12", "release/.fingerprint/serde-12", "wasm32/guest/.fingerprint/sim-12"] {
                fs::create_dir_all(known(path)).unwrap();
            }
        };
        let left = || {
            ["release/.fingerprint/crds-12", "release/.fingerprint/serde-12", "wasm32/guest/.fingerprint/sim-12"]
                .map(|path| known(path).exists())
        };
        let members = || Ok(vec!["crds".to_owned(), "sim".to_owned()]);
        make();
        take_over(target.path(), Path::new("/one"), members).unwrap();
        assert_eq!(left(), [false, true, false], "nobody knows whose they were");
        make();
        take_over(target.path(), Path::new("/one"), members).unwrap();
        assert_eq!(left(), [true, true, true], "they are its own");
        take_over(target.path(), Path::new("/two"), members).unwrap();
        assert_eq!(left(), [false, true, false], "they were of another one");
    }
}
