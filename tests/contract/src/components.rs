//! Components for tests: the reconcilers as they are shipped, and the hostile one.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use wit_component::ComponentEncoder;

/// The project's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The component of a reconciler that is shipped.
///
/// # Panics
/// When it has not been built: without it the tests would prove nothing.
pub fn shipped(name: &str) -> Vec<u8> {
    let folder = env::var_os("MODULES_DIR").unwrap_or_else(|| {
        panic!("MODULES_DIR is not set: build the reconcilers with `cargo xtask guests`, and name the folder that it prints")
    });
    let file = Path::new(&folder).join(format!("{name}.wasm"));
    fs::read(&file).unwrap_or_else(|e| panic!("cannot read {}: {e}; build the reconcilers with `cargo xtask guests`", file.display()))
}

/// The hostile component, built once for a process. `target` is the folder below which Cargo builds.
///
/// # Panics
/// When it does not build.
pub fn hostile(target: &Path) -> &'static [u8] {
    static COMPONENT: OnceLock<Vec<u8>> = OnceLock::new();
    COMPONENT.get_or_init(|| build("hostile", &[], target))
}

/// One reconciler, built for the world before the present one and for the present one. `target` is the folder below which Cargo builds.
///
/// # Panics
/// When it does not build.
pub fn of_both_worlds(target: &Path) -> &'static [Vec<u8>; 2] {
    static COMPONENTS: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    COMPONENTS.get_or_init(|| [&[][..], &["--features", "present"]].map(|features| build("former", features, target)))
}

/// A component as if it were built for another version of the contract, of a number as long as the present one's.
pub fn as_of(component: &[u8], version: &str) -> Vec<u8> {
    let (now, then) = (b"@0.2.0", format!("@{version}"));
    let mut component = component.to_vec();
    let places: Vec<_> = component.windows(now.len()).enumerate().filter(|(_, window)| window == now).map(|(at, _)| at).collect();
    places.into_iter().for_each(|at| component[at..at + now.len()].copy_from_slice(then.as_bytes()));
    component
}

fn build(package: &str, features: &[&str], target: &Path) -> Vec<u8> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--profile", "guest", "--target", "wasm32-unknown-unknown", "--package", package])
        .args(features)
        .arg("--target-dir")
        .arg(target)
        .current_dir(root())
        .status()
        .expect("cargo runs this test, so it can be run");
    assert!(status.success(), "the reconciler {package} does not build");
    let module = target.join(format!("wasm32-unknown-unknown/guest/{package}.wasm"));
    let module = fs::read(&module).unwrap_or_else(|e| panic!("cannot read {}: {e}", module.display()));
    let mut encoder = ComponentEncoder::default();
    let encoder = encoder.validate(true).module(&module).expect("it is a module of the contract's world");
    encoder.encode().expect("it makes a component")
}

/// A variant of the hostile component that does this whatever its settings say.
///
/// # Panics
/// When the words are too long, or the place for them is not found.
pub fn ordered(component: &[u8], what: &str) -> Vec<u8> {
    replaced(component, &format!("orders: {:<32}", "as the settings say"), &format!("orders: {what:<32}"))
}

/// A component with other words in the place of some that occur once in it. It stays valid because nothing moves.
///
/// # Panics
/// When the words are of another length, or don't occur exactly once.
pub fn replaced(component: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len(), "{new:?} is not as long as {old:?}");
    let places: Vec<_> =
        component.windows(old.len()).enumerate().filter(|(_, window)| *window == old.as_bytes()).map(|(at, _)| at).collect();
    let [at] = places.as_slice() else { panic!("{old:?} occurs {} times", places.len()) };
    let mut variant = component.to_vec();
    variant[*at..at + new.len()].copy_from_slice(new.as_bytes());
    variant
}
