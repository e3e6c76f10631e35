//! Installs the operator on a cluster and reads what runs there: the one place that knows the charts' names and values.
//! Which cluster is a matter of how its kubectl and helm are called, and each call says so.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::run::{logged, output, say, until};
use crate::{repo, tools};

/// Where the operator is installed.
pub(crate) const NAMESPACE: &str = "doltdb-operator-system";
/// The group of all kinds.
pub(crate) const GROUP: &str = "k8s.dolthub.com";
const CRDS: &str = "doltdb-operator-crds";
const OPERATOR: &str = "doltdb-operator";

/// A cluster to install on.
#[derive(Clone, Debug)]
pub(crate) enum Site {
    /// One that this command started.
    Ours(Cluster),
    /// One that the user named, and no other.
    Users(Own),
}

/// How the user named a cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    /// A context; without it the kubeconfig's current one.
    pub(crate) context: Option<String>,
    /// A kubeconfig; without it the user's usual one.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Where kubectl and helm are.
    pub(crate) kubectl: PathBuf,
    pub(crate) helm: PathBuf,
}

impl Own {
    fn command(&self, program: &PathBuf, context_flag: &str) -> Command {
        let mut command = Command::new(program);
        for (flag, value) in
            [(context_flag, self.context.clone().map(OsString::from)), ("--kubeconfig", self.kubeconfig.clone().map(OsString::from))]
        {
            if let Some(value) = value {
                command.arg(flag).arg(value);
            }
        }
        command
    }
}

impl Site {
    /// Its kubectl, to be given arguments.
    ///
    /// # Errors
    /// When it is ours and doesn't run.
    pub(crate) fn kubectl(&self) -> Result<Command> {
        match self {
            Self::Ours(cluster) => cluster.kubectl(),
            Self::Users(own) => Ok(own.command(&own.kubectl, "--context")),
        }
    }

    fn helm(&self) -> Result<Command> {
        match self {
            Self::Ours(cluster) => cluster.command("helm"),
            Self::Users(own) => Ok(own.command(&own.helm, "--kube-context")),
        }
    }

    /// What a user types to call its kubectl.
    pub(crate) fn typed(&self) -> String {
        match self {
            Self::Ours(cluster) if cluster.name() == crate::cluster::DEV => "cargo xtask cluster kubectl".to_owned(),
            Self::Ours(cluster) => format!("cargo xtask cluster --name {} kubectl", cluster.name()),
            Self::Users(own) => {
                let kubeconfig = own.kubeconfig.as_ref().map(|file| format!(" --kubeconfig {}", file.display())).unwrap_or_default();
                let context = own.context.as_ref().map(|name| format!(" --context {name}")).unwrap_or_default();
                format!("kubectl{context}{kubeconfig}")
            }
        }
    }

    /// kubectl's answer as JSON.
    ///
    /// # Errors
    /// When kubectl fails or doesn't answer JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = output(self.kubectl()?.args(arguments).args(["--output", "json"]))?;
        serde_json::from_str(&text).with_context(|| format!("read the answer to kubectl {}", arguments.join(" ")))
    }

    /// Installs both charts, or brings them to this checkout's state, and waits until the operator is ready.
    ///
    /// # Errors
    /// When helm fails; its output is in the log that the error shows.
    pub(crate) fn install(&self, image: &str, log: &std::path::Path) -> Result<()> {
        let (repository, tag) = split(image)?;
        say(format_args!("installing the charts {CRDS} and {OPERATOR}"));
        let upgrade = |chart: &str| -> Result<Command> {
            self.forget_unfinished(chart)?;
            let mut helm = self.helm()?;
            helm.args(["upgrade", "--install", chart]).arg(repo::path("charts").join(chart));
            helm.args(["--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "120s"]);
            Ok(helm)
        };
        logged(&mut upgrade(CRDS)?, log)?;
        until("the kinds are served", Duration::from_secs(30), Duration::from_millis(200), || {
            let crds = self.json(&["get", "customresourcedefinitions"])?;
            let ours = crds["items"].as_array().into_iter().flatten().filter(|crd| crd["spec"]["group"] == GROUP);
            let established = |crd: &&Value| {
                let conditions = crd["status"]["conditions"].as_array();
                conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Established" && one["status"] == "True"))
            };
            let (served, waiting): (Vec<_>, Vec<_>) = ours.partition(established);
            ensure!(waiting.is_empty() && !served.is_empty(), "{} are, {} are not yet", served.len(), waiting.len());
            Ok(())
        })?;
        let values = [format!("image.repository={repository}"), format!("image.tag={tag}")];
        logged(upgrade(OPERATOR)?.args(values.iter().flat_map(|value| ["--set-string", value])), log)
            .with_context(|| format!("what the operator says: {} logs --namespace {NAMESPACE} deploy/{OPERATOR}", self.typed()))
    }

    /// helm refuses a release that an ended helm has left unfinished. On a cluster of ours no other helm can be at it.
    fn forget_unfinished(&self, release: &str) -> Result<()> {
        let Self::Ours(_) = self else { return Ok(()) };
        let selector = format!("owner=helm,name={release},status in (pending-install,pending-upgrade,pending-rollback)");
        output(self.kubectl()?.args(["delete", "secret", "--namespace", NAMESPACE, "--selector", &selector])).map(drop)
    }
}

/// Repository and tag of an image's name.
fn split(image: &str) -> Result<(&str, &str)> {
    let split = image.rsplit_once(':').filter(|(repository, tag)| !repository.is_empty() && !tag.is_empty() && !tag.contains('/'));
    split.with_context(|| format!("image {image:?} has no tag: name it REPOSITORY:TAG"))
}

/// The user's cluster, with the programs that reach it.
///
/// # Errors
/// When a program is neither on PATH nor can be built.
pub(crate) fn users(cache: &crate::cache::Cache, context: Option<String>, kubeconfig: Option<PathBuf>) -> Result<Site> {
    use tools::{debian::find, programs};
    let kubectl = find("kubectl").map_or_else(|| Ok::<_, anyhow::Error>(programs::kubernetes(cache)?.join("kubectl")), Ok)?;
    let helm = find("helm").map_or_else(|| Ok::<_, anyhow::Error>(programs::helm(cache)?.join("helm")), Ok)?;
    let kubeconfig = kubeconfig.map(|file| file.canonicalize().with_context(|| format!("kubeconfig {}", file.display()))).transpose()?;
    Ok(Site::Users(Own { context, kubeconfig, kubectl, helm }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_a_tag() {
        assert_eq!(split("localhost:5000/a/b:1").unwrap(), ("localhost:5000/a/b", "1"));
        assert!(split("localhost:5000/a/b").is_err());
        assert!(split("a:").is_err());
    }

    #[test]
    fn every_call_names_the_users_cluster() {
        let own = Own { context: Some("kind-a".into()), kubeconfig: Some("/k".into()), kubectl: "kubectl".into(), helm: "helm".into() };
        let site = Site::Users(own);
        let words = |command: Command| command.get_args().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        assert_eq!(words(site.kubectl().unwrap()), "--context kind-a --kubeconfig /k");
        assert_eq!(words(site.helm().unwrap()), "--kube-context kind-a --kubeconfig /k");
        assert_eq!(site.typed(), "kubectl --context kind-a --kubeconfig /k");
    }
}
