//! `cargo xtask demo`: from nothing to a replicated Dolt that answers, and what to try next.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::cache::Cache;
use crate::cluster::{Cluster, DEV};
use crate::deploy::{GROUP, NAMESPACE, Site, users};
use crate::images::{Image, operator};
use crate::run::{output, run, say, until};
use crate::tools::debian::find;
use crate::{preflight, repo};

/// How long the examples may take. Pulling images on a user's cluster is part of it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Which cluster, and which image of the operator.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    pub(crate) context: Option<String>,
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) image: Option<String>,
}

/// Shows the operator at work.
///
/// # Errors
/// When something is missing, or the examples don't become ready.
pub(crate) fn demo(cache: &Cache, wish: Wish) -> Result<()> {
    let site = if wish.context.is_none() && wish.kubeconfig.is_none() {
        ensure!(wish.image.is_none(), "--image is for your own cluster: name it with --context or --kubeconfig");
        let hint = "Or name a cluster of your own: cargo xtask demo --context NAME [--image REPOSITORY:TAG]";
        preflight::demand("the development cluster", &preflight::for_cluster(), hint)?;
        let cluster = Cluster::named(cache, DEV)?;
        cluster.up()?;
        Site::Ours(cluster)
    } else {
        users(cache, wish.context.clone(), wish.kubeconfig)?
    };
    let image = match wish.image {
        Some(image) => image,
        None => {
            let loader = Loader::of(&site)?;
            let image = operator::build(cache)?;
            loader.load(&image)?;
            image.name().to_owned()
        }
    };
    site.install(&image, &cache.path("logs").join("helm.log"))?;
    say("applying examples/");
    let examples = repo::path("examples");
    run(site.kubectl()?.args(["apply", "--kustomize"]).arg(&examples))?;
    let objects = await_ready(&site, &examples)?;
    show(&site, &objects)
}

/// How an image comes to a cluster's nodes without a registry.
enum Loader {
    Ours(Cluster),
    Kind { program: PathBuf, name: String },
}

impl Loader {
    /// Decided before anything is built: it may not be possible.
    fn of(site: &Site) -> Result<Self> {
        let own = match site {
            Site::Ours(cluster) => return Ok(Self::Ours(cluster.clone())),
            Site::Users(own) => own,
        };
        let hint =
            "push the image (docker build -t REPOSITORY:TAG .) to a registry that your cluster reaches, and give --image REPOSITORY:TAG";
        let context = match &own.context {
            Some(context) => context.clone(),
            None => output(site.kubectl()?.args(["config", "current-context"]))?.trim().to_owned(),
        };
        let Some(name) = context.strip_prefix("kind-") else { bail!("context {context} is not kind's: {hint}") };
        let Some(program) = find("kind") else { bail!("kind is not on PATH, so its nodes can't be given an image: {hint}") };
        let lacking = preflight::for_programs().into_iter().map(|missing| missing.to_string()).collect::<Vec<_>>();
        ensure!(
            lacking.is_empty() && find("buildah").is_some(),
            "building the image needs buildah and Go ({}): {hint}",
            lacking.join(", ")
        );
        Ok(Self::Kind { program, name: name.to_owned() })
    }

    fn load(&self, image: &Image) -> Result<()> {
        match self {
            Self::Ours(cluster) => cluster.load(&[image]),
            Self::Kind { program, name } => {
                run(Command::new(program).args(["load", "image-archive"]).arg(&image.archive).args(["--name", name]))
            }
        }
    }
}

/// Kind, namespace and name of an object of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Object {
    kind: String,
    namespace: String,
    name: String,
}

/// Waits until each of our objects among the examples is Ready, and says what each waits for.
fn await_ready(site: &Site, examples: &std::path::Path) -> Result<Vec<Object>> {
    let folder = examples.to_string_lossy();
    let mut shown = Vec::new();
    until("the examples", PATIENCE, Duration::from_millis(500), || {
        let list = site.json(&["get", "--kustomize", &folder])?;
        let objects = ours(&list);
        ensure!(!objects.is_empty(), "no object of {GROUP} among the examples");
        let states = objects.iter().map(|(object, ready)| (object.clone(), ready.clone())).collect::<Vec<_>>();
        for state in &states {
            if !shown.contains(state) {
                let (object, ready) = state;
                say(format_args!(
                    "  {} {}/{}: {}",
                    object.kind,
                    object.namespace,
                    object.name,
                    ready.as_ref().map_or_else(|wait| wait.as_str(), |()| "Ready")
                ));
                shown.push(state.clone());
            }
        }
        let waiting = states.iter().find_map(|(object, ready)| Some((object, ready.as_ref().err()?)));
        ensure!(waiting.is_none(), "{waiting:?}");
        Ok(states.into_iter().map(|(object, _)| object).collect())
    })
    .with_context(|| {
        format!(
            "look at `{} describe doltdb`, and at the operator: `{} logs -n {NAMESPACE} deploy/doltdb-operator`",
            site.typed(),
            site.typed()
        )
    })
}

/// Our objects of a list, and whether each is Ready at its own generation, else what it waits for.
fn ours(list: &Value) -> Vec<(Object, Result<(), String>)> {
    let items = list["items"].as_array().cloned().unwrap_or_else(|| vec![list.clone()]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_group = items.iter().filter(|item| item["apiVersion"].as_str().is_some_and(|version| version.starts_with(GROUP)));
    let read = of_group.map(|item| {
        let object =
            Object { kind: text(&item["kind"]), namespace: text(&item["metadata"]["namespace"]), name: text(&item["metadata"]["name"]) };
        let conditions = item["status"]["conditions"].as_array();
        let ready = conditions.and_then(|conditions| conditions.iter().find(|condition| condition["type"] == "Ready"));
        let state = match ready {
            None => Err("no condition yet".to_owned()),
            Some(ready) if ready["status"] == "True" => Ok(()),
            Some(ready) => Err(format!("{}: {}", text(&ready["reason"]), text(&ready["message"]))),
        };
        (object, state)
    });
    read.collect()
}

/// Shows objects, pods and a query through a Service, and what to try.
fn show(site: &Site, objects: &[Object]) -> Result<()> {
    let typed = site.typed();
    let Some(doltdb) = objects.iter().find(|object| object.kind == "DoltDB") else { bail!("no DoltDB among the examples") };
    let (namespace, name) = (doltdb.namespace.as_str(), doltdb.name.as_str());
    let list = |arguments: &[&str]| -> Result<()> {
        println!("\n$ {typed} {}", arguments.join(" "));
        run(site.kubectl()?.args(arguments))
    };
    let mut kinds = objects.iter().map(|object| object.kind.to_lowercase()).collect::<Vec<_>>();
    kinds.sort();
    kinds.dedup();
    for kind in &kinds {
        list(&["get", "--namespace", namespace, kind])?;
    }
    list(&["get", "pods", "--namespace", namespace, "--label-columns", "k8s.dolthub.com/cluster-role"])?;
    let services = site.json(&["get", "services", "--namespace", namespace])?;
    let primary = format!("{name}-primary");
    let has_primary =
        services["items"].as_array().is_some_and(|items| items.iter().any(|item| item["metadata"]["name"] == primary.as_str()));
    let service = if has_primary { primary } else { name.to_owned() };
    let query = "select @@hostname as server, @@global.dolt_cluster_role as role, dolt_version() as version; show databases";
    let client =
        format!(r#"dolt --host {service} --port 3306 --no-tls --user "$DOLT_USERNAME" --password "$DOLT_PASSWORD" sql --query "{query}""#);
    // Where the server keeps its settings a client would warn of those that only a server knows.
    let quiet = format!("DOLT_ROOT_PATH=/tmp {client}");
    println!("\nA query through the Service {service}, asked from inside the cluster:\n$ {client}");
    run(site.kubectl()?.args([
        "exec",
        "--namespace",
        namespace,
        &format!("{name}-0"),
        "--container",
        "dolt",
        "--",
        "/bin/sh",
        "-c",
        &quiet,
    ]))?;
    println!("\nWhat to try next:");
    println!("  {typed} get doltdb --namespace {namespace} --watch          # and in another terminal:");
    println!("  {typed} delete pod --namespace {namespace} {name}-0");
    println!("  {typed} get events --namespace {namespace}");
    println!("  {typed} logs --namespace {NAMESPACE} deploy/doltdb-operator --follow");
    println!("  {typed} delete --kustomize examples/          # the volumes stay or go as the DoltDB's policy says");
    if let Site::Ours(_) = site {
        println!(
            "  cargo xtask cluster exec -- bash               # a shell inside: cluster names resolve, dolt, kubectl and helm are on PATH"
        );
        println!("  cargo xtask cluster down                       # ends everything");
    }
    Ok(())
}

/// Loads the operator's image into a cluster of ours and installs it: what `cargo xtask image` does.
///
/// # Errors
/// When it doesn't build or the cluster doesn't run.
pub(crate) fn image(cache: &Cache, cluster: &Cluster) -> Result<()> {
    // Fails before the long part where the cluster doesn't run.
    cluster.kubectl()?;
    let image = operator::build(cache)?;
    cluster.load(&[&image])?;
    println!("{}", image.name());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_our_objects_and_their_ready_condition_count() {
        let list = json!({"items": [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "n"}},
            {"apiVersion": "k8s.dolthub.com/v1alpha", "kind": "DoltDB", "metadata": {"name": "d", "namespace": "n"},
             "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Creating", "message": "1 of 2"}]}},
            {"apiVersion": "k8s.dolthub.com/v1alpha", "kind": "Database", "metadata": {"name": "b", "namespace": "n"},
             "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
            {"apiVersion": "k8s.dolthub.com/v1alpha", "kind": "User", "metadata": {"name": "u", "namespace": "n"}},
        ]});
        let states = ours(&list).into_iter().map(|(object, state)| (object.kind, state)).collect::<Vec<_>>();
        assert_eq!(
            states,
            [
                ("DoltDB".to_owned(), Err("Creating: 1 of 2".to_owned())),
                ("Database".to_owned(), Ok(())),
                ("User".to_owned(), Err("no condition yet".to_owned())),
            ]
        );
    }
}
