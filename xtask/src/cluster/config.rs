//! What is filled into the templates of `tests/cluster/config`, and the files that come of it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Cluster, pki};
use crate::cache::digest;
use crate::images::Image;
use crate::repo;

/// Inside a cluster's own network: the same for all.
pub(super) const NODE_IP: &str = "10.89.0.1";
/// The first of [`SERVICES`]: the API server's.
pub(super) const API_IP: &str = "10.96.0.1";
const DNS_IP: &str = "10.96.0.10";
const SERVICES: &str = "10.96.0.0/16";
const PODS: &str = "10.88.0.0/16";

const TEMPLATES: &[(&str, &str)] = &[
    ("node.sh", "node.sh"),
    ("containerd.toml", "containerd.toml"),
    ("pods.conflist", "cni/10-pods.conflist"),
    ("kubelet.yaml", "kubelet.yaml"),
    ("addons.yaml", "addons.yaml"),
    ("csi.yaml", "csi.yaml"),
];

/// The values of one cluster.
pub(super) struct Config {
    values: Vec<(&'static str, String)>,
}

impl Config {
    pub(super) fn new(cluster: &Cluster, coredns: &Image) -> Self {
        let value = |name, value: &str| (name, value.to_owned());
        Self {
            values: vec![
                value("STATE", &cluster.folder.display().to_string()),
                value("BIN", &cluster.bin().display().to_string()),
                value("NAME", &cluster.name),
                value("CONTEXT", &cluster.cgroup()),
                value("CGROUP", &format!("/{}", cluster.cgroup())),
                value("NODE_IP", NODE_IP),
                value("DNS_IP", DNS_IP),
                value("SERVICES", SERVICES),
                value("PODS", PODS),
                value("COREDNS_IMAGE", coredns.name()),
            ],
        }
    }

    /// Over everything that a running cluster can't take a change of.
    ///
    /// # Errors
    /// When a template can't be read.
    pub(super) fn digest(&self, programs: &[PathBuf], images: &[Image]) -> Result<String> {
        let programs = programs.iter().map(|program| program.display().to_string());
        let images = images.iter().map(|image| image.digest.clone());
        let words = programs.chain(images).chain(self.values.iter().map(|(_, value)| value.clone())).collect::<Vec<_>>();
        let words = words.iter().map(String::as_str).collect::<Vec<_>>();
        digest(&[repo::path("tests/cluster/config")], &words)
    }

    /// Writes every file into the cluster's folder.
    ///
    /// # Errors
    /// When one can't be written or a template names a value that isn't here.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder.join("cni"))?;
        for (template, file) in TEMPLATES {
            fs::write(folder.join(file), self.fill(template)?)?;
        }
        for user in [pki::ADMIN, pki::KUBELET] {
            let text = self.fill("kubeconfig.yaml")?.replace("{USER}", user);
            fs::write(folder.join(format!("{user}.kubeconfig")), text)?;
        }
        let search = "search default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n";
        fs::write(folder.join("resolv.conf"), format!("nameserver {DNS_IP}\n{search}"))?;
        // For pods that don't use the cluster's DNS: nothing answers, as nothing else is reached.
        Ok(fs::write(folder.join("node-resolv.conf"), "nameserver 127.0.0.1\n")?)
    }

    fn fill(&self, template: &str) -> Result<String> {
        let file = repo::path("tests/cluster/config").join(template);
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let text = fill(&text, &self.values).with_context(|| format!("template {template}"))?;
        Ok(text)
    }
}

/// Puts values in the places of their names in double braces.
fn fill(text: &str, values: &[(&str, String)]) -> Result<String> {
    let mut text = text.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("{{{{{name}}}}}"), value);
    }
    let unknown = text.split("{{").skip(1).find_map(|rest| rest.split_once("}}")).map(|(name, _)| name.to_owned());
    ensure!(unknown.is_none(), "no value for {}", unknown.unwrap_or_default());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;

    #[test]
    fn every_template_finds_its_values() {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster::named(&Cache::at(folder.path()).unwrap(), "dev").unwrap();
        let image = Image { names: vec!["localhost/coredns:dev".into()], archive: "a".into(), digest: "d".into() };
        Config::new(&cluster, &image).write(folder.path()).unwrap();
        let kubelet = fs::read_to_string(folder.path().join("kubelet.yaml")).unwrap();
        assert!(kubelet.contains("cgroupRoot: \"/doltdb-dev\""), "{kubelet}");
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        assert_eq!(fill("a {{B}} c", &[("B", "b".into())]).unwrap(), "a b c");
        assert!(fill("{{A}} {{B}}", &[("B", "b".into())]).unwrap_err().to_string().contains('A'));
    }
}
