//! One replica's part in the election: looks at the Lease, decides whether it may write it, writes it.
//!
//! A holder counts as gone when its Lease has not changed for the lease's duration *since this replica saw it change*. The times inside the
//! Lease are for people: they come from other clocks and are never compared.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use tokio::time::Instant;

use super::store::{LeaseStore, StoreError};

/// Where an attempt has led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The Lease is ours. Our write was sent at this time, so nobody has seen it earlier.
    Held { sent: Instant },
    /// The Lease, seen at this resource version, is another's until then, unless it is renewed or released.
    Waiting { holder: String, expires: Instant, version: String },
}

#[derive(Debug)]
pub(super) struct Candidate {
    namespace: String,
    name: String,
    identity: String,
    duration: Duration,
    /// The Lease as last seen, and when it was first seen like this.
    seen: Option<(LeaseSpec, Instant)>,
}

impl Candidate {
    pub(super) fn new(namespace: &str, name: &str, identity: String, duration: Duration) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned(), identity, duration, seen: None }
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Takes or renews the Lease if it may.
    ///
    /// # Errors
    /// When the store fails, or when another candidate was faster ([`StoreError::Conflict`]).
    pub(super) async fn attempt(&mut self, store: &impl LeaseStore) -> Result<Standing, StoreError> {
        let Some(lease) = store.get().await? else {
            let sent = Instant::now();
            let metadata = ObjectMeta { namespace: Some(self.namespace.clone()), name: Some(self.name.clone()), ..Default::default() };
            store.create(&Lease { metadata, spec: Some(self.claim(None)) }).await?;
            return Ok(Standing::Held { sent });
        };
        let spec = lease.spec.unwrap_or_default();
        if let Some((holder, expires)) = self.observe(&spec, Instant::now()) {
            return Ok(Standing::Waiting { holder, expires, version: lease.metadata.resource_version.unwrap_or_default() });
        }
        let sent = Instant::now();
        store.replace(&Lease { metadata: lease.metadata, spec: Some(self.claim(Some(spec))) }).await?;
        Ok(Standing::Held { sent })
    }

    /// Clears the holder if it is this candidate.
    pub(super) async fn release(&self, store: &impl LeaseStore) -> Result<(), StoreError> {
        let Some(Lease { metadata, spec: Some(spec) }) = store.get().await? else { return Ok(()) };
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(());
        }
        let spec = LeaseSpec { holder_identity: None, renew_time: Some(MicroTime(Timestamp::now())), ..spec };
        store.replace(&Lease { metadata, spec: Some(spec) }).await
    }

    /// The holder that must be respected, and until when.
    fn observe(&mut self, spec: &LeaseSpec, now: Instant) -> Option<(String, Instant)> {
        let since = match &self.seen {
            Some((seen, since)) if seen == spec => *since,
            _ => now,
        };
        self.seen = Some((spec.clone(), since));
        let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty() && *holder != self.identity)?;
        // What the holder promised, not what this replica would have: their settings differ while a rollout goes on.
        let promised = spec.lease_duration_seconds.and_then(|n| u64::try_from(n).ok()).map_or(self.duration, Duration::from_secs);
        let expires = since + promised;
        (now < expires).then(|| (holder.to_owned(), expires))
    }

    /// The Lease with this candidate as the holder.
    fn claim(&self, current: Option<LeaseSpec>) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let duration = i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX);
        let (acquire_time, lease_transitions) = match &current {
            None => (now.clone(), Some(0)),
            Some(spec) if spec.holder_identity.as_deref() == Some(&self.identity) => (spec.acquire_time.clone(), spec.lease_transitions),
            Some(spec) => (now.clone(), Some(spec.lease_transitions.unwrap_or(0).saturating_add(1))),
        };
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(duration),
            acquire_time,
            renew_time: now,
            lease_transitions,
            ..current.unwrap_or_default()
        }
    }
}
