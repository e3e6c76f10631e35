//! The DoltDB that is reconciled, with everything that follows from the object alone.

use crds::{DoltDB, DoltDBSpec, DoltDBStatus, ObjectMeta, Replication, names};
use dolt::{Servers, Settings};
use sdk::{Failure, Header, Request};

/// The reconciled DoltDB.
#[derive(Debug)]
pub(crate) struct Target {
    /// Name, namespace, uid, generation.
    pub(crate) header: Header,
    /// Its labels and annotations.
    pub(crate) metadata: ObjectMeta,
    /// What is wanted.
    pub(crate) spec: DoltDBSpec,
    /// What was last said of it.
    pub(crate) status: DoltDBStatus,
    /// `spec.replication` with its defaults.
    pub(crate) replication: Replication,
    /// Where its servers are.
    pub(crate) servers: Servers,
}

impl Target {
    pub(crate) fn of(request: &Request, settings: &Settings) -> Result<Self, Failure> {
        let object = request.object_as::<DoltDB>()?;
        let DoltDB { metadata, spec, status } = object.body;
        let servers = Servers::new(&object.header.namespace, &object.header.name, &spec, &settings.cluster_domain);
        Ok(Self { header: object.header, metadata, replication: spec.replication(), spec, status, servers })
    }

    /// Its name, from which the names of all children are made.
    pub(crate) fn name(&self) -> &str {
        &self.header.name
    }

    /// The namespace of all its children.
    pub(crate) fn namespace(&self) -> &str {
        &self.header.namespace
    }

    /// The pod of an ordinal.
    pub(crate) fn pod(&self, ordinal: i32) -> String {
        names::pod(self.name(), ordinal)
    }

    /// The ordinal of the pod that is primary, as far as is recorded; what is wanted where nothing is.
    pub(crate) fn recorded_primary(&self) -> i32 {
        let wanted = if self.replication.enabled { self.replication.pod_index } else { 0 };
        self.status.current_primary_pod_index.unwrap_or(wanted)
    }

    /// The highest epoch that was ever seen or given out.
    pub(crate) fn recorded_epoch(&self) -> u64 {
        self.status.replication_epoch.and_then(|epoch| u64::try_from(epoch).ok()).unwrap_or_default()
    }
}
