//! What a controller remembers of an object between rounds. All of it may be lost at any time: it saves work and carries hints,
//! and decides nothing.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    contract::{Effect, Next, ObjectRef, Outcome, Plan, Timestamp},
    gateway::{Answer, Journal},
};

/// The window in which rounds are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// Memory of one object.
#[derive(Default)]
pub(super) struct Memory {
    /// How the last plan ended.
    pub(super) last: Option<Outcome>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// The last round, if it changed nothing and failed in nothing.
    pub(super) settled: Option<Settled>,
    /// The last round whose plan passed the check.
    pub(super) passed: Option<Arc<Journal>>,
    /// When rounds began, in the last minute.
    rounds: VecDeque<Instant>,
}

/// A round after which nothing was left to do.
#[derive(Clone)]
pub(super) struct Settled {
    /// Which object it saw, what else it read, and who decided.
    pub(super) journal: Arc<Journal>,
    /// The places of the plan's effects that it found applied already, with the fingerprint of each object.
    pub(super) applied: Vec<(usize, Option<u64>)>,
    /// When to look again.
    pub(super) next: Next,
}

impl Settled {
    /// What it found applied already, with the fingerprint of each.
    pub(super) fn applied(&self) -> impl Iterator<Item = (&ObjectRef, Option<u64>)> + Clone {
        let effects = self.journal.plan().map_or(&[][..], |plan| &plan.effects);
        self.applied.iter().filter_map(|(at, fingerprint)| match effects.get(*at)? {
            Effect::Apply(application) => Some((&application.object, *fingerprint)),
            _ => None,
        })
    }

    /// What the clock said when its reconciler asked for the time.
    pub(super) fn now(&self) -> Option<Timestamp> {
        self.journal.reads.iter().find_map(|read| if let Answer::Now(now) = read.answer { Some(now) } else { None })
    }
}

impl Memory {
    /// The last plan that passed the check.
    pub(super) fn passed(&self) -> Option<&Plan> {
        self.passed.as_ref()?.plan()
    }

    /// Counts a round. Gives the time to wait where there have been too many in the last minute.
    pub(super) fn begin_round(&mut self, limit: u32) -> Result<(), Duration> {
        let now = Instant::now();
        while self.rounds.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            self.rounds.pop_front();
        }
        if self.rounds.len() >= limit as usize {
            let oldest = self.rounds.front().copied().unwrap_or(now);
            return Err(MINUTE.saturating_sub(now.duration_since(oldest)));
        }
        self.rounds.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn too_many_rounds_wait_for_the_minute_to_end() {
        let mut memory = Memory::default();
        for _ in 0..3 {
            memory.begin_round(3).unwrap();
            tokio::time::advance(Duration::from_secs(10)).await;
        }
        assert_eq!(memory.begin_round(3), Err(Duration::from_secs(30)));
        tokio::time::advance(Duration::from_secs(30)).await;
        memory.begin_round(3).unwrap();
    }
}
