//! What the clients have tried and what came of it, and how long they were without an answer. Knows nothing about servers: times are counted
//! from one beginning, so a history can be written by hand.

use std::{collections::BTreeMap, time::Duration};

/// What one write is about. Each client counts its own rows, so no two writes are about the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Which client wrote it.
    pub client: u32,
    /// Its number among the client's writes.
    pub sequence: u64,
}

/// The server behind a connection, as it said itself when the connection was made. A server ends its connections when its role changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its pod.
    pub name: String,
    /// Its epoch.
    pub epoch: u64,
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server promised to have it.
    Acknowledged(Server),
    /// The server said no.
    Refused(String),
    /// The statement was sent, and no answer came: it may have been done or not.
    Unknown(String),
    /// There was no connection to send it on. The same row is tried again.
    NotSent(String),
}

/// One try of one write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What was written.
    pub row: Row,
    /// When it was sent, since the beginning.
    pub sent: Duration,
    /// When its outcome was known, since the beginning.
    pub ended: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

impl Attempt {
    /// Who acknowledged it, if anybody did.
    #[must_use]
    pub fn acknowledged(&self) -> Option<&Server> {
        match &self.outcome {
            Outcome::Acknowledged(server) => Some(server),
            _ => None,
        }
    }
}

/// A time in which one client's writes were not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When its last acknowledgement before came.
    pub from: Duration,
    /// When the next one came, or the end of the history.
    pub until: Duration,
    /// What the client heard meanwhile, once each, in order.
    pub heard: Vec<String>,
}

impl Gap {
    /// How long it was.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.until.saturating_sub(self.from)
    }
}

/// All attempts of all clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// In the order in which they ended.
    pub attempts: Vec<Attempt>,
}

impl History {
    /// The longest time without an acknowledgement that any client had, as far as it reaches beyond `since`. A client that was not answered
    /// until the end has a gap until then.
    #[must_use]
    pub fn gap(&self, since: Duration) -> Option<Gap> {
        let end = self.attempts.iter().map(|attempt| attempt.ended).max()?;
        let mut clients: BTreeMap<u32, Vec<&Attempt>> = BTreeMap::new();
        for attempt in &self.attempts {
            clients.entry(attempt.row.client).or_default().push(attempt);
        }
        let gaps = clients.into_values().flat_map(|attempts| gaps(&attempts, end));
        gaps.filter(|gap| gap.until >= since).max_by_key(Gap::length)
    }

    /// How long an acknowledged write took, the one in the middle: from its being sent to its answer. None where none was acknowledged.
    #[must_use]
    pub fn write(&self) -> Option<Duration> {
        let acknowledged = self.attempts.iter().filter(|attempt| attempt.acknowledged().is_some());
        median(acknowledged.map(|attempt| attempt.ended.saturating_sub(attempt.sent)))
    }

    /// The attempts of this history and another one, in the order in which they ended.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.attempts.extend(other.attempts);
        self.attempts.sort_by_key(|attempt| attempt.ended);
        self
    }
}

/// The one in the middle; of an even number the later of the two.
pub(crate) fn median(times: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut times: Vec<_> = times.collect();
    times.sort();
    times.get(times.len() / 2).copied()
}

/// All gaps of one client.
fn gaps(attempts: &[&Attempt], end: Duration) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let Some(first) = attempts.first() else { return gaps };
    let mut gap = Gap { from: first.sent, until: end, heard: Vec::new() };
    for attempt in attempts {
        match &attempt.outcome {
            Outcome::Acknowledged(_) => {
                gap.until = attempt.ended;
                gaps.push(std::mem::replace(&mut gap, Gap { from: attempt.ended, until: end, heard: Vec::new() }));
            }
            Outcome::Refused(why) | Outcome::Unknown(why) | Outcome::NotSent(why) => {
                if !gap.heard.contains(why) {
                    gap.heard.push(why.clone());
                }
            }
        }
    }
    gaps.push(gap);
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_takes_as_long_as_the_one_in_the_middle_that_was_acknowledged() {
        let acknowledged = || Outcome::Acknowledged(Server { name: "d-0".into(), epoch: 1 });
        let attempts = vec![
            attempt(1, 1, 0, 4, acknowledged()),
            attempt(1, 2, 10, 1_000, Outcome::Unknown("reset".into())),
            attempt(2, 1, 20, 22, acknowledged()),
            attempt(1, 3, 1_000, 1_090, acknowledged()),
        ];
        assert_eq!(History { attempts }.write(), Some(ms(4)));
        assert_eq!(History::default().write(), None);
    }

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn attempt(client: u32, sequence: u64, sent: u64, ended: u64, outcome: Outcome) -> Attempt {
        Attempt { row: Row { client, sequence }, sent: ms(sent), ended: ms(ended), outcome }
    }

    fn acknowledged() -> Outcome {
        Outcome::Acknowledged(Server { name: "dolt-0".to_owned(), epoch: 1 })
    }

    #[test]
    fn the_gap_is_the_longest_of_any_client_between_two_acknowledgements() {
        let refused = |why: &str| Outcome::Refused(why.to_owned());
        let history = History {
            attempts: vec![
                attempt(0, 1, 0, 10, acknowledged()),
                attempt(1, 1, 0, 12, acknowledged()),
                attempt(1, 2, 20, 30, acknowledged()),
                attempt(0, 2, 20, 50, refused("read only")),
                attempt(0, 3, 60, 80, refused("read only")),
                attempt(0, 4, 90, 95, Outcome::NotSent("nobody listens".to_owned())),
                attempt(0, 4, 100, 110, acknowledged()),
                attempt(1, 3, 40, 115, acknowledged()),
            ],
        };
        let gap = history.gap(ms(40)).unwrap();
        assert_eq!((gap.from, gap.until, gap.length()), (ms(10), ms(110), ms(100)));
        assert_eq!(gap.heard, ["read only", "nobody listens"]);
    }

    #[test]
    fn what_was_over_before_the_fault_does_not_count() {
        let attempts = [(0, 10), (500, 600), (605, 610), (615, 640)];
        let attempts = attempts.iter().zip(1..).map(|((sent, ended), sequence)| attempt(0, sequence, *sent, *ended, acknowledged()));
        let history = History { attempts: attempts.collect() };
        assert_eq!(history.gap(ms(0)).unwrap().length(), ms(590));
        assert_eq!(history.gap(ms(605)).unwrap().length(), ms(30));
    }

    #[test]
    fn a_client_that_is_never_answered_again_has_a_gap_until_the_end() {
        let unknown = || Outcome::Unknown("no answer".to_owned());
        let history = History {
            attempts: vec![attempt(0, 1, 0, 10, acknowledged()), attempt(0, 2, 20, 1020, unknown()), attempt(0, 3, 1030, 2030, unknown())],
        };
        assert_eq!(history.gap(ms(15)).unwrap().length(), ms(2020));
        assert_eq!(History::default().gap(ms(0)), None);
    }

    #[test]
    fn histories_are_put_together_in_order() {
        let one = History { attempts: vec![attempt(0, 1, 0, 10, acknowledged()), attempt(0, 2, 20, 30, acknowledged())] };
        let other = History { attempts: vec![attempt(1, 1, 0, 20, acknowledged())] };
        let order: Vec<_> = one.and(other).attempts.iter().map(|attempt| attempt.row.client).collect();
        assert_eq!(order, [0, 1, 0]);
    }
}
