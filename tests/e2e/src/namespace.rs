//! A test's own namespace: objects go in and come out as JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::Request,
};
use serde_json::{Value, json};

use crate::{
    Cluster,
    manifest::{identity, resource},
};

/// The tests' field manager.
const MANAGER: &str = "e2e";

/// A namespace that lives as long as its test.
pub struct Namespace {
    /// Where it is.
    pub cluster: Cluster,
    /// Unique in the cluster.
    pub name: String,
}

impl Namespace {
    /// Makes one.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(crate) async fn create(cluster: &Cluster, prefix: &str) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        let name = format!("{prefix}-{:x}", now.as_millis() % 0x1000_0000);
        let namespaces: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &resource("Namespace"));
        let object = serde_json::from_value(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))?;
        namespaces.create(&PostParams::default(), &object).await.with_context(|| format!("cannot create namespace {name}"))?;
        Ok(Self { cluster: cluster.clone(), name })
    }

    /// Takes it away with all that is in it, without waiting for the end. Pods get no time to end well: the next test wants the machine.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(crate) async fn remove(self) -> Result<()> {
        let namespaces: Api<DynamicObject> = Api::all_with(self.cluster.client.clone(), &resource("Namespace"));
        namespaces
            .delete(&self.name, &DeleteParams::background())
            .await
            .with_context(|| format!("cannot delete namespace {}", self.name))?;
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.api("Pod").delete_collection(&at_once, &ListParams::default()).await?;
        Ok(())
    }

    /// The objects of a kind in this namespace.
    #[must_use]
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.cluster.client.clone(), &self.name, &resource(kind))
    }

    /// Applies a manifest here, wherever it says that it belongs, as `kubectl apply --server-side` does.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn apply(&self, manifest: &Value) -> Result<Value> {
        let mut manifest = manifest.clone();
        manifest["metadata"]["namespace"] = json!(self.name);
        let (kind, name) = identity(&manifest)?;
        let params = PatchParams::apply(MANAGER).force();
        let applied = self.api(kind).patch(name, &params, &Patch::Apply(&manifest)).await;
        Ok(serde_json::to_value(applied.with_context(|| format!("cannot apply {kind} {name}"))?)?)
    }

    /// Applies all objects of a file of the repository here; of a `kustomization.yaml` there are none.
    ///
    /// # Errors
    /// When a file can't be read or the API server refuses an object.
    pub async fn apply_file(&self, path: &str) -> Result<Vec<Value>> {
        let mut applied = Vec::new();
        if crate::manifest::is_kustomization(path) {
            return Ok(applied);
        }
        for manifest in crate::file(path)? {
            applied.push(self.apply(&manifest).await?);
        }
        Ok(applied)
    }

    /// Asks the API server to create a manifest without keeping it, unknown fields refused, as `kubectl apply --dry-run=server` does.
    /// The inner result is its answer.
    ///
    /// # Errors
    /// When it can't be asked.
    pub async fn would_create(&self, manifest: &Value) -> Result<Result<Value, String>> {
        let mut manifest = manifest.clone();
        manifest["metadata"]["namespace"] = json!(self.name);
        let (kind, _) = identity(&manifest)?;
        let params = PostParams { dry_run: true, field_manager: Some(MANAGER.to_owned()) };
        let mut request = Request::new(self.api(kind).resource_url()).create(&params, serde_json::to_vec(&manifest)?)?;
        *request.uri_mut() = format!("{}&fieldValidation=Strict", request.uri()).parse()?;
        refusal(self.cluster.client.request(request).await)
    }

    /// Asks the API server to change an object to what the manifest says, without keeping it. The inner result is its answer.
    ///
    /// # Errors
    /// When it can't be asked.
    pub async fn would_replace(&self, manifest: &Value) -> Result<Result<Value, String>> {
        let (kind, name) = identity(manifest)?;
        let mut manifest = manifest.clone();
        manifest["metadata"]["namespace"] = json!(self.name);
        let params = PostParams { dry_run: true, field_manager: Some(MANAGER.to_owned()) };
        loop {
            let current = self.expect(kind, name).await?;
            manifest["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
            match self.api(kind).replace(name, &params, &serde_json::from_value(manifest.clone())?).await {
                // The operator wrote the status in between.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                replaced => return refusal(replaced.map(|object| serde_json::to_value(object).unwrap_or_default())),
            }
        }
    }

    /// Merges into an object.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn merge(&self, kind: &str, name: &str, patch: &Value) -> Result<()> {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.api(kind).patch(name, &params, &Patch::Merge(patch)).await.with_context(|| format!("cannot change {kind} {name}"))?;
        Ok(())
    }

    /// The object, if there is one.
    ///
    /// # Errors
    /// When the API server fails.
    pub async fn get(&self, kind: &str, name: &str) -> Result<Option<Value>> {
        let found = self.api(kind).get_opt(name).await.with_context(|| format!("cannot read {kind} {name}"))?;
        Ok(found.map(serde_json::to_value).transpose()?)
    }

    /// The object, which has to be there.
    ///
    /// # Errors
    /// When it isn't.
    pub async fn expect(&self, kind: &str, name: &str) -> Result<Value> {
        self.get(kind, name).await?.with_context(|| format!("there is no {kind} {name}"))
    }

    /// All objects of a kind.
    ///
    /// # Errors
    /// When the API server fails.
    pub async fn list(&self, kind: &str) -> Result<Vec<Value>> {
        let found = self.api(kind).list(&ListParams::default()).await.with_context(|| format!("cannot list {kind}"))?;
        found.items.into_iter().map(|object| Ok(serde_json::to_value(object)?)).collect()
    }

    /// The names of all objects of a kind, sorted.
    ///
    /// # Errors
    /// When the API server fails.
    pub async fn names(&self, kind: &str) -> Result<Vec<String>> {
        let mut names: Vec<_> = self.list(kind).await?.iter().map(|object| crate::text(object, "/metadata/name")).collect();
        names.sort();
        Ok(names)
    }

    /// Asks for an object's deletion.
    ///
    /// # Errors
    /// When there is none.
    pub async fn delete(&self, kind: &str, name: &str) -> Result<()> {
        self.api(kind).delete(name, &DeleteParams::background()).await.with_context(|| format!("cannot delete {kind} {name}"))?;
        Ok(())
    }

    /// Ends a pod without a word and without time for any, as `kubectl delete pod --force --grace-period=0` does.
    ///
    /// # Errors
    /// When there is none.
    pub async fn kill(&self, pod: &str) -> Result<()> {
        let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::background() };
        self.api("Pod").delete(pod, &at_once).await.with_context(|| format!("cannot kill pod {pod}"))?;
        Ok(())
    }

    /// Waits until an object is gone.
    ///
    /// # Errors
    /// When it is still there at the end.
    pub async fn gone(&self, kind: &str, name: &str, limit: std::time::Duration) -> Result<()> {
        crate::wait_for(format!("{kind} {name} is gone"), limit, async || {
            let Some(object) = self.get(kind, name).await? else { return Ok(()) };
            ensure!(!object["metadata"]["deletionTimestamp"].is_null(), "nobody has asked for its deletion");
            bail!("it waits for its finalizers {}", object["metadata"]["finalizers"])
        })
        .await
    }
}

/// An answer of the API server, apart from not getting one.
fn refusal(answer: Result<Value, kube::Error>) -> Result<Result<Value, String>> {
    match answer {
        Ok(object) => Ok(Ok(object)),
        Err(kube::Error::Api(status)) => Ok(Err(status.message)),
        Err(error) => Err(error.into()),
    }
}
