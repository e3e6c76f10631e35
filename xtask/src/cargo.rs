//! How this command calls cargo for the product: one target folder for all checkouts, the workspace's own lock file.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::cache::Cache;
use crate::repo;
use crate::run::run;

/// Cargo in the checkout, building into the cache.
pub(crate) fn product(cache: &Cache) -> Command {
    let mut cargo = plain();
    cargo.env("CARGO_TARGET_DIR", cache.target());
    cargo
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
