//! Where things are in the checkout. Knows nothing about what they hold.

use std::path::{Path, PathBuf};

/// The root of the checkout that this command was started from.
pub(crate) fn root() -> PathBuf {
    // Cargo says at run time which checkout it runs; the value of compile time may be another one's where a target folder is shared.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or(manifest.clone(), Path::to_path_buf)
}

/// A path below the root.
pub(crate) fn path(relative: &str) -> PathBuf {
    root().join(relative)
}
