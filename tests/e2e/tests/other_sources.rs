//! Modules from elsewhere: out of a registry, and of other kinds than Dolt's, as docs/write-a-reconciler.md has it.

use std::{fs, net::IpAddr, path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, MINUTE, ModuleMap, Operator, called, in_namespace, root, script, seconds, shipped, typed, variant, wait_for};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, api::ListParams};
use registry::{Options, PASSWORD, Registry};
use serde_json::Value;

/// Changes values of the operator's release for a test, and takes the changes back.
async fn with_values(operator: &Operator, namespace: &str, values: &[&str], test: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    let release = ["doltdb-operator", "charts/doltdb-operator", "--namespace", namespace, "--wait", "--timeout", "120s"];
    let former = called("helm", ["get", "values", "doltdb-operator", "--namespace", namespace, "--output", "yaml"]).await?;
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), former)?;
    called("helm", [&["upgrade"], &release[..], &["--reuse-values"], values].concat()).await?;
    operator.settled().await?;
    let outcome = test().await;
    let file = file.path().to_string_lossy();
    called("helm", [&["upgrade"], &release[..], &["--reset-values", "--values", &file]].concat()).await?;
    operator.settled().await?;
    outcome
}

/// An address of this machine that pods reach.
async fn node(cluster: &Cluster) -> Result<IpAddr> {
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let node = nodes.list(&ListParams::default()).await?.items.into_iter().next().context("there is no node")?;
    let addresses = node.status.and_then(|status| status.addresses).unwrap_or_default();
    let address = addresses.iter().find(|address| address.type_ == "InternalIP").context("the node has no address")?;
    Ok(address.address.parse()?)
}

/// What runs in the slot of Database.
async fn active(operator: &Operator) -> Result<Value> {
    operator.admin().await?.slot("database").await
}

#[tokio::test]
async fn a_module_from_elsewhere_runs_also_after_a_restart_without_its_registry() -> Result<()> {
    in_namespace("registry", async |namespace| {
        let (cluster, operator) = (&namespace.cluster, Operator::of(&namespace.cluster));
        operator.settled().await?;
        let mut registry = Registry::at(node(cluster).await?, Options { tls: true, login: true })?;
        let folder = tempfile::tempdir()?;
        script(&format!(
            "openssl genpkey -algorithm ed25519 -out {0}/key.pem; openssl pkey -in {0}/key.pem -pubout -out {0}/key.pub",
            folder.path().display()
        ))
        .await?;
        let (allowed, authority) = (format!("modules.registries.allowed={{{}}}", registry.host()), registry.authority());
        let authority = format!("modules.registries.certificateAuthorities={}", authority.display());
        let key = format!("modules.signatures.keys.e2e={}/key.pub", folder.path().display());
        let values = [
            "--set",
            &allowed,
            "--set",
            "modules.registries.pullSecrets={e2e-pull}",
            "--set-file",
            &authority,
            "--set-file",
            &key,
            "--set",
            "modules.signatures.mode=required",
        ];
        with_values(&operator, &cluster.operator_namespace, &values, async || {
            let maps = ["e2e-artifact", "e2e-tag", "e2e-unsigned"].map(|name| ModuleMap::new(cluster, name, "database"));
            let outcome = from_registry(&operator, &cluster.operator_namespace, &mut registry, folder.path(), &maps).await;
            for map in &maps {
                map.delete().await?;
            }
            called("kubectl", ["delete", "secret", "e2e-pull", "--ignore-not-found", "--namespace", &cluster.operator_namespace]).await?;
            outcome
        })
        .await
    })
    .await
}

async fn from_registry(
    operator: &Operator,
    namespace: &str,
    registry: &mut Registry,
    folder: &Path,
    [artifact, tag, unsigned]: &[ModuleMap; 3],
) -> Result<()> {
    let wasm = variant(&shipped("database")?, "7.0.0")?;
    let (folder, host) = (folder.display(), registry.host());
    fs::write(format!("{folder}/database.wasm"), &wasm)?;
    let (docker, authority) = (registry.docker_config(PASSWORD)?, registry.authority());
    registry.start()?;
    let push = format!(
        "doltdb-operator module push {folder}/database.wasm {host}/e2e/database --docker-config {} --certificate-authorities {} \
         --key {folder}/key.pem --pull-secret e2e-pull --name e2e-artifact --output config-map > {folder}/map.json",
        docker.display(),
        authority.display()
    );
    script(&push).await?;
    registry.stop();

    // Unsigned ones, and what is no name for good, are refused where the user looks.
    unsigned.apply(&wasm, &serde_json::json!({})).await?;
    let standing = unsigned.stands("Refused", MINUTE).await?;
    ensure!(standing.contains("is not signed, and only signed modules may run here"), "it says {standing}");
    script(&format!(
        "kubectl create configmap e2e-tag --namespace {namespace} --from-literal=reference={host}/e2e/database:7.0.0
         kubectl label configmap e2e-tag --namespace {namespace} k8s.dolthub.com/module=database"
    ))
    .await?;
    let standing = tag.stands("Refused", MINUTE).await?;
    ensure!(standing.contains("without a digest"), "it says {standing}");

    // The Secret is missing, then the registry is down: both are told, and what runs goes on.
    script(&format!("kubectl apply --server-side --namespace {namespace} --filename {folder}/map.json")).await?;
    let says = |words: &'static str| async move {
        wait_for(format!("the ConfigMap says {words:?}"), MINUTE, async || {
            let standing = artifact.standing().await?;
            ensure!(standing.starts_with("Fetching") && standing.contains(words), "it says {standing}");
            Ok(())
        })
        .await
    };
    says("Secret e2e-pull does not exist").await?;
    script(&format!(
        "kubectl create secret generic e2e-pull --namespace {namespace} --type kubernetes.io/dockerconfigjson \
         --from-file .dockerconfigjson={}",
        docker.display()
    ))
    .await?;
    says("cannot be reached").await?;
    ensure!(active(operator).await?["source"]["from"] == "folder", "something else runs already");
    let started = Instant::now();
    registry.start()?;
    let standing = artifact.stands("Probation", 2 * MINUTE).await?;
    ensure!(standing.contains("version 7.0.0 is active"), "it says {standing}");
    e2e::say(format_args!("active {:.1} s after the registry was there", started.elapsed().as_secs_f64()));

    // Nobody needs the registry any more.
    registry.stop();
    let before = active(operator).await?;
    let crashed = operator.crash().await?;
    operator.back(&crashed).await?;
    let now = wait_for("the admin server answers", seconds(30), async || active(operator).await).await?;
    ensure!(now["digest"] == before["digest"] && now["source"]["from"] == "configMap", "{before} was active, and {now} is");
    Ok(())
}

#[tokio::test]
async fn a_kind_from_elsewhere_is_reconciled_as_the_tutorial_says() -> Result<()> {
    const PAGE: &str = "docs/write-a-reconciler.md";
    let cluster = Cluster::connect().await?;
    let operator = Operator::of(&cluster);
    operator.settled().await?;
    let map = ModuleMap::new(&cluster, "module-tenant", "tenant");
    with_values(&operator, &cluster.operator_namespace, &[], async || {
        let blocks = typed(PAGE, "sh")?.into_iter().take(1).chain(typed(PAGE, "sh cluster")?);
        let mut outcome = Ok(());
        for block in blocks {
            outcome = script(&block).await.map(drop);
            if outcome.is_err() {
                break;
            }
        }
        if outcome.is_ok() {
            outcome = follows_its_quota().await;
        }
        // With the tenant its namespace goes.
        called("kubectl", ["delete", "tenant/blue", "--ignore-not-found", "--wait=false"]).await?;
        map.delete().await?;
        outcome
    })
    .await?;
    called("kubectl", ["delete", "crd/tenants.example.com", "--ignore-not-found", "--wait=false"]).await.map(drop)
}

/// What the reconciler has read it watches: a changed quota and what is used of it show.
async fn follows_its_quota() -> Result<()> {
    script("kubectl patch tenant/blue --type merge --patch '{\"spec\": {\"quota\": {\"configmaps\": \"7\"}}}'").await?;
    script("kubectl create configmap one --namespace tenant-blue").await?;
    wait_for("the tenant shows what is used", MINUTE, async || {
        let used = called("kubectl", ["get", "tenant/blue", "--output", "jsonpath={.status.used.configmaps}"]).await?;
        // The cluster puts one of its own there.
        ensure!(used == "2", "{used} are used");
        Ok(())
    })
    .await
}

/// A component with an interpreter in it, out of a registry. `xtask test` says when this is left out.
#[tokio::test]
async fn a_reconciler_in_python_runs_as_the_tutorial_says() -> Result<()> {
    const PAGE: &str = "docs/write-a-reconciler.md";
    const EXAMPLE: &str = "examples/reconcilers/rendered";
    if std::env::var_os("WITHOUT_PIP").is_some() {
        return Ok(());
    }
    // The tests that need no cluster make it, too, and the way to pip may be there only.
    if !root()?.join("build/rendered.wasm").exists() {
        for block in typed(PAGE, "sh python")? {
            script(&block).await?;
        }
    }
    in_namespace("python", async |namespace| {
        let (cluster, operator) = (&namespace.cluster, Operator::of(&namespace.cluster));
        operator.settled().await?;
        let mut registry = Registry::at(node(cluster).await?, Options::default())?;
        registry.start()?;
        script(&format!("kubectl apply --filename {EXAMPLE}/crd.yaml")).await?;
        let map = ModuleMap::new(cluster, "module-rendered", "rendered");
        let host = registry.host();
        let (allowed, plain) = (format!("modules.registries.allowed={{{host}}}"), format!("modules.registries.plainHttp={{{host}}}"));
        let slot = format!("{EXAMPLE}/values.yaml");
        with_values(&operator, &cluster.operator_namespace, &["--values", &slot, "--set", &allowed, "--set", &plain], async || {
            let outcome = async {
                script(&format!(
                    "doltdb-operator module push build/rendered.wasm {host}/team/rendered --plain-http \
                     --name module-rendered --output config-map |
                     kubectl apply --server-side --namespace {} --filename -
                     kubectl apply --namespace {} --filename {EXAMPLE}/rendered.yaml",
                    cluster.operator_namespace, namespace.name
                ))
                .await?;
                renders(&namespace.name).await
            };
            let outcome = outcome.await;
            map.delete().await?;
            outcome
        })
        .await?;
        called("kubectl", ["delete", "crd/renderedconfigs.example.com", "--ignore-not-found", "--wait=false"]).await.map(drop)
    })
    .await
}

/// A template is filled in, its change shows, and a mistake in it is told and changes nothing.
async fn renders(namespace: &str) -> Result<()> {
    let shows = |text: &'static str, reason: &'static str| async move {
        wait_for(format!("the text is {text:?}"), 3 * MINUTE, async || {
            let get = |what: &'static str, path: &'static str| async move {
                called("kubectl", ["get", what, "--namespace", namespace, "--output", &format!("jsonpath={path}")]).await
            };
            let found = get("configmap/greeting", "{.data.text}").await?;
            let told = get("renderedconfig/greeting", "{.status.conditions[0].reason}").await?;
            ensure!(found == text && told == reason, "it is {found:?}, and {told:?} is said");
            Ok(())
        })
        .await
    };
    let change = |spec: &'static str| async move {
        let patch = format!("{{\"spec\": {spec}}}");
        called("kubectl", ["patch", "renderedconfig/greeting", "--namespace", namespace, "--type", "merge", "--patch", &patch]).await
    };
    shows("Hello world, here is Kubernetes.\n", "Rendered").await?;
    change(r#"{"values": {"place": "Dolt"}}"#).await?;
    shows("Hello world, here is Dolt.\n", "Rendered").await?;
    change(r#"{"template": "Hello $nobody"}"#).await?;
    shows("Hello world, here is Dolt.\n", "MissingValue").await
}
