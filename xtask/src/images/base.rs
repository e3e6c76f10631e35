//! The images that every cluster holds (pause, CoreDNS, Dolt) and the base of the operator's image.
//! Knows what is in them, not how they are built or loaded.

use std::path::PathBuf;

use anyhow::Result;

use super::{Build, Files, Image};
use crate::cache::{Cache, digest};
use crate::repo;
use crate::tools::{debian, programs};

/// What containerd starts for each pod; `config/containerd.toml` names it.
const PAUSE: &str = "localhost/pause:1";

/// The Dolt that `programs/dolt/go.mod` requires.
pub(crate) const DOLT: &str = "docker.io/dolthub/dolt:1.83.2";

/// What the original's samples name. The same program under a second name: its modules can't be had at that commit,
/// and nothing that the samples use differs between the two.
const DOLT_OF_SAMPLES: &str = "docker.io/dolthub/dolt:1.83.6";

/// The base that the Dockerfile's last stage names.
const CC: &str = "gcr.io/distroless/cc-debian12:nonroot";

fn build(cache: &Cache, title: &str, names: &[&str], entries: &[(&str, PathBuf)]) -> Result<Image> {
    let dockerfile = repo::path("tests/cluster/images").join(format!("{title}.Dockerfile"));
    // The entries are entries of the cache: their names are digests of what they hold.
    let mut words = entries.iter().map(|(name, source)| format!("{name}={}", source.display())).collect::<Vec<_>>();
    words.extend(names.iter().map(|name| (*name).to_owned()));
    let words = words.iter().map(String::as_str).collect::<Vec<_>>();
    let digest = digest(std::slice::from_ref(&dockerfile), &words)?;
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Build { title, digest, dockerfile: &dockerfile, names, context: Files::Entries(entries), bases: &[], stage: None }.image(cache)
}

/// The image of a pod's first process.
///
/// # Errors
/// When it can't be built.
pub(crate) fn pause(cache: &Cache) -> Result<Image> {
    build(cache, "pause", &[PAUSE], &[("pause", programs::pause(cache)?.join("pause"))])
}

/// The cluster's DNS server.
///
/// # Errors
/// When it can't be built.
pub(crate) fn coredns(cache: &Cache) -> Result<Image> {
    build(cache, "coredns", &["localhost/coredns:dev"], &[("coredns", programs::coredns(cache)?.join("coredns"))])
}

/// The Dolt server, under the names that users and the original's samples pull.
///
/// # Errors
/// When it can't be built.
pub(crate) fn dolt(cache: &Cache) -> Result<Image> {
    let packages = ["base-files", "bash", "coreutils", "dash", "grep", "libc6", "sed", "tini"];
    let rootfs = debian::tree(cache, "shell", &packages)?;
    build(cache, "dolt", &[DOLT, DOLT_OF_SAMPLES], &[("rootfs", rootfs), ("dolt", programs::dolt(cache)?.join("dolt"))])
}

/// The base of the operator's image.
///
/// # Errors
/// When it can't be built.
pub(crate) fn cc(cache: &Cache) -> Result<Image> {
    let rootfs = debian::tree(cache, "cc", &["libc6", "libgcc-s1", "libstdc++6"])?;
    build(cache, "cc-debian12", &[CC], &[("rootfs", rootfs)])
}
