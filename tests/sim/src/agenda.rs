//! The events to come.
//!
//! What servers and clients do among themselves is most of it, and no host hears of it by itself: it is kept apart. It knows nothing of what comes
//! of an event.

use std::collections::VecDeque;

use crate::{
    timeline::{NEVER, Timeline, When},
    world::Event,
};

/// Events to come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agenda {
    /// Of these the hosts may hear.
    news: Timeline<Event>,
    /// Of these they do not.
    others: Timeline<Event>,
    /// How long a client waits is always the same: of these, the first to be planned is the first to be.
    patience: VecDeque<(When, Event)>,
    planned: u64,
}

impl Agenda {
    /// Plans an event.
    pub(crate) fn plan(&mut self, at: u64, event: Event) {
        self.planned += 1;
        let when = (at, self.planned);
        match event {
            Event::Patience { .. } => self.patience.push_back((when, event)),
            Event::Write | Event::Arrive { .. } | Event::Answer { .. } => self.others.put(when, event),
            _ => self.news.put(when, event),
        }
    }

    /// When the next event is; where there is none, later than any.
    pub(crate) fn next(&self) -> u64 {
        self.news.first().0.min(self.others.first().0).min(self.next_patience().0)
    }

    /// When the next event is of which the hosts may hear.
    pub(crate) fn next_news(&self) -> u64 {
        self.news.first().0
    }

    fn next_patience(&self) -> When {
        self.patience.front().map_or(NEVER, |(when, _)| *when)
    }

    /// Takes the next event out.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let (news, others, patience) = (self.news.first(), self.others.first(), self.next_patience());
        if others < news && others < patience {
            self.others.pop()
        } else if patience < news {
            self.patience.pop_front().map(|(_, event)| event)
        } else {
            self.news.pop()
        }
    }

    /// Forgets the events that do not count any more.
    pub(crate) fn retain(&mut self, counts: impl Fn(&Event) -> bool) {
        self.news.retain(&counts);
        self.others.retain(&counts);
        self.patience.retain(|(_, event)| counts(event));
    }
}
