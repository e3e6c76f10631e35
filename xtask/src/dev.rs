//! `cargo xtask dev NAME`: watches a reconciler's sources, and swaps each new build into the development cluster by a ConfigMap, which is
//! taken away at the end. Knows nothing about what the reconciler does.
//!
//! The build has no link-time optimisation and several units: it is larger and quicker made.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use crate::cache::Cache;
use crate::cluster::Cluster;
use crate::deploy::{GROUP, NAMESPACE, Site};
use crate::run::{self, output, pause, say};
use crate::{guests, repo};

/// The cargo profile of these builds.
const PROFILE: &str = "guest-dev";
/// Between two looks at the sources.
const LOOK: Duration = Duration::from_millis(300);
/// For a module to become active, or be refused.
const PATIENCE: Duration = Duration::from_secs(90);

/// Watches until it is interrupted.
///
/// # Errors
/// When there is no such reconciler, or no cluster with the operator.
pub(crate) fn dev(cache: &Cache, cluster: &Cluster, name: &str) -> Result<()> {
    let sources = sources(name)?;
    ensure!(cluster.running(), "cluster {} does not run: cargo xtask demo starts one with the operator", cluster.name());
    let site = Site::Ours(cluster.clone());
    let map = Map { site: &site, name: format!("dev-{name}"), slot: name };
    say(format_args!(
        "watching {}; Ctrl-C takes ConfigMap {} away",
        sources.iter().map(|s| s.display().to_string()).collect::<Vec<_>>().join(", "),
        map.name
    ));
    let outcome = watch(cache, &sources, &map);
    let interrupted = run::interrupted();
    run::forget_interruption();
    map.delete()?;
    say("the image's module is back");
    if interrupted { Ok(()) } else { outcome }
}

fn watch(cache: &Cache, sources: &[PathBuf], map: &Map<'_>) -> Result<()> {
    let mut built: Option<Vec<u8>> = None;
    let mut seen = BTreeMap::new();
    loop {
        let now = state(sources)?;
        if now == seen {
            pause(LOOK)?;
            continue;
        }
        let saved = if seen.is_empty() { SystemTime::now() } else { newest(&now, &seen) };
        seen = now;
        match guests::build_one(cache, map.slot, PROFILE) {
            // The compiler has said what is wrong; the next change may put it right.
            Err(error) if !run::interrupted() => say(format_args!("{error:#}")),
            Err(error) => return Err(error),
            Ok(component) if built.as_ref() == Some(&component) => say("the same module as before"),
            Ok(component) => {
                let compiled = saved.elapsed().unwrap_or_default();
                match map.swap(cache, &component) {
                    Ok(standing) => say(format_args!(
                        "{standing}; {:.1} s after it was saved ({:.1} s to build)",
                        saved.elapsed().unwrap_or_default().as_secs_f64(),
                        compiled.as_secs_f64()
                    )),
                    Err(error) if !run::interrupted() => say(format_args!("{error:#}")),
                    Err(error) => return Err(error),
                }
                built = Some(component);
            }
        }
    }
}

/// The ConfigMap that offers the build.
struct Map<'a> {
    site: &'a Site,
    name: String,
    slot: &'a str,
}

impl Map<'_> {
    /// Offers a module, waits for what becomes of it, and gives that.
    fn swap(&self, cache: &Cache, component: &[u8]) -> Result<String> {
        let folder = cache.path("dev");
        fs::create_dir_all(&folder)?;
        let packed = folder.join(format!("{}.wasm.zst", self.slot));
        fs::write(&packed, guests::packed(component, 3)?)?;
        let length = fs::metadata(&packed)?.len();
        ensure!(length < 1 << 20, "the module has {length} bytes as zstd, and a ConfigMap holds 1 MiB");
        let made = output(
            self.kubectl()?
                .args(["create", "configmap", &self.name, "--dry-run=client", "--output=json"])
                .arg(format!("--from-file=module.wasm.zst={}", packed.display())),
        )?;
        let mut manifest: serde_json::Value = serde_json::from_str(&made).context("read what kubectl made")?;
        manifest["metadata"]["labels"] = serde_json::json!({ format!("{GROUP}/module"): self.slot });
        // Somebody sits before it and looks: nothing has to be the same as before.
        manifest["metadata"]["annotations"] = serde_json::json!({ format!("{GROUP}/module-policy"): "always" });
        let file = folder.join(format!("{}.json", self.slot));
        fs::write(&file, manifest.to_string())?;
        output(self.kubectl()?.args(["apply", "--server-side", "--force-conflicts", "--filename"]).arg(&file))?;
        let started = Instant::now();
        let digest = sha256(component);
        loop {
            let object = self.site.json(&["get", "configmap", &self.name, "--namespace", NAMESPACE])?;
            let annotation =
                |key: &str| object["metadata"]["annotations"][format!("{GROUP}/module-{key}")].as_str().unwrap_or_default().to_owned();
            let (state, message) = (annotation("state"), annotation("message"));
            if annotation("digest") == digest || (state == "Refused" && started.elapsed() > Duration::from_secs(2)) {
                match state.as_str() {
                    "Probation" | "Active" => return Ok(format!("{state}: {message}")),
                    "Refused" | "RolledBack" | "Waiting" => bail!("{state}: {message}"),
                    _ => {}
                }
            }
            ensure!(started.elapsed() < PATIENCE, "nothing has become of it for {} s: {state}: {message}", PATIENCE.as_secs());
            pause(Duration::from_millis(100))?;
        }
    }

    fn delete(&self) -> Result<()> {
        output(self.kubectl()?.args(["delete", "configmap", &self.name, "--ignore-not-found"])).map(drop)
    }

    fn kubectl(&self) -> Result<std::process::Command> {
        let mut kubectl = self.site.kubectl()?;
        kubectl.args(["--namespace", NAMESPACE]);
        Ok(kubectl)
    }
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex::encode(sha2::Sha256::digest(bytes))
}

/// What a change of makes another module: the reconciler itself, and what all are made of.
fn sources(name: &str) -> Result<Vec<PathBuf>> {
    let own = [repo::path("guests").join(name), repo::path("examples/reconcilers").join(name)];
    let own = own.into_iter().find(|folder| folder.join("Cargo.toml").is_file());
    let own = own.with_context(|| format!("there is no reconciler {name} in guests/ or examples/reconcilers/"))?;
    let shared = ["guests/sdk", "guests/dolt", "crds/src", "wit"].map(repo::path);
    Ok([own].into_iter().chain(shared).filter(|folder| folder.exists()).collect())
}

/// Each file that counts, and when it was changed.
fn state(sources: &[PathBuf]) -> Result<BTreeMap<PathBuf, SystemTime>> {
    let mut state = BTreeMap::new();
    let mut folders = sources.to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("look into {}", folder.display()))?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                // Tests are no part of the module.
                if path.file_name().is_none_or(|name| name != "tests") {
                    folders.push(path);
                }
            } else if counts(&path) {
                // A file may be gone while it is being replaced.
                let Ok(time) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
                state.insert(path, time);
            }
        }
    }
    Ok(state)
}

fn counts(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["rs", "toml", "wit"].iter().any(|one| extension == *one))
}

/// When the last of the changed files was saved.
fn newest(now: &BTreeMap<PathBuf, SystemTime>, before: &BTreeMap<PathBuf, SystemTime>) -> SystemTime {
    now.iter().filter(|(path, time)| before.get(*path) != Some(time)).map(|(_, time)| *time).max().unwrap_or_else(SystemTime::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_source_is_noticed_and_a_test_is_not() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("tests")).unwrap();
        fs::write(folder.path().join("lib.rs"), "a").unwrap();
        let sources = [folder.path().to_owned()];
        let before = state(&sources).unwrap();
        fs::write(folder.path().join("tests/cases.rs"), "b").unwrap();
        fs::write(folder.path().join("notes.txt"), "c").unwrap();
        assert_eq!(state(&sources).unwrap(), before);
        let saved = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        fs::File::open(folder.path().join("lib.rs")).unwrap().set_modified(saved).unwrap();
        let now = state(&sources).unwrap();
        assert_ne!(now, before);
        assert_eq!(newest(&now, &before), saved);
    }
}
