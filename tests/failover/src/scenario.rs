//! What is done to a DoltDB under load, and what may come of it: the table of the project's goals.

use std::{fmt, time::Duration};

use anyhow::{Result, ensure};
use e2e::{Namespace, in_namespace, seconds};
use serde_json::json;

use crate::{
    act, fault,
    stage::{PRIMARY, Run, STANDALONE, Stage},
};

/// Until everything has to be in order after a fault.
const PATIENCE: Duration = seconds(120);

/// One thing that happens to a DoltDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Scenario {
    /// Nothing happens: what the clients measure then is the noise in all other figures.
    Quiet,
    /// The primary's pod is killed.
    Kill,
    /// The same, where the primary waits for its standbys before it acknowledges a write.
    KillAcknowledged,
    /// Another primary is asked for.
    Switchover,
    /// Another primary is asked for, which nothing is replicated to.
    BlockedSwitchover,
    /// The servers' configuration changes.
    RollingUpdate,
    /// The primary's process is frozen, and thawed when another server has taken over.
    Freeze,
    /// The primary is parted from the operator, the API server and its peers, but not from its clients.
    Partition,
    /// The operator is killed while it is at a switchover, a failover, and an update.
    OperatorKilled,
    /// All pods are killed at once.
    AllKilled,
    /// From three servers to two, to one, and to three again.
    Scale,
    /// The primary's pod is deleted with the usual grace.
    Delete,
}

/// What may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing.
    None,
    /// What no standby had when the fault struck.
    Unreplicated,
    /// Nothing, but what was not replicated may be in another place than before.
    Aside,
}

impl fmt::Display for Loss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "0",
            Self::Unreplicated => "0 that a standby had",
            Self::Aside => "0, kept aside allowed",
        })
    }
}

/// What may come of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The longest gap.
    pub gap: Option<Duration>,
    /// What may be lost.
    pub loss: Loss,
}

impl Scenario {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 12] = [
        Self::Quiet,
        Self::Kill,
        Self::KillAcknowledged,
        Self::Switchover,
        Self::BlockedSwitchover,
        Self::RollingUpdate,
        Self::Freeze,
        Self::Partition,
        Self::OperatorKilled,
        Self::AllKilled,
        Self::Scale,
        Self::Delete,
    ];

    /// What happens, in words.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Quiet => "nothing happens",
            Self::Kill => "the primary's pod is killed (no grace)",
            Self::KillAcknowledged => "the same, with ackWritesTimeoutSeconds: 5",
            Self::Switchover => "planned switchover, standby caught up",
            Self::BlockedSwitchover => "planned switchover to a standby that nothing is replicated to",
            Self::RollingUpdate => "rolling update of two servers",
            Self::Freeze => "the primary's process is frozen, later thawed",
            Self::Partition => "the primary is cut off from operator, API server and peers, not from clients",
            Self::OperatorKilled => "the operator is killed in the middle of a switchover, of a failover and of a rolling update",
            Self::AllKilled => "all pods are killed at once",
            Self::Scale => "three servers to two, to one, to three; the primary has the highest ordinal",
            Self::Delete => "the primary's pod is deleted (with grace)",
        }
    }

    /// What may come of it.
    #[must_use]
    pub const fn target(self) -> Target {
        let (gap, loss) = match self {
            Self::Quiet => (None, Loss::None),
            Self::Kill => (Some(1500), Loss::Unreplicated),
            // The new primary's first writes wait for the standby's return, as they should.
            Self::KillAcknowledged => (None, Loss::None),
            Self::Switchover | Self::RollingUpdate | Self::Delete => (Some(700), Loss::None),
            Self::BlockedSwitchover => (Some(1000), Loss::None),
            Self::Freeze => (Some(12_000), Loss::Unreplicated),
            Self::Partition => (None, Loss::Aside),
            Self::OperatorKilled => (None, Loss::Unreplicated),
            Self::AllKilled | Self::Scale => (None, Loss::None),
        };
        let gap = match gap {
            Some(millis) => Some(Duration::from_millis(millis)),
            None => None,
        };
        Target { gap, loss }
    }

    /// How many servers there are at first, which of them is primary, and by which Services clients come.
    const fn beginning(self) -> (u32, u32, &'static [&'static str]) {
        match self {
            Self::Scale => (3, 2, &[PRIMARY, STANDALONE]),
            _ => (2, 0, &[PRIMARY]),
        }
    }

    /// Plays it in a namespace of its own. `round` counts the runs: where a moment matters, each run takes another one.
    ///
    /// # Errors
    /// When it can't even begin. What goes wrong later is part of the run.
    pub async fn play(self, round: u32) -> Result<Run> {
        let mut outcome = Run::default();
        let played = in_namespace("failover", async |namespace| {
            outcome = self.play_in(namespace, round).await?;
            // Where something is wrong, the cluster is shown as it looks now.
            ensure!(outcome.wrong.is_empty(), "{}", outcome.wrong.join("; "));
            Ok(())
        })
        .await;
        if outcome.gap.is_none() {
            played?;
        }
        Ok(outcome)
    }

    async fn play_in(self, namespace: &Namespace, round: u32) -> Result<Run> {
        let (servers, primary, services) = self.beginning();
        let changes = match self {
            Self::KillAcknowledged => json!({"spec": {"replication": {"ackWritesTimeoutSeconds": 5}}}),
            _ => json!({}),
        };
        let mut stage = Stage::set(namespace, servers, primary, services, changes).await?;
        let acted = act::act(self, &mut stage, round).await;
        fault::heal().await?;
        if let Err(error) = acted {
            stage.wrong.push(format!("{error:#}"));
        }
        Ok(stage.outcome(PATIENCE).await)
    }

    /// What in a run is not as the target says.
    #[must_use]
    pub fn missed(self, run: &Run, gap: Option<Duration>) -> Vec<String> {
        let mut missed = run.wrong.clone();
        if let (Some(limit), Some(took)) = (gap, run.gap.as_ref().map(|gap| gap.length()))
            && took > limit
        {
            missed.push(format!(
                "no write was acknowledged for {:.2} s, at most {:.2} s are wanted",
                took.as_secs_f64(),
                limit.as_secs_f64()
            ));
        }
        let lost = match self.target().loss {
            Loss::None => run.count(|verdict| verdict.lost.len() + verdict.kept.len()),
            Loss::Unreplicated => run.count(|verdict| verdict.needlessly.len()),
            Loss::Aside => run.count(|verdict| verdict.lost.len()),
        };
        if lost > 0 {
            missed.push(format!("{lost} acknowledged writes are lost"));
        }
        missed
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = clap::ValueEnum::to_possible_value(self);
        formatter.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}
