//! Builds the reconcilers: each crate below `guests/` that makes a cdylib becomes one component. So does one below another folder, if asked.
//! Knows nothing about what they reconcile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use wasmparser::{ComponentTypeRef, Parser, Payload, Validator, WasmFeatures};
use wit_component::ComponentEncoder;

use crate::cache::Cache;
use crate::run::{run, say};
use crate::{cargo, preflight, repo};

/// What a component may import: the contract and nothing else.
const IMPORTS: &str = "controller:reconciler/";

/// What a component must export.
const EXPORTS: [&str; 2] = ["describe", "reconcile"];

/// The part of `cargo metadata` that says which crates are guests.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

/// Builds all guests and prints their sizes; gives the folder that holds `NAME.wasm` for each.
///
/// # Errors
/// When one doesn't build, isn't a valid component, or imports something outside the contract.
pub(crate) fn build(cache: &Cache) -> Result<PathBuf> {
    let folder = cache.target().join("modules");
    let names = build_below(cache, &repo::path("guests"), &folder)?;
    remove_others(&folder, &names)?;
    Ok(folder)
}

/// Builds the reconcilers below a folder of the workspace into another folder, and gives their names.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_below(cache: &Cache, sources: &Path, folder: &Path) -> Result<Vec<String>> {
    preflight::demand("building the guests", &preflight::for_guests(), "")?;
    let sources = sources.canonicalize().with_context(|| format!("find {}", sources.display()))?;
    let names = guests(&cargo::metadata()?, &sources);
    ensure!(!names.is_empty(), "no crate of the workspace below {} makes a cdylib", sources.display());
    fs::create_dir_all(folder)?;
    for name in &names {
        say(format_args!("building the guest {name}"));
        let component = build_one(cache, name, "guest")?;
        let file = folder.join(format!("{name}.wasm"));
        // Somebody may be reading the previous one.
        let partial = folder.join(format!(".{name}.{}.partial", std::process::id()));
        fs::write(&partial, &component)?;
        fs::rename(&partial, &file)?;
        say(format_args!("  {}: {}", file.display(), sizes(&component)));
    }
    Ok(names)
}

/// Builds one reconciler by a profile, and gives the component.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_one(cache: &Cache, name: &str, profile: &str) -> Result<Vec<u8>> {
    let mut build = cargo::product(cache);
    build.args(["build", "--quiet", "--profile", profile, "--target", "wasm32-unknown-unknown", "--package", name]);
    build.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", remap());
    run(&mut build)?;
    let folder = cache.target().join("wasm32-unknown-unknown").join(profile);
    let module = folder.join(format!("{}.wasm", name.replace('-', "_")));
    component(&fs::read(&module).with_context(|| format!("read {}", module.display()))?)
        .with_context(|| format!("make a component of the guest {name}"))
}

/// Copies all components of a folder into another one, which is made where it isn't there.
///
/// # Errors
/// When a file can't be copied.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for file in components(from)? {
        let target = to.join(file.file_name().unwrap_or_default());
        fs::copy(&file, &target).with_context(|| format!("copy {} to {}", file.display(), target.display()))?;
    }
    Ok(())
}

/// The components of a folder, sorted.
///
/// # Errors
/// When the folder can't be read.
pub(crate) fn components(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "wasm"));
    files.sort();
    Ok(files)
}

/// Panics name source files: by names that are the same on every machine.
fn remap() -> String {
    let home = std::env::var("CARGO_HOME").ok().or_else(|| Some(format!("{}/.cargo", std::env::var("HOME").ok()?)));
    let registry = home.map(|home| format!(" --remap-path-prefix={home}/registry/src=crates")).unwrap_or_default();
    format!("--remap-path-prefix={}=.{registry}", repo::root().display())
}

fn guests(metadata: &Metadata, below: &Path) -> Vec<String> {
    let guest = |package: &&Package| {
        package.manifest_path.starts_with(below)
            && package.targets.iter().any(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))
    };
    let mut names = metadata.packages.iter().filter(guest).map(|package| package.name.clone()).collect::<Vec<_>>();
    names.sort();
    names
}

fn component(module: &[u8]) -> Result<Vec<u8>> {
    let component = ComponentEncoder::default().validate(false).module(module)?.encode()?;
    Validator::new_with_features(WasmFeatures::all()).validate_all(&component).context("validate")?;
    let (imports, exports) = interface(&component)?;
    for function in EXPORTS {
        ensure!(exports.iter().any(|export| export == function), "exports no {function}: does it call export_component?");
    }
    let others = imports.into_iter().filter(|import| !import.starts_with(IMPORTS)).collect::<Vec<_>>();
    ensure!(others.is_empty(), "imports outside the contract: {}", others.join(", "));
    Ok(component)
}

/// The names of what a component imports, and of what it exports.
fn interface(component: &[u8]) -> Result<(Vec<String>, Vec<String>)> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import?;
                    // A type that the exports are described with gives no capability.
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

/// A module of a crate that is gone would still be packed into the image.
fn remove_others(folder: &Path, names: &[String]) -> Result<()> {
    for file in components(folder)? {
        if !file.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| names.iter().any(|name| name == stem)) {
            fs::remove_file(&file)?;
        }
    }
    Ok(())
}

fn sizes(component: &[u8]) -> String {
    let kilobytes = |bytes: usize| bytes.div_ceil(1024);
    let compressed = compressed(component)
        .map_or_else(|error| format!("as zstd -19 unknown ({error:#})"), |size| format!("{} KiB as zstd -19", kilobytes(size)));
    format!("{} KiB, {compressed}", kilobytes(component.len()))
}

fn compressed(bytes: &[u8]) -> Result<usize> {
    packed(bytes, 19).map(|packed| packed.len())
}

/// The bytes as zstd of that level.
///
/// # Errors
/// When there is no zstd.
pub(crate) fn packed(bytes: &[u8], level: u32) -> Result<Vec<u8>> {
    use std::io::{Read, Write};
    let mut zstd = Command::new("zstd")
        .args([&format!("-{level}"), "-q", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("no zstd")?;
    let (Some(mut input), Some(mut result)) = (zstd.stdin.take(), zstd.stdout.take()) else { bail!("no pipes") };
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let mut packed = Vec::new();
    result.read_to_end(&mut packed)?;
    ensure!(zstd.wait()?.success() && writer.join().is_ok_and(|written| written.is_ok()), "zstd failed");
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_are_the_cdylibs_below_guests() {
        let package = |name: &str, folder: &str, kind: &str| Package {
            name: name.into(),
            manifest_path: repo::path(folder).join("Cargo.toml"),
            targets: vec![Target { crate_types: vec![kind.into(), "rlib".into()] }],
        };
        let packages = vec![
            package("b", "guests/b", "cdylib"),
            package("a", "guests/a", "cdylib"),
            package("sdk", "guests/sdk", "lib"),
            package("c", "c", "cdylib"),
        ];
        assert_eq!(guests(&Metadata { packages }, &repo::path("guests")), ["a", "b"]);
    }

    #[test]
    fn a_module_without_a_contract_imports_nothing_and_is_no_guest() {
        // The empty component.
        let empty = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
        assert_eq!(interface(&empty).unwrap(), (Vec::new(), Vec::new()));
        assert!(component(b"not wasm").is_err());
    }
}
