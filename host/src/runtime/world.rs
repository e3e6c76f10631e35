//! Which world a component is of, and whether it stays within it: its imports are its capabilities, so there must be none that the world
//! doesn't have.

use std::collections::BTreeSet;

use wasmtime::{Engine, component::Component};

use super::{error::RuntimeError, former};

/// The package of the contract.
const PACKAGE: &str = "controller:reconciler/";

/// Interfaces that languages with a runtime of their own import. They are served with nothing behind them.
pub(super) const WASI: &str = "wasi:";

/// A version of the contract that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct World {
    /// As published.
    pub(super) version: &'static str,
    /// What a component of it may import.
    pub(super) interfaces: &'static [&'static str],
}

/// What `contract` is generated from.
pub(super) const PRESENT: World = World { version: "0.2.0", interfaces: &["types", "cluster", "sql", "tasks", "clock", "log"] };

/// The versions that this host runs, newest first.
pub(super) const SERVED: [World; 2] = [PRESENT, former::WORLD];

/// The world of a component. Names everything that stands in the way; types are compared when the component is linked.
pub(super) fn of(engine: &Engine, component: &Component) -> Result<World, RuntimeError> {
    let ty = component.component_type();
    let imports: Vec<&str> = ty.imports(engine).map(|(name, _)| name).collect();
    let exports: Vec<&str> = ty.exports(engine).map(|(name, _)| name).collect();
    judge(&imports, &exports)
}

fn judge(imports: &[&str], exports: &[&str]) -> Result<World, RuntimeError> {
    let ours: Vec<(&str, &str)> =
        imports.iter().filter_map(|import| import.strip_prefix(PACKAGE)).map(|rest| rest.split_once('@').unwrap_or((rest, ""))).collect();
    let versions: BTreeSet<&str> = ours.iter().map(|(_, version)| *version).collect();
    let world = match versions.iter().copied().collect::<Vec<_>>().as_slice() {
        // What it lacks is told below.
        [] => PRESENT,
        [version] => *SERVED
            .iter()
            .find(|world| world.version == *version)
            .ok_or_else(|| RuntimeError::Version { version: (*version).into(), served: RuntimeError::served() })?,
        several => return Err(RuntimeError::World { message: format!("it imports of several versions: {}", several.join(", ")) }),
    };
    let served = |import: &str| match import.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@')) {
        Some((interface, _)) => world.interfaces.contains(&interface),
        None => import.starts_with(WASI),
    };
    let foreign: Vec<_> = imports.iter().copied().filter(|import| !served(import)).collect();
    if !foreign.is_empty() {
        return Err(RuntimeError::World { message: format!("it imports {}", foreign.join(", ")) });
    }
    let missing: Vec<_> = ["describe", "reconcile"].into_iter().filter(|name| !exports.contains(name)).collect();
    if !missing.is_empty() {
        return Err(RuntimeError::World { message: format!("it does not export {}", missing.join(", ")) });
    }
    Ok(world)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORTS: [&str; 2] = ["describe", "reconcile"];

    #[rstest::rstest]
    #[case::present(&["controller:reconciler/types@0.2.0", "controller:reconciler/tasks@0.2.0"], Ok("0.2.0"))]
    #[case::former(&["controller:reconciler/types@0.1.0", "wasi:io/poll@0.2.6"], Ok("0.1.0"))]
    #[case::newer(&["controller:reconciler/types@0.3.0"], Err("of version 0.3.0 of the world, and this host runs 0.2.0 and 0.1.0"))]
    #[case::patched(&["controller:reconciler/types@0.2.1"], Err("of version 0.2.1 of the world, and this host runs 0.2.0 and 0.1.0"))]
    #[case::mixed(&["controller:reconciler/types@0.2.0", "controller:reconciler/sql@0.1.0"], Err("it imports of several versions: 0.1.0, 0.2.0"))]
    #[case::later_interface(&["controller:reconciler/tasks@0.1.0"], Err("it imports controller:reconciler/tasks@0.1.0"))]
    #[case::foreign(&["controller:reconciler/types@0.2.0", "a:b/c"], Err("it imports a:b/c"))]
    fn the_world_is_told_by_the_imports(#[case] imports: &[&str], #[case] expected: Result<&str, &str>) {
        match (judge(imports, &EXPORTS), expected) {
            (Ok(world), Ok(version)) => assert_eq!(world.version, version),
            (Err(error), Err(words)) => assert!(error.to_string().ends_with(words), "{error}"),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn what_exports_nothing_is_no_reconciler() {
        assert!(judge(&[], &["describe"]).unwrap_err().to_string().ends_with("it does not export reconcile"));
    }
}
