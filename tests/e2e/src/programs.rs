//! Programs as a user calls them, and what the docs tell users to type: in the repository's folder, with the operator's program on `PATH`.

use std::{env, ffi::OsStr, fs, path::PathBuf, process::Stdio};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// The checkout: this program may run in another one than it was built from.
///
/// # Errors
/// When it runs in none.
pub fn root() -> Result<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.ancestors().find(|folder| folder.join("Cargo.lock").exists()).map(ToOwned::to_owned).context("cannot find the repository")
}

/// What a page of the docs tells its readers to type, in blocks of this kind (what stands behind the backticks).
///
/// # Errors
/// When there is no such page, or no such block.
pub fn typed(page: &str, kind: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(root()?.join(page)).with_context(|| format!("cannot read {page}"))?;
    let start = format!("\n```{kind}\n");
    let blocks: Vec<_> =
        text.split(&start).skip(1).filter_map(|rest| rest.split_once("\n```")).map(|(block, _)| block.to_owned()).collect();
    ensure!(!blocks.is_empty(), "{page} has no block {kind}");
    Ok(blocks)
}

/// Calls a program and gives what it prints.
///
/// # Errors
/// With what it says, when it fails.
pub async fn called<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    run(program, command).await
}

/// Runs lines of a shell, up to the first that fails, and gives what they print.
///
/// # Errors
/// With what they say, when one fails.
pub async fn script(lines: &str) -> Result<String> {
    let mut command = Command::new("bash");
    // Whoever runs the tests has built the command already, maybe for another folder.
    let own = "cargo() { if [ \"$1\" = xtask ] && [ -n \"${XTASK:-}\" ]; then shift; CARGO_MANIFEST_DIR=$PWD/xtask \"$XTASK\" \"$@\"; else command cargo \"$@\"; fi; }\n";
    command.args(["-euo", "pipefail", "-c", &format!("{own}{lines}")]);
    run(lines, command).await
}

async fn run(what: &str, mut command: Command) -> Result<String> {
    command.current_dir(root()?).stdin(Stdio::null());
    if let Some(folder) = env::var_os("OPERATOR_BIN_DIR") {
        let path = env::var_os("PATH").unwrap_or_default();
        command.env("PATH", env::join_paths([PathBuf::from(folder)].into_iter().chain(env::split_paths(&path)))?);
    }
    let output = command.output().await.with_context(|| format!("cannot run {what}"))?;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{what}\n{} and said:\n{said}{complained}", output.status);
    Ok(said.into_owned())
}
