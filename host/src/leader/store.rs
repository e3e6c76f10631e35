//! Where the Lease lives: the API server, or a test's memory.

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{PostParams, WatchEvent, WatchParams},
};
use tracing::debug;

/// The Lease could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another candidate wrote first.
    #[error("another replica wrote the lease meanwhile")]
    Conflict,
    /// The API server did not answer in time. A write may have happened.
    #[error("the API server did not answer in time")]
    Timeout,
    /// The API server could not be reached, or said no.
    #[error("the API server failed: {0}")]
    Api(#[source] Box<kube::Error>),
}

/// Reads and writes one Lease. Writes are refused when the Lease has changed since it was read.
pub trait LeaseStore: Send + Sync {
    /// The Lease, or none.
    fn get(&self) -> impl Future<Output = Result<Option<Lease>, StoreError>> + Send;
    /// Creates the Lease; a conflict if it exists.
    fn create(&self, lease: &Lease) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Replaces the Lease if its resource version is still the given one.
    fn replace(&self, lease: &Lease) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Waits until the Lease that had this resource version is released or deleted. For ever if the store cannot tell: whoever waits looks
    /// from time to time as well.
    fn released(&self, since: &str) -> impl Future<Output = ()> + Send;
}

/// The Lease in the cluster.
pub(super) struct KubeLease {
    leases: Api<Lease>,
    name: String,
}

impl KubeLease {
    pub(super) fn new(client: kube::Client, namespace: &str, name: &str) -> Self {
        Self { leases: Api::namespaced(client, namespace), name: name.to_owned() }
    }

    async fn release_in(&self, since: &str) -> Result<bool, kube::Error> {
        let params = WatchParams::default().fields(&format!("metadata.name={}", self.name));
        let mut changes = self.leases.watch(&params, since).await?.boxed();
        while let Some(change) = changes.next().await {
            match change? {
                WatchEvent::Added(lease) | WatchEvent::Modified(lease) if holder(&lease).is_some() => {}
                WatchEvent::Added(_) | WatchEvent::Modified(_) | WatchEvent::Deleted(_) => return Ok(true),
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
            }
        }
        Ok(false)
    }
}

/// Who holds this Lease.
pub(super) fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

impl From<kube::Error> for StoreError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.is_conflict() || status.is_already_exists() => Self::Conflict,
            other => Self::Api(Box::new(other)),
        }
    }
}

impl LeaseStore for KubeLease {
    async fn get(&self) -> Result<Option<Lease>, StoreError> {
        Ok(self.leases.get_opt(&self.name).await?)
    }

    async fn create(&self, lease: &Lease) -> Result<(), StoreError> {
        self.leases.create(&PostParams::default(), lease).await?;
        Ok(())
    }

    async fn replace(&self, lease: &Lease) -> Result<(), StoreError> {
        self.leases.replace(&self.name, &PostParams::default(), lease).await?;
        Ok(())
    }

    async fn released(&self, since: &str) {
        match self.release_in(since).await {
            Ok(true) => return,
            Ok(false) => debug!("the watch of the lease has ended"),
            Err(error) => debug!(%error, "the lease cannot be watched"),
        }
        std::future::pending().await
    }
}
