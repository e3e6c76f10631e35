//! What the end-to-end tests stand on: a namespace for each test, objects as JSON, waiting for conditions, SQL through the cluster's
//! names, and the operator's pods as something that can be killed.
//!
//! It takes a cluster with the operator installed, named by `KUBECONFIG`, and runs where that cluster's addresses are reached and its
//! names resolve. It deliberately knows nothing of how such a cluster is made: `cargo xtask test` does that.

mod admin;
mod cluster;
mod doltdb;
mod events;
pub mod former;
mod manifest;
mod modules;
mod namespace;
mod operator;
mod pods;
mod process;
mod programs;
mod quiet;
mod ready;
mod report;
mod sql;
mod wait;

use std::{
    fmt::Display,
    io::Write,
    panic::{AssertUnwindSafe, resume_unwind},
    process::ExitCode,
};

use anyhow::Result;
use futures::FutureExt;

pub use admin::Admin;
pub use cluster::Cluster;
pub use doltdb::{ADMIN, PASSWORD, credentials, database, engine_version, grant, image, password, replicated, standalone, user, with};
pub use events::Event;
pub use manifest::{expected, file, folder};
pub use modules::{ModuleMap, packed, shipped, variant};
pub use namespace::Namespace;
pub use operator::{Crashed, Operator, Rival};
pub use pods::{Pods, Seen};
pub use programs::{called, root, script, typed};
pub use quiet::Watched;
pub use ready::{Condition, condition, text};
pub use sql::Sql;
pub use wait::{MINUTE, in_time, seconds, wait_for, wait_for_at_once};

/// Runs a test in a fresh namespace, shows what the cluster looks like where it fails, and takes the namespace away in any case.
///
/// # Errors
/// What the test failed with, or why there is no cluster to run on.
pub async fn in_namespace(prefix: &str, test: impl AsyncFnOnce(&Namespace) -> Result<()>) -> Result<()> {
    let cluster = Cluster::connect().await?;
    let namespace = Namespace::create(&cluster, prefix).await?;
    let outcome = AssertUnwindSafe(test(&namespace)).catch_unwind().await;
    if let Ok(Err(error)) = &outcome {
        eprintln!("{error:#}");
    }
    if !matches!(outcome, Ok(Ok(()))) {
        eprintln!("{}", report::of(&namespace).await);
    }
    let removed = namespace.remove().await;
    match outcome {
        Ok(result) => result.and(removed),
        Err(panic) => resume_unwind(panic),
    }
}

/// How a program ends that says whether all was as wanted.
pub fn ended(outcome: Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Shows a measurement, also of a test that passes: the test runner keeps only what the print macros write.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
