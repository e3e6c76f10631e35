//! `cargo xtask bench reconcile|memory`: what a reconcile as a component costs, in time against the same logic compiled natively, and in
//! memory. Prints Markdown for `docs/performance.md`, and fails where a figure is not as wanted. It needs no cluster.

mod memory;
mod past;
mod reconcile;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

#[derive(Debug, Parser)]
enum Arguments {
    /// A whole reconcile of a DoltDB, as a component and natively
    Reconcile {
        /// The folder of the components
        #[arg(long)]
        modules: PathBuf,
        /// Reconciles of each sort
        #[arg(long, default_value_t = 5_000)]
        runs: usize,
    },
    /// Modules at rest, 1,000 reconciles at once, 1,000 swaps
    Memory {
        /// The folder of the components
        #[arg(long)]
        modules: PathBuf,
    },
    /// Compiles a component, in a process that takes its memory with it
    #[command(hide = true)]
    Compile { wasm: PathBuf, code: PathBuf },
}

/// What was measured, as Markdown, and what of it is not as wanted.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) lines: Vec<String>,
    pub(crate) complaints: Vec<String>,
}

impl Report {
    pub(crate) fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    pub(crate) fn want(&mut self, holds: bool, complaint: impl FnOnce() -> String) {
        if !holds {
            self.complaints.push(complaint());
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let report = match Arguments::parse() {
        Arguments::Compile { wasm, code } => {
            host::module::compile_in_this_process(&wasm, &code)?;
            return Ok(ExitCode::SUCCESS);
        }
        Arguments::Reconcile { modules, runs } => runtime()?.block_on(reconcile::measure(&modules, runs))?,
        Arguments::Memory { modules } => runtime()?.block_on(memory::measure(&modules))?,
    };
    println!("{}", report.lines.join("\n"));
    report.complaints.iter().for_each(|complaint| eprintln!("not as wanted: {complaint}"));
    Ok(if report.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
