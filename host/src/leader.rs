//! Leadership: which one of several replicas may write, by a Lease (`coordination.k8s.io/v1`) that any client-go candidate understands.
//!
//! Owns the election and the one question that fences every effect: [`Leadership::is_held`]. It is answered from a monotonic clock, without
//! waiting for anything: it turns false `renew_deadline` after the last renewal was *sent*, while others wait for `lease_duration` after they
//! *saw* a renewal, so two replicas never hold at once, however slow the API server is and whatever the clocks of the nodes say. What is in
//! flight when it turns false has the difference of the two (5 s by default) to end.
//!
//! Deliberately knows nothing about what the leader does.

mod candidate;
mod store;
#[cfg(test)]
mod tests;

use std::{pin::pin, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info, warn};

pub use self::store::{LeaseStore, StoreError};
use self::{
    candidate::{Candidate, Standing},
    store::KubeLease,
};
use crate::settings::LeaderElection;

/// The election cannot be held with these settings.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LeaderError {
    /// A holder has to stop before others may take over, and to have time for more than one renewal until then.
    #[error(
        "leader election settings are wrong: 0 < retryPeriodSeconds ({retry}) < renewDeadlineSeconds ({renew}) < leaseDurationSeconds ({lease}) must hold"
    )]
    Periods {
        /// `leaseDurationSeconds`.
        lease: u32,
        /// `renewDeadlineSeconds`.
        renew: u32,
        /// `retryPeriodSeconds`.
        retry: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tenure {
    None,
    Until(Instant),
    Always,
}

#[derive(Debug, Clone)]
struct State {
    tenure: Tenure,
    holder: Option<String>,
}

/// Whether this process leads. Cheap to clone and to ask.
#[derive(Debug, Clone)]
pub struct Leadership {
    state: watch::Receiver<State>,
}

/// The writing end of a [`Leadership`], for [`campaign`]. When it is dropped, the leadership ends with the last renewal.
#[derive(Debug)]
pub struct Mandate {
    state: watch::Sender<State>,
}

impl Leadership {
    /// Leads from now on: no election is configured.
    #[must_use]
    pub fn always() -> Self {
        Self { state: watch::channel(State { tenure: Tenure::Always, holder: None }).1 }
    }

    /// Does not lead until the [`campaign`] that gets the mandate has won.
    #[must_use]
    pub fn contested() -> (Self, Mandate) {
        let (sender, state) = watch::channel(State { tenure: Tenure::None, holder: None });
        (Self { state }, Mandate { state: sender })
    }

    /// Whether this process may write now. To be asked right before each effect.
    #[must_use]
    pub fn is_held(&self) -> bool {
        match self.state.borrow().tenure {
            Tenure::None => false,
            Tenure::Until(end) => Instant::now() < end,
            Tenure::Always => true,
        }
    }

    /// Waits until this process leads.
    pub async fn acquired(&self) {
        let mut state = self.state.clone();
        loop {
            state.mark_unchanged();
            if self.is_held() {
                return;
            }
            if state.changed().await.is_err() {
                // Nobody campaigns any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until this process does not lead. After a loss it does not lead again for at least a retry period.
    pub async fn lost(&self) {
        let mut state = self.state.clone();
        loop {
            let tenure = state.borrow_and_update().tenure;
            if !self.is_held() {
                return;
            }
            tokio::select! {
                () = ended(tenure) => {}
                Ok(()) = state.changed() => {}
            }
        }
    }

    /// The identity of the leader, as last seen. None without an election, or while nobody leads.
    #[must_use]
    pub fn holder(&self) -> Option<String> {
        self.state.borrow().holder.clone()
    }
}

async fn ended(tenure: Tenure) {
    match tenure {
        Tenure::Until(end) => sleep_until(end).await,
        Tenure::None | Tenure::Always => std::future::pending().await,
    }
}

impl Mandate {
    fn tenure(&self) -> Tenure {
        self.state.borrow().tenure
    }

    fn set(&self, tenure: Tenure, holder: Option<String>) {
        self.state.send_replace(State { tenure, holder });
    }
}

/// The periods of an election, checked.
#[derive(Debug, Clone, Copy)]
struct Periods {
    lease: Duration,
    renew: Duration,
    retry: Duration,
}

impl TryFrom<&LeaderElection> for Periods {
    type Error = LeaderError;

    fn try_from(settings: &LeaderElection) -> Result<Self, LeaderError> {
        let (lease, renew, retry) = (settings.lease_duration_seconds, settings.renew_deadline_seconds, settings.retry_period_seconds);
        if retry == 0 || retry >= renew || renew >= lease {
            return Err(LeaderError::Periods { lease, renew, retry });
        }
        let seconds = |n: u32| Duration::from_secs(n.into());
        Ok(Self { lease: seconds(lease), renew: seconds(renew), retry: seconds(retry) })
    }
}

/// Campaigns for the Lease until `shutdown` is ready, then releases it, so that another replica takes over at once.
///
/// A loss does not end it: it campaigns again. `shutdown` must become ready only when effects have ended: from then on others may write.
///
/// # Errors
/// When the settings' periods contradict each other. Everything else is tried again.
pub async fn campaign(
    client: kube::Client,
    settings: &LeaderElection,
    identity: String,
    mandate: Mandate,
    shutdown: impl Future<Output = ()>,
) -> Result<(), LeaderError> {
    let store = KubeLease::new(client, &settings.namespace, &settings.name);
    campaign_in(&store, settings, identity, mandate, shutdown).await
}

/// As [`campaign`], for a Lease wherever it lives.
///
/// # Errors
/// As [`campaign`].
pub async fn campaign_in(
    store: &impl LeaseStore,
    settings: &LeaderElection,
    identity: String,
    mandate: Mandate,
    shutdown: impl Future<Output = ()>,
) -> Result<(), LeaderError> {
    let periods = Periods::try_from(settings)?;
    run(store, Candidate::new(&settings.namespace, &settings.name, identity, periods.lease), periods, &mandate, shutdown).await;
    Ok(())
}

async fn released(store: &impl LeaseStore, since: Option<&str>) {
    match since {
        Some(version) => store.released(version).await,
        None => std::future::pending().await,
    }
}

async fn run(store: &impl LeaseStore, mut candidate: Candidate, periods: Periods, mandate: &Mandate, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let mut failing = false;
    loop {
        let tenure = mandate.tenure();
        // An unanswered call must leave time for another one before the tenure ends.
        let attempt = timeout(periods.renew / 2, candidate.attempt(store));
        let tried = tokio::select! {
            // The end of a tenure comes before a renewal that arrives too late: a loss is never papered over.
            biased;
            () = &mut shutdown => break,
            () = ended(tenure) => None,
            tried = attempt => Some(tried.unwrap_or(Err(StoreError::Timeout))),
        };
        let mut pause = periods.retry;
        let mut seen = None;
        match tried {
            None => {
                warn!(identity = candidate.identity(), "leadership lost: the lease could not be renewed in time");
                mandate.set(Tenure::None, None);
            }
            Some(Ok(Standing::Held { sent })) => {
                if tenure == Tenure::None {
                    info!(identity = candidate.identity(), "leadership acquired");
                }
                mandate.set(Tenure::Until(sent + periods.renew), Some(candidate.identity().to_owned()));
            }
            Some(Ok(Standing::Waiting { ref holder, expires, ref version })) => {
                if tenure != Tenure::None {
                    warn!(identity = candidate.identity(), holder, "leadership lost: another replica holds the lease");
                }
                mandate.set(Tenure::None, Some(holder.clone()));
                pause = pause.min(expires.saturating_duration_since(Instant::now()));
                seen = Some(version.clone());
            }
            Some(Err(ref error)) if failing => debug!(%error, "the lease cannot be had"),
            Some(Err(ref error)) => warn!(%error, "the lease cannot be had, trying again"),
        }
        failing = matches!(tried, Some(Err(_)));
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            () = tokio::time::sleep(pause) => {}
            () = ended(mandate.tenure()) => {}
            () = released(store, seen.as_deref()) => {}
        }
    }
    mandate.set(Tenure::None, None);
    match timeout(periods.renew / 2, candidate.release(store)).await.unwrap_or(Err(StoreError::Timeout)) {
        Ok(()) => debug!(identity = candidate.identity(), "lease released"),
        Err(error) => warn!(%error, "the lease could not be released: others take over when it expires"),
    }
}
