//! The contract's types and functions as Rust, generated from `wit/reconciler.wit` for the component's side of the boundary.
//!
//! They serialise exactly as the host's do (plain derives on both sides), so that a journal of the host is a fixture for a test.

wit_bindgen::generate!({
    path: "../../wit/reconciler.wit",
    world: "reconciler",
    additional_derives: [PartialEq, Clone, serde::Serialize, serde::Deserialize],
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "sdk::bindings",
});
