//! Programs built from source with pinned modules: Kubernetes, Dolt, CoreDNS, storage with snapshots, helm, a registry, and the pause program.
//! Each is kept in the cache under a digest of what it was built from. Knows nothing about how they are run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::cache::{Cache, digest};
use crate::repo;
use crate::run::{logged, output, say};
use crate::tools::debian::find;

/// The release whose modules `tests/cluster/programs/kube/go.mod` requires.
const KUBERNETES: &str = "v1.35.4";
const HELM: &str = "3.22.0";
const FOLDER: &str = "tests/cluster/programs";

/// What the one Kubernetes binary answers to.
pub(crate) const KUBERNETES_PROGRAMS: &[&str] =
    &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"];

/// A folder with the six Kubernetes programs.
///
/// # Errors
/// When the build fails.
pub(crate) fn kubernetes(cache: &Cache) -> Result<PathBuf> {
    let flags = format!("-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES}");
    let hint = format!("Kubernetes {KUBERNETES} (about 10 minutes on 2 cores, once)");
    go(cache, "kube", &hint, &["-ldflags", &flags, "."], "0", |partial| {
        for program in KUBERNETES_PROGRAMS {
            symlink("kube", partial.join(program))?;
        }
        Ok(())
    })
}

/// A folder with the program `dolt`.
///
/// # Errors
/// When the build fails.
pub(crate) fn dolt(cache: &Cache) -> Result<PathBuf> {
    let arguments = ["-tags", "gms_pure_go", "-ldflags", "-s -w", "github.com/dolthub/dolt/go/cmd/dolt"];
    go(cache, "dolt", "Dolt (about 5 minutes on 2 cores, once)", &arguments, "1", |_| Ok(()))
}

/// A folder with the program `coredns`.
///
/// # Errors
/// When the build fails.
pub(crate) fn coredns(cache: &Cache) -> Result<PathBuf> {
    go(cache, "coredns", "CoreDNS (about 3 minutes on 2 cores, once)", &["-ldflags", "-s -w", "."], "0", |_| Ok(()))
}

/// Two folders with the programs of storage with snapshots: the driver for tests, the sidecars, and the controller of snapshots with its
/// definitions. csi-provisioner has a module of its own, because its libraries are a release behind.
///
/// # Errors
/// When the build fails.
pub(crate) fn csi(cache: &Cache) -> Result<[PathBuf; 2]> {
    let provisioner = ["-ldflags", "-s -w", "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner"];
    let snapshotter = "github.com/kubernetes-csi/external-snapshotter";
    let controllers = ["csi-snapshotter", "snapshot-controller"].map(|program| format!("{snapshotter}/v8/cmd/{program}"));
    let resizer = "github.com/kubernetes-csi/external-resizer/v2/cmd/csi-resizer";
    let arguments = ["-ldflags", "-s -w", ".", resizer, &controllers[0], &controllers[1]];
    let hint = |what: &str| format!("{what} (about 4 minutes on 2 cores, once)");
    Ok([
        go(cache, "csi-provisioner", &hint("csi-provisioner"), &provisioner, "0", |_| Ok(()))?,
        go(cache, "csi", &hint("the storage driver and its sidecars"), &arguments, "0", |partial| {
            fs::rename(partial.join("csi"), partial.join("csi-driver"))?;
            definitions(&format!("{snapshotter}/client/v8"), partial)
        })?,
    ])
}

/// The definitions of VolumeSnapshots, as their module brings them, in one file.
fn definitions(module: &str, partial: &Path) -> Result<()> {
    let mut go = Command::new(find("go").unwrap_or_else(|| "go".into()));
    go.current_dir(repo::path(FOLDER).join("csi")).env("GOFLAGS", "-mod=readonly");
    let folder = output(go.args(["list", "-m", "-f", "{{.Dir}}", module]))?;
    let folder = Path::new(folder.trim()).join("config/crd");
    let mut text = String::new();
    for kind in ["volumesnapshotclasses", "volumesnapshotcontents", "volumesnapshots"] {
        let file = folder.join(format!("snapshot.storage.k8s.io_{kind}.yaml"));
        text.push_str(&fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?);
        text.push_str("\n---\n");
    }
    Ok(fs::write(partial.join("csi-definitions.yaml"), text)?)
}

/// A folder with the program `registry`, which tests push artifacts to.
///
/// # Errors
/// When the build fails.
pub(crate) fn registry(cache: &Cache) -> Result<PathBuf> {
    go(cache, "registry", "the registry (about 1 minute on 2 cores, once)", &["-ldflags", "-s -w", "."], "0", |_| Ok(()))
}

/// A folder with the program `helm`.
///
/// # Errors
/// When the build fails.
pub(crate) fn helm(cache: &Cache) -> Result<PathBuf> {
    cache.entry("tools", "helm", HELM, |partial| {
        say(format_args!("building helm {HELM} (about 2 minutes on 2 cores, once)"));
        let package = format!("helm.sh/helm/v3/cmd/helm@v{HELM}");
        let mut go = Command::new(find("go").unwrap_or_else(|| "go".into()));
        go.env("GOBIN", partial).env("CGO_ENABLED", "0").env_remove("GOFLAGS").args(["install", "-ldflags", "-s -w", &package]);
        logged(&mut go, &log(cache, "helm")?)
    })
}

/// A folder with the program `pause`.
///
/// # Errors
/// When the C compiler fails.
pub(crate) fn pause(cache: &Cache) -> Result<PathBuf> {
    let source = repo::path(FOLDER).join("pause/pause.c");
    cache.entry("tools", "pause", &digest(std::slice::from_ref(&source), &[])?, |partial| {
        let mut gcc = Command::new("gcc");
        gcc.args(["-Os", "-static", "-s", "-o"]).arg(partial.join("pause")).arg(&source);
        logged(&mut gcc, &log(cache, "pause")?)
    })
}

/// Builds one of `tests/cluster/programs`; `finish` may add to the folder that holds the program.
fn go(cache: &Cache, name: &str, hint: &str, arguments: &[&str], cgo: &str, finish: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let source = repo::path(FOLDER).join(name);
    let key = digest(std::slice::from_ref(&source), arguments)?;
    cache.entry("tools", name, &key, |partial| {
        say(format_args!("building {hint}"));
        let mut go = Command::new(find("go").unwrap_or_else(|| "go".into()));
        // Read-only: go.sum pins every module, and a build never changes the checkout.
        go.current_dir(&source).env("GOFLAGS", "-mod=readonly").env("CGO_ENABLED", cgo);
        // With a slash at its end it is a folder, in which each program has its own name.
        go.args(["build", "-o"]).arg(partial.join("")).args(arguments);
        logged(&mut go, &log(cache, name)?)?;
        finish(partial)
    })
}

fn log(cache: &Cache, name: &str) -> Result<PathBuf> {
    let folder = cache.path("logs");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("build-{name}.log")))
}
