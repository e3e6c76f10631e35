//! The contract's types (`wit/reconciler.wit`) as Rust, generated for the host's side of the boundary.
//!
//! The whole host speaks in these types, so nothing is translated between rooms. They serialise: a journal is these records as JSON.
#![allow(missing_docs, clippy::all, reason = "generated; the docs stand in the WIT file")]

wasmtime::component::bindgen!({
    path: "../wit/reconciler.wit",
    world: "reconciler",
    imports: { default: async | trappable },
    exports: { default: async },
    additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
});

pub use self::controller::reconciler::{clock, cluster, log, sql, tasks, types};
pub use types::*;
