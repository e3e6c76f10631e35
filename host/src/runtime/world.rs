//! Whether a component is one of the world: its imports are its capabilities, so there must be none that the world doesn't have.

use wasmtime::{Engine, component::Component};

use super::error::RuntimeError;

/// Package and version that are served.
const PACKAGE: (&str, &str) = ("controller:reconciler/", "@0.1.0");

/// Interfaces that languages with a runtime of their own import. They are served with nothing behind them.
const WASI: &str = "wasi:";

/// Names everything that stands in the way; types are compared when the component is linked.
pub(super) fn check(engine: &Engine, component: &Component) -> Result<(), RuntimeError> {
    let ty = component.component_type();
    let foreign: Vec<_> = ty.imports(engine).map(|(name, _)| name).filter(|name| !served(name)).collect();
    if !foreign.is_empty() {
        return Err(RuntimeError::World { message: format!("it imports {}", foreign.join(", ")) });
    }
    let missing: Vec<_> = ["describe", "reconcile"].into_iter().filter(|name| ty.exports(engine).all(|(n, _)| n != *name)).collect();
    if !missing.is_empty() {
        return Err(RuntimeError::World { message: format!("it does not export {}", missing.join(", ")) });
    }
    Ok(())
}

fn served(import: &str) -> bool {
    let ours = import.strip_prefix(PACKAGE.0).and_then(|rest| rest.strip_suffix(PACKAGE.1));
    ours.is_some_and(|interface| matches!(interface, "types" | "cluster" | "sql" | "clock" | "log")) || import.starts_with(WASI)
}
