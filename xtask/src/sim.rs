//! `cargo xtask sim`: builds the simulator in the product's profile and runs it. Knows nothing of its arguments.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;

use crate::cache::Cache;
use crate::{cargo, run};

/// Plays what the arguments say. Fails as the simulator does: where something did not hold.
///
/// # Errors
/// When cargo cannot be run.
pub(crate) fn play(cache: &Cache, arguments: &[OsString]) -> Result<ExitCode> {
    let mut simulator = cargo::product(cache);
    simulator.args(["run", "--quiet", "--release", "--package", "sim", "--"]).args(arguments);
    let status = run::status(&mut simulator)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
