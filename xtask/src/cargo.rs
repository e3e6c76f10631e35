//! How this command calls cargo for the product: one target folder for all checkouts, the workspace's own lock file.

use std::process::Command;

use crate::cache::Cache;
use crate::repo;

/// Cargo in the checkout, building into the cache.
pub(crate) fn product(cache: &Cache) -> Command {
    let mut cargo = plain();
    cargo.env("CARGO_TARGET_DIR", cache.target());
    cargo
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
