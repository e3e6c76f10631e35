//! The lease, and two hosts at a time: one that has lost the lease and does not know it yet, and its successor.
//!
//! The election is the host's own, over a Lease in the world. What a former host has under way when it loses the lease arrives all the same:
//! late, and at worst when its successor leads. It knows nothing of what the effects are.

use std::{future::pending, sync::Arc};

use host::{
    leader::{Leadership, LeaseStore, StoreError, campaign_in},
    settings::LeaderElection,
};
use k8s_openapi::api::coordination::v1::Lease;
use tokio::task::JoinHandle;

use crate::{
    cache::Cache,
    moment::Sim,
    world::{Event, World},
};

/// For how long a lease counts, and for how long its holder may write without a renewal, in seconds. As in the chart.
const LEASE: u32 = 15;
const RENEW: u32 = 10;
const RETRY: u32 = 2;
/// From the moment at which the last effect of a former host is due until the host is gone, in milliseconds.
const LAST_WORDS: u64 = 50;

/// The Lease, and who has part in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leases {
    lease: Option<Lease>,
    version: u64,
    /// The host that leads, or is about to. It keeps its number when it is restarted.
    pub(crate) replica: u64,
    /// The host before it.
    former: Option<Former>,
    /// The leading host has just lost its lease.
    pub(crate) lost: bool,
}

/// A host that cannot renew its lease.
#[derive(Debug, Clone)]
struct Former {
    replica: u64,
    since: u64,
    /// It stands still until all it has under way arrives; if not, it goes on, and what it sends takes as long as that.
    still: bool,
    late: u64,
    /// It hears of no changes.
    blind: bool,
    cache: Cache,
    gone: bool,
}

impl Former {
    /// When nothing of it can arrive any more.
    fn end(&self) -> u64 {
        let renew = u64::from(RENEW) * 1_000;
        self.since + LAST_WORDS + if self.still { self.late.max(renew) } else { self.late + renew }
    }
}

impl Leases {
    /// How long something that was sent may have been on its way.
    pub(crate) fn longest_way(&self) -> u64 {
        self.former.as_ref().filter(|former| !former.gone && !former.still).map_or(0, |former| former.late)
    }

    pub(crate) fn former_has_news(&self) -> bool {
        self.former.as_ref().is_some_and(|former| former.cache.has_news())
    }
}

impl World {
    /// The host that leads cannot renew its lease from now on, and another one wants it.
    pub(crate) fn lose_lease(&mut self, still: bool, late: u64, blind: bool) -> Option<u64> {
        if !self.host_up || self.has_former_host() {
            return None;
        }
        let cache = std::mem::take(&mut self.cache);
        let former = Former { replica: self.leases.replica, since: self.now, still, late, blind, cache, gone: false };
        let end = former.end();
        self.leases.former = Some(former);
        self.leases.replica += 1;
        self.leases.lost = true;
        self.host_up = false;
        self.after(end - self.now, Event::FormerHostGone);
        Some(end.max(self.now + u64::from(LEASE + RETRY) * 1_000))
    }

    /// Whether there is a host that has lost its lease.
    pub(crate) fn has_former_host(&self) -> bool {
        self.leases.former.as_ref().is_some_and(|former| !former.gone)
    }

    /// Whether no host leads, or one that has lost its lease and does not know it.
    pub(crate) fn nobody_leads(&self) -> bool {
        !self.host_up || self.leases.former.as_ref().is_some_and(|former| former.since >= self.host_since)
    }

    pub(crate) fn on_former_host_gone(&mut self) {
        if let Some(former) = &mut self.leases.former {
            former.gone = true;
        }
        self.urgent = true;
        self.say(|| "the former host is gone".into());
    }

    /// What a host sees of the cluster.
    pub(crate) fn cache_of(&self, replica: u64) -> &Cache {
        self.leases.former.as_ref().filter(|former| former.replica == replica).map_or(&self.cache, |former| &former.cache)
    }

    pub(crate) fn cache_of_mut(&mut self, replica: u64) -> &mut Cache {
        self.leases.former.as_mut().filter(|former| former.replica == replica).map_or(&mut self.cache, |former| &mut former.cache)
    }

    /// What a former host sees, as long as it hears of changes.
    pub(crate) fn former_cache(&mut self) -> Option<&mut Cache> {
        self.leases.former.as_mut().filter(|former| !former.gone && !former.blind).map(|former| &mut former.cache)
    }

    /// Whether a host does nothing new.
    pub(crate) fn stands_still(&self, replica: u64) -> bool {
        self.former(replica).is_some_and(|former| former.gone || (former.still && self.now < former.since + former.late))
    }

    /// How much longer than usual it takes until something of a host arrives: before it has reached the other end at all, or (where the host
    /// stands still) between two of its steps.
    pub(crate) fn lateness(&self, replica: u64, between_steps: bool) -> u64 {
        self.former(replica).map_or(0, |former| match (former.still, between_steps) {
            (true, true) => (former.since + former.late).saturating_sub(self.now),
            (false, false) => former.late,
            _ => 0,
        })
    }

    fn former(&self, replica: u64) -> Option<&Former> {
        self.leases.former.as_ref().filter(|former| former.replica == replica)
    }
}

/// A host's part in the election. It ends with its value; the Lease stays as it is then.
pub(crate) struct Candidate {
    pub(crate) replica: u64,
    pub(crate) leadership: Leadership,
    tasks: Vec<JoinHandle<()>>,
}

impl Candidate {
    /// Stands for the lease that nobody else has, or that it had itself before it was restarted.
    pub(crate) fn stand(sim: &Arc<Sim>) -> Self {
        let replica = sim.look(|world| world.leases.replica);
        let settings = LeaderElection {
            name: "leader".into(),
            namespace: "system".into(),
            lease_duration_seconds: LEASE,
            renew_deadline_seconds: RENEW,
            retry_period_seconds: RETRY,
        };
        let (leadership, mandate) = Leadership::contested();
        let way = Way { sim: sim.clone(), replica };
        let campaigning = async move {
            let identity = format!("host-{replica}");
            campaign_in(&way, &settings, identity, mandate, pending()).await.expect("the periods are those of the chart");
        };
        Self { replica, leadership, tasks: vec![tokio::spawn(campaigning)] }
    }

    /// Stands for a lease that another host still has, and starts the host once it leads.
    pub(crate) fn take_over(sim: &Arc<Sim>) -> Self {
        let mut candidate = Self::stand(sim);
        let (sim, leadership) = (sim.clone(), candidate.leadership.clone());
        candidate.tasks.push(tokio::spawn(async move {
            leadership.acquired().await;
            let mut world = sim.at_now();
            world.say(|| "another host has the lease".into());
            world.after(0, Event::HostUp(0));
        }));
        candidate
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A host's way to the Lease.
struct Way {
    sim: Arc<Sim>,
    replica: u64,
}

impl Way {
    /// A host that has lost its lease gets no answer.
    async fn is_open(&self) {
        if self.sim.look(|world| world.former(self.replica).is_some()) {
            pending::<()>().await;
        }
    }

    fn put(&self, lease: &Lease, version: Option<&str>) -> Result<(), StoreError> {
        self.sim.change(|world| {
            let leases = &mut world.leases;
            let current = leases.lease.as_ref().and_then(|lease| lease.metadata.resource_version.as_deref());
            if current != version {
                return Err(StoreError::Conflict);
            }
            leases.version += 1;
            let mut lease = lease.clone();
            lease.metadata.resource_version = Some(leases.version.to_string());
            leases.lease = Some(lease);
            Ok(())
        })
    }
}

impl LeaseStore for Way {
    async fn get(&self) -> Result<Option<Lease>, StoreError> {
        self.is_open().await;
        Ok(self.sim.look(|world| world.leases.lease.clone()))
    }

    async fn create(&self, lease: &Lease) -> Result<(), StoreError> {
        self.put(lease, None)
    }

    async fn replace(&self, lease: &Lease) -> Result<(), StoreError> {
        self.put(lease, lease.metadata.resource_version.as_deref())
    }

    async fn released(&self, _: &str) {
        pending().await
    }
}
