//! `cargo xtask sim`: builds the simulator in the product's profile and runs it. Knows nothing of its arguments.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cache::Cache;
use crate::{cargo, run};

/// Plays what the arguments say. Fails as the simulator does: where something did not hold.
///
/// # Errors
/// When the simulator does not build.
pub(crate) fn play(cache: &Cache, arguments: &[OsString]) -> Result<ExitCode> {
    let mut build = cargo::product(cache);
    // Beside its tests, as a part of the workspace: by itself the package would have dependencies of other features, built anew.
    build.args(["test", "--quiet", "--release", "--workspace", "--exclude", "e2e", "--exclude", "xtask", "--test", "runs", "--no-run"]);
    run::run(&mut build)?;
    let status = run::status(Command::new(cache.target().join("release/sim")).args(arguments))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
