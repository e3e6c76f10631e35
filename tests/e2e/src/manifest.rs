//! Manifests of the repository, and how a kind is addressed at the API server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

/// A path in the repository. Tests may run where the checkout is that they were built from.
fn path(relative: &str) -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.join("../..").join(relative)
}

/// The objects of a YAML file of the repository, in their order.
///
/// # Errors
/// When it can't be read.
pub fn file(relative: &str) -> Result<Vec<Value>> {
    let path = path(relative);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_saphyr::from_multiple(&text).with_context(|| format!("{} is no YAML", path.display()))
}

/// The paths of the YAML files in a folder of the repository, by name. There is at least one.
///
/// # Errors
/// When the folder can't be read or holds none.
pub fn folder(relative: &str) -> Result<Vec<String>> {
    let path = path(relative);
    let entries = fs::read_dir(&path).with_context(|| format!("cannot read folder {}", path.display()))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut files: Vec<_> = names.filter(|name| name.ends_with(".yaml")).map(|name| format!("{relative}/{name}")).collect();
    ensure!(!files.is_empty(), "folder {} holds no YAML file", path.display());
    files.sort();
    Ok(files)
}

/// What the API server has to say to a file, by its line `# expect: …`.
///
/// # Errors
/// When the file can't be read or has no such line.
pub fn expected(relative: &str) -> Result<String> {
    let text = fs::read_to_string(path(relative)).with_context(|| format!("cannot read {relative}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("# expect: "));
    line.map(ToOwned::to_owned).with_context(|| format!("{relative} has no line \"# expect: …\""))
}

/// Where the API server serves a kind. Only kinds that the tests name.
pub(crate) fn resource(kind: &str) -> ApiResource {
    let (group, version) = match kind {
        "DoltDB" | "Database" | "User" | "Grant" | "Snapshot" | "Backup" | "BackupSchedule" => ("k8s.dolthub.com", "v1alpha"),
        "StatefulSet" | "Deployment" => ("apps", "v1"),
        "PodDisruptionBudget" => ("policy", "v1"),
        "Lease" => ("coordination.k8s.io", "v1"),
        "Role" | "RoleBinding" | "ClusterRoleBinding" => ("rbac.authorization.k8s.io", "v1"),
        "StorageClass" => ("storage.k8s.io", "v1"),
        "VolumeSnapshot" => ("snapshot.storage.k8s.io", "v1"),
        "CronJob" => ("batch", "v1"),
        _ => ("", "v1"),
    };
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// Kind and name of a manifest.
pub(crate) fn identity(manifest: &Value) -> Result<(&str, &str)> {
    let kind = manifest["kind"].as_str().context("a manifest has no kind")?;
    let name = manifest["metadata"]["name"].as_str().with_context(|| format!("a {kind} has no name"))?;
    Ok((kind, name))
}

/// Whether a file holds nothing that can be applied, as `kustomization.yaml` does.
pub(crate) fn is_kustomization(path: &str) -> bool {
    Path::new(path).file_name().is_some_and(|name| name == "kustomization.yaml")
}
