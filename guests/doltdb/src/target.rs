//! The DoltDB that is reconciled, with everything that follows from the object alone.

use crds::{DoltDB, DoltDBSpec, DoltDBStatus, ObjectMeta, Replication, names};
use dolt::{Servers, Settings};
use sdk::{Failure, Header, Json, Request, owner_reference};

use crate::{
    form::{FIRST, Form},
    listener::{self, Tls},
    pod::Pods,
};

/// The reconciled DoltDB.
#[derive(Debug)]
pub(crate) struct Target {
    /// Name, namespace, uid, generation.
    pub(crate) header: Header,
    /// The entry of `metadata.ownerReferences` by which its children belong to it, written.
    pub(crate) owner_reference: String,
    /// Its labels and annotations.
    pub(crate) metadata: ObjectMeta,
    /// What is wanted.
    pub(crate) spec: DoltDBSpec,
    /// What was last said of it.
    pub(crate) status: DoltDBStatus,
    /// `spec.replication` with its defaults, as it is to be at the moment.
    pub(crate) replication: Replication,
    /// How many servers there are to be at the moment.
    pub(crate) replicas: i32,
    /// How far this is from what is wanted.
    pub(crate) form: Form,
    /// The TLS that pods offer clients which are made now.
    pub(crate) listener_tls: Option<Tls>,
    /// Where its servers are.
    pub(crate) servers: Servers,
}

/// Whether the primary has just said that it did not step down, because too few standbys had everything. What was known of them before is over, should
/// it be lost now.
fn too_few_had_everything(request: &Request) -> bool {
    /// Dolt's words: it has one number for nearly all of its errors.
    const WORDS: &str = "failed to transition from primary to standby gracefully";
    let failure = request.last.as_ref().and_then(|last| last.failure.as_ref()?.sql.as_ref());
    failure.is_some_and(|failure| failure.message.contains(WORDS))
}

impl Target {
    pub(crate) fn of(request: &Request, settings: &Settings) -> Result<Self, Failure> {
        let object = request.object_as::<DoltDB>()?;
        let DoltDB { metadata, spec, mut status } = object.body;
        if too_few_had_everything(request) {
            status.caught_up_standbys.clear();
        }
        let servers = Servers::new(&object.header.namespace, &object.header.name, &spec, &status, &settings.cluster_domain);
        let (replication, replicas) = (spec.replication(), spec.replicas());
        let listener_tls = listener::next(spec.server.listener.tls.as_ref(), &[]);
        Ok(Self {
            owner_reference: owner_reference(&object.header).written(),
            header: object.header,
            metadata,
            replication,
            replicas,
            form: Form::Settled,
            listener_tls,
            spec,
            status,
            servers,
        })
    }

    /// The same with these pods, which say how they can be spoken to.
    pub(crate) fn with_pods(mut self, pods: &Pods) -> Self {
        self.listener_tls = listener::next(self.spec.server.listener.tls.as_ref(), &listener::there(pods));
        let secret = |tls: Tls| tls.secret;
        self.servers = self.servers.with_certificates(pods.iter().map(|(ordinal, pod)| (*ordinal, pod.body.listener_tls().map(secret))));
        self
    }

    /// The same on its way to what is wanted. `running` is how many servers the StatefulSet has, if it is there.
    pub(crate) fn on_its_way(mut self, form: Form, running: Option<i32>) -> Self {
        match form {
            Form::Settled | Form::TurningOn => {}
            Form::TurningOff => {
                self.replication.enabled = true;
                self.replication.pod_index = FIRST;
                self.replicas = 1;
            }
            Form::Refused(_) => {
                self.replication.enabled = !self.replication.enabled;
                self.replicas = running.unwrap_or(self.replicas);
            }
        }
        self.form = form;
        self
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

    /// The epoch that the present primary was seen with when it became one; none where it has been primary from the beginning.
    pub(crate) fn seen_epoch(&self) -> u64 {
        self.status.last_primary_change.as_ref().and_then(|change| u64::try_from(change.epoch).ok()).unwrap_or_default()
    }
}
