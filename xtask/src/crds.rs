//! Generates the CustomResourceDefinitions. The crate `crds` knows how; this only calls it.

use anyhow::Result;

use crate::cache::Cache;
use crate::{cargo, run};

/// Writes them, or with `check` fails when they are not current.
///
/// # Errors
/// When the generator fails or, with `check`, finds a difference.
pub(crate) fn generate(cache: &Cache, check: bool) -> Result<()> {
    let mut generator = cargo::product(cache);
    generator.args(["run", "--quiet", "--package", "crds", "--features", "generate", "--bin", "generate-crds", "--"]);
    run::run(generator.args(check.then_some("--check")))
}
