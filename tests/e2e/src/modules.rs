//! Reconcilers as their authors handle them: a variant of one that is shipped, and the ConfigMap that offers it.

use std::{
    env, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{Admin, Cluster, MINUTE, text, wait_for, wait_for_at_once};

/// The version of everything in this repository.
const VERSION: &[u8] = env!("CARGO_PKG_VERSION").as_bytes();

/// A reconciler as it is in the operator's image.
///
/// # Errors
/// When the tests were not given it.
pub fn shipped(slot: &str) -> Result<Vec<u8>> {
    let folder = env::var_os("MODULES_DIR").context("MODULES_DIR is not set; run: cargo xtask test")?;
    let file = PathBuf::from(folder).join(format!("{slot}.wasm"));
    fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// The same reconciler with another version, as long as the first one: a build of another day without a build.
///
/// # Errors
/// When its version is not found.
pub fn variant(component: &[u8], version: &str) -> Result<Vec<u8>> {
    ensure!(version.len() == VERSION.len(), "{version} is not as long as the version that it replaces");
    // That of the contract has an @ before it, in each name of an import.
    let is = |at: &usize| component[*at..].starts_with(VERSION) && component.get(at.wrapping_sub(1)) != Some(&b'@');
    let places: Vec<usize> = (0..component.len()).filter(is).collect();
    ensure!(places.len() == 1, "the version occurs {} times", places.len());
    let mut variant = component.to_vec();
    variant[places[0]..places[0] + version.len()].copy_from_slice(version.as_bytes());
    Ok(variant)
}

/// A module as it goes into a ConfigMap. For a large one it takes a second: its author does that once.
///
/// # Errors
/// When it can't be packed.
pub fn packed(component: &[u8]) -> Result<Vec<u8>> {
    Ok(zstd::bulk::compress(component, 19)?)
}

/// A ConfigMap beside the operator that offers a module. It is gone with this value's [`ModuleMap::delete`].
pub struct ModuleMap {
    api: Api<ConfigMap>,
    name: String,
    slot: String,
}

impl ModuleMap {
    /// One of this name, which does not exist yet.
    #[must_use]
    pub fn new(cluster: &Cluster, name: &str, slot: &str) -> Self {
        let api = Api::namespaced(cluster.client.clone(), &cluster.operator_namespace);
        Self { api, name: name.into(), slot: slot.into() }
    }

    /// Applies it with this module, as `kubectl apply --server-side` does.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn apply(&self, wasm: &[u8], annotations: &Value) -> Result<()> {
        self.apply_packed(packed(wasm)?, annotations).await
    }

    /// The same with what [`packed`] gives.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn apply_packed(&self, packed: Vec<u8>, annotations: &Value) -> Result<()> {
        let manifest = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.name, "labels": {"k8s.dolthub.com/module": self.slot}, "annotations": annotations},
            "binaryData": {"module.wasm.zst": ByteString(packed)},
        });
        let params = PatchParams::apply("e2e").force();
        self.api
            .patch(&self.name, &params, &Patch::Apply(&manifest))
            .await
            .with_context(|| format!("cannot apply ConfigMap {}", self.name))?;
        Ok(())
    }

    /// Applies a module of this version and waits until it is active. Gives the time from the one to the other.
    ///
    /// # Errors
    /// With what runs instead.
    pub async fn replaces(&self, admin: &Admin, packed: Vec<u8>, version: &str) -> Result<Duration> {
        let applied = Instant::now();
        self.apply_packed(packed, &json!({})).await?;
        wait_for_at_once(format!("version {version} of {} is active", self.slot), MINUTE, async || {
            let now = admin.slot(&self.slot).await?;
            ensure!(now["version"] == version, "it is version {}: {}", now["version"], now["offers"]);
            Ok(applied.elapsed())
        })
        .await
    }

    /// What the operator says of it, as `state: message`.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn standing(&self) -> Result<String> {
        let object = serde_json::to_value(self.api.get(&self.name).await?)?;
        let annotation = |name: &str| text(&object, &format!("/metadata/annotations/k8s.dolthub.com~1module-{name}"));
        Ok(format!("{}: {}", annotation("state"), annotation("message")))
    }

    /// Waits until the operator says this of it, and gives all that it says.
    ///
    /// # Errors
    /// With what it says instead.
    pub async fn stands(&self, state: &str, limit: Duration) -> Result<String> {
        wait_for(format!("ConfigMap {} is {state}", self.name), limit, async || {
            let standing = self.standing().await?;
            ensure!(standing.starts_with(state), "it is {standing}");
            Ok(standing)
        })
        .await
    }

    /// Takes it away, also where it is not there.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn delete(&self) -> Result<()> {
        match self.api.delete(&self.name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            deleted => deleted.map(drop).with_context(|| format!("cannot delete ConfigMap {}", self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_modules_own_version_is_replaced() {
        let component = format!("log@{0}, and database{0} of clock@{0}", env!("CARGO_PKG_VERSION"));
        let expected = component.replace(&format!("database{}", env!("CARGO_PKG_VERSION")), "database9.9.9");
        assert_eq!(variant(component.as_bytes(), "9.9.9").unwrap(), expected.as_bytes());
        assert!(variant(b"nothing", "9.9.9").is_err());
        assert!(variant(component.as_bytes(), "10.9.9").is_err());
    }
}
