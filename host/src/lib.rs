//! A controller host: one process that owns watches, cache, Kubernetes API, SQL connections, secrets and timers, and runs reconcilers that
//! are WebAssembly components behind one contract (`wit/`). Reconcilers read and decide; the plan that they return is checked and applied here.
//!
//! The crate knows no product: kinds, names and domains come from its [`settings`].

pub mod admin;
pub mod cluster;
mod collections;
pub mod contract;
pub mod controller;
pub mod figures;
pub mod gateway;
pub mod leader;
pub mod metrics;
pub mod module;
pub mod plan;
pub mod registry;
mod run;
pub mod runtime;
pub mod settings;
pub mod sql;
pub mod swap;
pub mod tasks;

pub use run::{Error, Options, run};
