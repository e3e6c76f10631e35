//! Mistakes on purpose, as reconcilers of databases make them: one whose plans are changed on their way to the host (`plans`), or who gets to see
//! something else than is there (`reads`). The oracles have to find each of them.

mod plans;
mod reads;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use clap::ValueEnum;
use host::{
    contract::{Failure, Plan, Request},
    controller::Decide,
    gateway::{SharedGateway, Subject},
    runtime::CallError,
};

use self::reads::{Memory, Reads};

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mutant {
    /// The status is written after the other effects.
    StatusLast,
    /// The status is not written.
    NoStatus,
    /// The status does not say an epoch that is about to be used.
    ForgetsEpoch,
    /// The status says the first epoch, whatever came after.
    RestartsEpochs,
    /// The status does not say which change is under way.
    ForgetsChange,
    /// Epochs are not raised.
    SameEpoch,
    /// Epochs are raised further than is recorded.
    LaterEpoch,
    /// Executions have no guard.
    NoGuard,
    /// The primary is not asked to step down.
    NoStepDown,
    /// Pods are not deleted.
    NoFence,
    /// Everything happens in the opposite order.
    Reversed,
    /// Whoever is to be promoted, another is.
    WrongPod,
    /// Whoever is to be promoted, all are.
    PromotesAll,
    /// Pods get no role labels.
    NoLabels,
    /// The role labels do not follow what the servers say.
    WrongLabels,
    /// A label that was given is never taken away.
    KeepsLabels,
    /// A pod is deleted where nothing is to be done.
    RestartsIdly,
    /// The Services do not follow.
    NoServices,
    /// Something outside of the grant is asked for.
    BeyondGrant,
    /// Every plan writes something new.
    NeverQuiet,
    /// The password is told.
    TellsPassword,
    /// Every standby counts as one that had all data.
    TrustsAnyStandby,
    /// A server that gives no answer counts as one that has ended.
    SilenceIsEnd,
    /// A pod that is being deleted counts as gone.
    DeletedIsGone,
    /// What gives no answer is what it last said.
    LastAnswerCounts,
    /// A call that failed counts as one that succeeded.
    ErrorIsSuccess,
    /// The place among the pods that run counts as the ordinal.
    IndexForOrdinal,
    /// The epochs of servers are not looked at.
    IgnoresEpochs,
    /// Servers are what they were in the round before.
    StaleRoles,
    /// The volumes of servers are not looked at.
    IgnoresVolumes,
    /// A set of snapshots is in the status after it is made.
    SetAfterSnapshots,
    /// A set too few is kept.
    KeepsTooFew,
    /// A Backup does not see the others.
    NoTurns,
    /// A copy that failed counts as one that succeeded.
    FailureIsCopy,
    /// A schedule takes every Backup for one that has ended.
    NeverWaits,
}

struct Mutated {
    mutant: Mutant,
    inner: Arc<dyn Decide>,
    memory: Arc<Mutex<Memory>>,
}

impl Mutant {
    /// All of them.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Whose reconciler makes it.
    pub(crate) fn slot(self) -> &'static str {
        match self {
            Self::SetAfterSnapshots | Self::KeepsTooFew => "snapshot",
            Self::NoTurns | Self::FailureIsCopy => "backup",
            Self::NeverWaits => "backupschedule",
            _ => "doltdb",
        }
    }

    pub(crate) fn of(self, inner: Arc<dyn Decide>) -> Arc<dyn Decide> {
        Arc::new(Mutated { mutant: self, inner, memory: Arc::default() })
    }
}

#[async_trait]
impl Decide for Mutated {
    fn digest(&self) -> &str {
        self.inner.digest()
    }

    async fn decide(&self, subject: &Subject, gateway: SharedGateway, request: &Request) -> Result<Result<Plan, Failure>, CallError> {
        let now = gateway.now();
        let memory = || self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut request = request.clone();
        memory().before(self.mutant, &mut request);
        let reads = Arc::new(Reads::new(self.mutant, gateway, self.memory.clone()));
        let mut decided = self.inner.decide(subject, reads, &request).await?;
        if let Ok(plan) = &mut decided {
            self.mutant.mutate(plan, &request, now);
            memory().after(self.mutant, plan);
        }
        Ok(decided)
    }
}
