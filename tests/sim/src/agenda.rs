//! The events to come.
//!
//! What servers and clients do among themselves is most of it, and no host hears of it by itself: it is kept apart. It knows nothing of what comes
//! of an event.

use crate::{timeline::Timeline, world::Event};

/// Events to come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agenda {
    /// Of these the hosts may hear.
    news: Timeline<Event>,
    /// Of these they do not.
    others: Timeline<Event>,
    planned: u64,
}

impl Agenda {
    /// Plans an event.
    pub(crate) fn plan(&mut self, at: u64, event: Event) {
        self.planned += 1;
        let among_themselves = matches!(event, Event::Write | Event::Arrive { .. } | Event::Answer { .. } | Event::Patience { .. });
        let kept = if among_themselves { &mut self.others } else { &mut self.news };
        kept.put((at, self.planned), event);
    }

    /// When the next event is.
    pub(crate) fn next(&self) -> Option<u64> {
        [&self.news, &self.others].into_iter().filter_map(Timeline::first).min().map(|(at, _)| at)
    }

    /// When the next event is of which the hosts may hear.
    pub(crate) fn next_news(&self) -> Option<u64> {
        self.news.first().map(|(at, _)| at)
    }

    /// Takes the next event out.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let others_are_first = self.others.first().is_some_and(|when| self.news.first().is_none_or(|news| when < news));
        if others_are_first { self.others.pop() } else { self.news.pop() }
    }

    /// Forgets the events that do not count any more.
    pub(crate) fn retain(&mut self, counts: impl Fn(&Event) -> bool) {
        self.news.retain(&counts);
        self.others.retain(&counts);
    }
}
