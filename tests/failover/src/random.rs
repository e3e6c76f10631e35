//! Faults at random, from a seed: one after the other and on top of each other, for a given time. What happens follows from the seed alone; when
//! it happens to the servers does not, so a seed brings back the order of the faults, not the outcome.

use std::{fmt, time::Duration};

use anyhow::Result;
use e2e::{Namespace, Operator, seconds};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    fault::{Cut, cut, heal},
    stage::{PRIMARY, Run, Stage, pod},
};

/// How many servers are tormented.
const SERVERS: u32 = 3;
/// For everything to come in order at the end.
const PATIENCE: Duration = seconds(300);

/// Something that is done to a DoltDB or to its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A pod is killed.
    Kill(u32),
    /// All pods are killed.
    KillAll,
    /// A pod is deleted.
    Delete(u32),
    /// A pod's processes are frozen for a while.
    Freeze(u32, Duration),
    /// Nothing is replicated to a pod for a while.
    Block(u32, Duration),
    /// A pod is cut off from all but the clients for a while.
    Part(u32, Duration),
    /// Another primary is asked for.
    Switch(u32),
    /// The servers' configuration changes.
    Configure(u32),
    /// The operator's leader is lost.
    LoseOperator,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(ordinal) => write!(formatter, "kill {}", pod(*ordinal)),
            Self::KillAll => write!(formatter, "kill all pods"),
            Self::Delete(ordinal) => write!(formatter, "delete {}", pod(*ordinal)),
            Self::Freeze(ordinal, time) => write!(formatter, "freeze {} for {} s", pod(*ordinal), time.as_secs()),
            Self::Block(ordinal, time) => write!(formatter, "replicate nothing to {} for {} s", pod(*ordinal), time.as_secs()),
            Self::Part(ordinal, time) => write!(formatter, "cut off {} for {} s", pod(*ordinal), time.as_secs()),
            Self::Switch(ordinal) => write!(formatter, "ask for {} as primary", pod(*ordinal)),
            Self::Configure(connections) => write!(formatter, "configure {connections} connections"),
            Self::LoseOperator => write!(formatter, "lose the operator's leader"),
        }
    }
}

/// Faults without end, each with the pause after it.
pub struct Faults {
    state: u64,
}

impl Faults {
    /// Those of a seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A number below `end`: splitmix64, whose bias for small ends is of no concern here.
    fn below(&mut self, end: u32) -> u32 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(end)).unwrap_or_default()
    }
}

impl Iterator for Faults {
    type Item = (Fault, Duration);

    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.below(9);
        let ordinal = self.below(SERVERS);
        let time = seconds((1 + self.below(15)).into());
        let fault = match kind {
            0 => Fault::Kill(ordinal),
            1 => Fault::KillAll,
            2 => Fault::Delete(ordinal),
            3 => Fault::Freeze(ordinal, time),
            4 => Fault::Block(ordinal, time),
            5 => Fault::Part(ordinal, time),
            6 => Fault::Switch(ordinal),
            7 => Fault::Configure(900 + self.below(50)),
            _ => Fault::LoseOperator,
        };
        // Now and then the next one comes before anything could be done about this one.
        let pause = Duration::from_millis(match self.below(4) {
            0 => 200,
            1 => 2_000,
            2 => 8_000,
            _ => 20_000,
        });
        Some((fault, pause))
    }
}

/// Plays the faults of a seed for so long, then waits for order.
///
/// # Errors
/// When it can't even begin.
pub async fn play(namespace: &Namespace, time: Duration, seed: u64) -> Result<Run> {
    e2e::say(format_args!("random faults for {} s from seed {seed}", time.as_secs()));
    let mut stage = Stage::set(namespace, SERVERS, 0, &[PRIMARY], json!({})).await?;
    stage.strikes();
    let start = stage.log.now();
    let mut number = 0;
    for (fault, pause) in Faults::of(seed) {
        let now = stage.log.now().saturating_sub(start);
        if now >= time {
            break;
        }
        number += 1;
        e2e::say(format_args!("{:7.1} s: {number}: {fault}", now.as_secs_f64()));
        // A pod that is just being replaced can't be frozen, nor be asked for its address: the next fault will find one.
        if let Err(error) = strike(&stage, fault).await {
            e2e::say(format_args!("           {error:#}"));
        }
        sleep(pause).await;
    }
    heal().await?;
    Operator::of(&namespace.cluster).settled().await?;
    stage.notes.push(format!("{number} faults from seed {seed} in {} s", time.as_secs()));
    Ok(stage.outcome(PATIENCE).await)
}

async fn strike(stage: &Stage<'_>, fault: Fault) -> Result<()> {
    let namespace = stage.namespace;
    match fault {
        Fault::Kill(ordinal) => namespace.kill(&pod(ordinal)).await,
        Fault::KillAll => {
            for ordinal in 0..SERVERS {
                namespace.kill(&pod(ordinal)).await.ok();
            }
            Ok(())
        }
        Fault::Delete(ordinal) => namespace.delete("Pod", &pod(ordinal)).await,
        Fault::Freeze(ordinal, time) => {
            namespace.freeze(&pod(ordinal)).await?;
            sleep(time).await;
            namespace.thaw(&pod(ordinal)).await
        }
        Fault::Block(ordinal, time) => {
            cut(&Cut::Replication(stage.address(ordinal).await?)).await?;
            sleep(time).await;
            heal().await
        }
        Fault::Part(ordinal, time) => {
            cut(&Cut::Pod(stage.address(ordinal).await?)).await?;
            sleep(time).await;
            heal().await
        }
        Fault::Switch(ordinal) => stage.change(json!({"spec": {"replication": {"primary": {"podIndex": ordinal}}}})).await,
        Fault::Configure(connections) => stage.change(json!({"spec": {"server": {"listener": {"maxConnections": connections}}}})).await,
        Fault::LoseOperator => Operator::of(&namespace.cluster).lose().await.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, mem::discriminant};

    use super::*;

    #[test]
    fn a_seed_brings_the_same_faults_again_and_another_one_others() {
        let first = |seed| Faults::of(seed).take(20).collect::<Vec<_>>();
        assert_eq!(first(7), first(7));
        assert_ne!(first(7), first(8));
    }

    #[test]
    fn every_kind_of_fault_strikes_every_server() {
        let faults: Vec<Fault> = Faults::of(1).take(1000).map(|(fault, _)| fault).collect();
        let kinds: HashSet<_> = faults.iter().map(discriminant).collect();
        assert_eq!(kinds.len(), 9);
        for ordinal in 0..SERVERS {
            assert!(faults.contains(&Fault::Kill(ordinal)) && faults.contains(&Fault::Switch(ordinal)));
        }
    }
}
