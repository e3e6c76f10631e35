//! The cluster under test: how it is reached, and whether it has what the tests need.

use std::env;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::{api::apps::v1::Deployment, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition};
use k8s_openapi::{api::storage::v1::StorageClass, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams},
};

/// How to get a cluster on which the tests can run.
const HINT: &str = "run: cargo xtask test";

/// A cluster with the operator installed.
#[derive(Clone)]
pub struct Cluster {
    /// Speaks to its API server as an administrator.
    pub client: Client,
    /// Where the operator runs.
    pub operator_namespace: String,
}

impl Cluster {
    /// The cluster that `KUBECONFIG` names.
    ///
    /// # Errors
    /// When there is none, or it lacks the operator. Tests don't pass by default.
    pub async fn connect() -> Result<Self> {
        // Without the variable a client would take the user's own cluster.
        ensure!(env::var_os("KUBECONFIG").is_some_and(|file| !file.is_empty()), "KUBECONFIG is not set; {HINT}");
        let client = Client::try_default().await.with_context(|| format!("no cluster can be reached; {HINT}"))?;
        let operator_namespace = env::var("OPERATOR_NAMESPACE").unwrap_or_else(|_| "doltdb-operator-system".to_owned());
        let cluster = Self { client, operator_namespace };
        cluster.has_the_operator().await.with_context(|| HINT)?;
        Ok(cluster)
    }

    async fn has_the_operator(&self) -> Result<()> {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for plural in ["doltdbs", "databases"] {
            let name = format!("{plural}.k8s.dolthub.com");
            let found = definitions.get_opt(&name).await.with_context(|| format!("cannot read CustomResourceDefinition {name}"))?;
            ensure!(found.is_some(), "the cluster has no CustomResourceDefinition {name}");
        }
        self.deployment().await.map(drop)
    }

    /// The operator's Deployment.
    pub(crate) async fn deployment(&self) -> Result<Deployment> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.operator_namespace);
        let found = deployments.list(&ListParams::default().labels("app.kubernetes.io/name=doltdb-operator")).await?;
        match <[Deployment; 1]>::try_from(found.items) {
            Ok([deployment]) => Ok(deployment),
            Err(found) => bail!("there are {} Deployments of the operator in namespace {}, not 1", found.len(), self.operator_namespace),
        }
    }

    /// Version of Kubernetes.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn version(&self) -> Result<String> {
        Ok(self.client.apiserver_version().await.context("the version of the API server")?.git_version)
    }

    /// A storage class of the cluster.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn storage_class(&self, name: &str) -> Result<StorageClass> {
        self.storage_classes().get(name).await.with_context(|| format!("cannot read StorageClass {name}"))
    }

    /// Makes a storage class like another one, which is nobody's default.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn copy_storage_class(&self, of: &StorageClass, name: &str) -> Result<()> {
        let copy = StorageClass { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, ..of.clone() };
        self.storage_classes().create(&PostParams::default(), &copy).await.with_context(|| format!("cannot create StorageClass {name}"))?;
        Ok(())
    }

    /// Takes a storage class away.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn delete_storage_class(&self, name: &str) -> Result<()> {
        self.storage_classes()
            .delete(name, &DeleteParams::default())
            .await
            .with_context(|| format!("cannot delete StorageClass {name}"))?;
        Ok(())
    }

    fn storage_classes(&self) -> Api<StorageClass> {
        Api::all(self.client.clone())
    }
}
