//! Reconcilers as they are shipped: components of the world and nothing more, small enough for a ConfigMap.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use contract::components;
use rstest::rstest;
use wasmparser::{ComponentTypeRef, Parser, Payload, Validator, WasmFeatures};

/// What a ConfigMap must have room for: its limit is 1 MiB, and base64 costs a third.
const PACKED: usize = 400 << 10;

#[rstest]
#[case("backup")]
#[case("backupschedule")]
#[case("database")]
#[case("doltdb")]
#[case("grant")]
#[case("snapshot")]
#[case("user")]
fn a_component_imports_the_contract_and_nothing_else(#[case] name: &str) {
    let component = components::shipped(name);
    Validator::new_with_features(WasmFeatures::default()).validate_all(&component).unwrap();
    let (imports, exports) = interface(&component);
    let foreign: Vec<_> = imports.iter().filter(|i| !(i.starts_with("controller:reconciler/") && i.ends_with("@0.2.0"))).collect();
    assert_eq!(foreign, Vec::<&String>::new());
    for function in ["describe", "reconcile"] {
        assert!(exports.iter().any(|export| export == function), "{name} exports no {function}: {exports:?}");
    }
}

#[rstest]
#[case("backup")]
#[case("backupschedule")]
#[case("database")]
#[case("doltdb")]
#[case("grant")]
#[case("snapshot")]
#[case("user")]
fn a_component_fits_a_config_map(#[case] name: &str) {
    let packed = zstd::bulk::compress(&components::shipped(name), 19).unwrap().len();
    assert!(packed <= PACKED, "{name} has {packed} bytes as zstd -19, {PACKED} are allowed");
}

/// The names of what a component itself imports and exports: not what the modules and components inside of it do.
fn interface(component: &[u8]) -> (Vec<String>, Vec<String>) {
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0_u32);
    for payload in Parser::new(0).parse_all(component) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            // An imported type is a name for something in an interface, and no capability.
            Payload::ComponentImportSection(section) if depth == 0 => {
                let things = section.into_iter().map(Result::unwrap).filter(|i| !matches!(i.ty, ComponentTypeRef::Type(_)));
                imports.extend(things.map(|i| i.name.name.into()));
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                exports.extend(section.into_iter().map(|e| e.unwrap().name.name.into()))
            }
            _ => {}
        }
    }
    (imports, exports)
}
