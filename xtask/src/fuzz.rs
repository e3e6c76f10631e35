//! `cargo xtask fuzz`: inputs at random for what reads bytes that nobody vouches for. Knows nothing of what they are put into.

use anyhow::{Result, bail};

use crate::cache::Cache;
use crate::tools::programs;
use crate::{cargo, guests, preflight, run};

/// The tests that take inputs at random.
const TARGETS: [&str; 4] = ["any_object", "any_plan", "any_module", "anything"];

/// Tries inputs that were never tried before, for so long each.
///
/// # Errors
/// When something is missing, or an input is found for which a property does not hold. Its seed has been printed then.
pub(crate) fn fuzz(cache: &Cache, seconds: u32) -> Result<()> {
    preflight::demand("building the guests", &preflight::for_guests(), "")?;
    preflight::demand("building a Dolt server", &preflight::for_programs(), "")?;
    let modules = guests::build(cache)?;
    let mut tests = cargo::product(cache);
    tests.args(["test", "--release", "--workspace", "--exclude", "e2e", "--exclude", "xtask", "--no-fail-fast"]);
    tests.args(TARGETS.iter().flat_map(|target| ["--test", target]));
    tests.env("FUZZ_SECONDS", seconds.to_string()).env("MODULES_DIR", modules).env("DOLT_BIN", programs::dolt(cache)?.join("dolt"));
    if !run::status(&mut tests)?.success() {
        bail!("a property does not hold: ARBTEST_SEED=… plays an input again");
    }
    Ok(())
}
