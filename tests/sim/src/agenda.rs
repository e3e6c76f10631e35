//! What is going to happen, in the order of its time, and of what was planned for one moment in the order in which it was planned.
//!
//! What servers and clients do among themselves is most of it, and no host hears of it by itself: it is kept apart. It knows nothing of what comes
//! of an event.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::world::Event;

/// Events to come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agenda {
    /// Of these the hosts may hear.
    news: BinaryHeap<Reverse<Planned>>,
    /// Of these they do not.
    others: BinaryHeap<Reverse<Planned>>,
    planned: u64,
}

/// An event, when it happens, and how many were planned before it.
#[derive(Debug, Clone)]
struct Planned {
    when: (u64, u64),
    event: Event,
}

impl Agenda {
    /// Plans an event.
    pub(crate) fn plan(&mut self, at: u64, event: Event) {
        self.planned += 1;
        let among_themselves = matches!(event, Event::Write | Event::Arrive { .. } | Event::Answer { .. } | Event::Patience { .. });
        let kept = if among_themselves { &mut self.others } else { &mut self.news };
        kept.push(Reverse(Planned { when: (at, self.planned), event }));
    }

    /// When the next event is.
    pub(crate) fn next(&self) -> Option<u64> {
        [&self.news, &self.others].into_iter().filter_map(first).min().map(|(at, _)| at)
    }

    /// When the next event is of which the hosts may hear.
    pub(crate) fn next_news(&self) -> Option<u64> {
        first(&self.news).map(|(at, _)| at)
    }

    /// Takes the next event out.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let others_are_first = first(&self.others).is_some_and(|when| first(&self.news).is_none_or(|news| when < news));
        let kept = if others_are_first { &mut self.others } else { &mut self.news };
        kept.pop().map(|Reverse(planned)| planned.event)
    }

    /// Forgets the events that do not count any more.
    pub(crate) fn retain(&mut self, counts: impl Fn(&Event) -> bool) {
        for kept in [&mut self.news, &mut self.others] {
            kept.retain(|Reverse(planned)| counts(&planned.event));
        }
    }
}

fn first(kept: &BinaryHeap<Reverse<Planned>>) -> Option<(u64, u64)> {
    kept.peek().map(|Reverse(planned)| planned.when)
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.when == other.when
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.when.cmp(&other.when)
    }
}
