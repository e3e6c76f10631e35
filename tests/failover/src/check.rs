//! Compares what clients were promised with what is there at the end. Pure: it knows a history and lists of rows, and no server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::history::{Attempt, History, Outcome, Row, Server};

/// What is there when all is over.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The rows on the primary, as often as they are there.
    pub primary: Vec<Row>,
    /// The rows on each standby, by its pod's name.
    pub standbys: BTreeMap<String, Vec<Row>>,
    /// Rows in any other place where somebody could have put them aside: other branches, other databases.
    pub aside: BTreeMap<String, Vec<Row>>,
    /// The rows that some standby had when the fault struck: these can't be lost for lack of replication.
    pub replicated: BTreeSet<Row>,
}

/// Two servers that both took writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The write that should not have been acknowledged.
    pub row: Row,
    /// Who acknowledged it.
    pub by: Server,
    /// Who had acknowledged a write before, at an epoch that is not lower.
    pub although: Server,
}

/// What the comparison came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Number of writes that were acknowledged.
    pub acknowledged: usize,
    /// Number of writes of which nobody knows.
    pub unknown: usize,
    /// Acknowledged, and nowhere.
    pub lost: Vec<Row>,
    /// Acknowledged, not on the primary, and put aside.
    pub kept: Vec<Row>,
    /// Those of the two that a standby had when the fault struck.
    pub needlessly: Vec<Row>,
    /// There more than once.
    pub duplicated: Vec<Row>,
    /// There, although the server had refused them or nobody had sent them.
    pub unexpected: Vec<Row>,
    /// Standbys whose rows are not those of the primary, with how many they lack and how many they have too much.
    pub differing: BTreeMap<String, (usize, usize)>,
    /// Acknowledged by a server after another one had taken over.
    pub clashes: Vec<Clash>,
}

/// Compares.
#[must_use]
pub fn check(history: &History, found: &Found) -> Verdict {
    let mut verdict = Verdict { clashes: clashes(history), ..Verdict::default() };
    let primary: BTreeSet<Row> = found.primary.iter().copied().collect();
    let aside: BTreeSet<Row> = found.aside.values().flatten().copied().collect();
    let mut possible = BTreeSet::new();
    for attempt in &history.attempts {
        match attempt.outcome {
            Outcome::Acknowledged(_) => {
                verdict.acknowledged += 1;
                possible.insert(attempt.row);
                if !primary.contains(&attempt.row) {
                    let place = if aside.contains(&attempt.row) { &mut verdict.kept } else { &mut verdict.lost };
                    place.push(attempt.row);
                }
            }
            Outcome::Unknown(_) => {
                verdict.unknown += 1;
                possible.insert(attempt.row);
            }
            Outcome::Refused(_) | Outcome::NotSent(_) => {}
        }
    }
    verdict.needlessly = [&verdict.lost[..], &verdict.kept[..]].concat().into_iter().filter(|row| found.replicated.contains(row)).collect();
    verdict.duplicated = duplicated(&found.primary);
    verdict.unexpected = primary.difference(&possible).copied().collect();
    for (standby, rows) in &found.standbys {
        let rows: BTreeSet<Row> = rows.iter().copied().collect();
        if rows != primary {
            verdict.differing.insert(standby.clone(), (primary.difference(&rows).count(), rows.difference(&primary).count()));
        }
    }
    verdict
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, unknown, lost, kept, needlessly, .. } = self;
        let (lost, kept, needlessly) = (lost.len(), kept.len(), needlessly.len());
        write!(formatter, "{acknowledged} writes acknowledged, {unknown} of unknown outcome; {lost} lost, {kept} aside")?;
        if needlessly > 0 { write!(formatter, ", {needlessly} of them had been replicated") } else { Ok(()) }
    }
}

impl Verdict {
    /// What is wrong whatever the scenario, in words. What was lost is for the scenario to judge.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Some(row) = self.duplicated.first() {
            wrong.push(format!("{} rows are there more than once, as {row:?}", self.duplicated.len()));
        }
        if let Some(row) = self.unexpected.first() {
            wrong.push(format!("{} rows are there that were refused or never sent, as {row:?}", self.unexpected.len()));
        }
        for (standby, (lacks, extra)) in &self.differing {
            wrong.push(format!("{standby} lacks {lacks} rows of the primary and has {extra} that the primary lacks"));
        }
        if let Some(Clash { row, by, although }) = self.clashes.first() {
            wrong.push(format!(
                "{} writes were acknowledged by a server that had been replaced, as {row:?} by {} at epoch {} after {} at epoch {}",
                self.clashes.len(),
                by.name,
                by.epoch,
                although.name,
                although.epoch
            ));
        }
        wrong
    }
}

fn duplicated(rows: &[Row]) -> Vec<Row> {
    let mut seen = BTreeSet::new();
    rows.iter().filter(|row| !seen.insert(**row)).copied().collect()
}

/// In the order of the acknowledgements, another server may only take over at a higher epoch.
fn clashes(history: &History) -> Vec<Clash> {
    let mut acknowledged: Vec<(&Attempt, &Server)> =
        history.attempts.iter().filter_map(|attempt| Some((attempt, attempt.acknowledged()?))).collect();
    acknowledged.sort_by_key(|(attempt, _)| attempt.ended);
    let mut latest: Option<&Server> = None;
    let mut clashes = Vec::new();
    for (attempt, by) in acknowledged {
        match latest {
            Some(although) if although.name != by.name && although.epoch >= by.epoch => {
                clashes.push(Clash { row: attempt.row, by: by.clone(), although: although.clone() });
            }
            Some(there) if there.epoch >= by.epoch => {}
            _ => latest = Some(by),
        }
    }
    clashes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Writes of one client, 10 ms each; every outcome is of the row with its place as number, from 1.
    fn history(outcomes: Vec<Outcome>) -> History {
        let attempts = outcomes.into_iter().zip(1_u32..).map(|(outcome, n)| Attempt {
            row: row(n.into()),
            sent: Duration::from_millis(10) * n,
            ended: Duration::from_millis(10) * n + Duration::from_millis(5),
            outcome,
        });
        History { attempts: attempts.collect() }
    }

    fn row(sequence: u64) -> Row {
        Row { client: 0, sequence }
    }

    fn rows(sequences: &[u64]) -> Vec<Row> {
        sequences.iter().map(|sequence| row(*sequence)).collect()
    }

    fn by(name: &str, epoch: u64) -> Outcome {
        Outcome::Acknowledged(Server { name: name.to_owned(), epoch })
    }

    fn unknown() -> Outcome {
        Outcome::Unknown("no answer".to_owned())
    }

    fn on_both(sequences: &[u64]) -> Found {
        let standbys = BTreeMap::from([("dolt-1".to_owned(), rows(sequences))]);
        Found { primary: rows(sequences), standbys, ..Found::default() }
    }

    #[test]
    fn all_is_well_where_every_promise_is_kept_on_every_server() {
        let verdict = check(&history(vec![by("dolt-0", 1), by("dolt-0", 1), by("dolt-1", 2)]), &on_both(&[1, 2, 3]));
        assert_eq!(verdict, Verdict { acknowledged: 3, ..Verdict::default() });
        assert!(verdict.wrong().is_empty());
    }

    #[test]
    fn a_row_that_was_promised_and_is_nowhere_is_lost() {
        let verdict = check(&history(vec![by("dolt-0", 1), by("dolt-0", 1), by("dolt-0", 1)]), &on_both(&[1, 3]));
        assert_eq!((verdict.lost.clone(), verdict.kept.len(), verdict.needlessly.len()), (rows(&[2]), 0, 0));
        assert!(verdict.wrong().is_empty(), "servers that agree are not wrong");
    }

    #[test]
    fn a_lost_row_that_a_standby_had_was_lost_needlessly() {
        let found = Found { replicated: rows(&[1, 2]).into_iter().collect(), ..on_both(&[1]) };
        let verdict = check(&history(vec![by("dolt-0", 1), by("dolt-0", 1), by("dolt-0", 1)]), &found);
        assert_eq!((verdict.lost, verdict.needlessly), (rows(&[2, 3]), rows(&[2])));
    }

    #[test]
    fn a_row_that_was_put_aside_is_kept_and_not_lost() {
        let found = Found { aside: BTreeMap::from([("dolt-1 bench/rescued".to_owned(), rows(&[1, 2]))]), ..on_both(&[1]) };
        let verdict = check(&history(vec![by("dolt-0", 1), by("dolt-0", 1)]), &found);
        assert_eq!((verdict.lost, verdict.kept), (rows(&[]), rows(&[2])));
    }

    #[test]
    fn a_write_of_unknown_outcome_may_be_there_or_not() {
        for there in [&[1, 3][..], &[1, 2, 3]] {
            let verdict = check(&history(vec![by("dolt-0", 1), unknown(), by("dolt-0", 1)]), &on_both(there));
            assert_eq!(verdict, Verdict { acknowledged: 2, unknown: 1, ..Verdict::default() });
        }
    }

    #[test]
    fn a_row_that_is_there_twice_is_found() {
        let verdict = check(&history(vec![by("dolt-0", 1), by("dolt-0", 1)]), &on_both(&[1, 2, 2]));
        assert_eq!(verdict.duplicated, rows(&[2]));
        assert!(verdict.wrong()[0].contains("more than once"), "{:?}", verdict.wrong());
    }

    #[test]
    fn rows_that_nobody_was_promised_are_found() {
        let refused = Outcome::Refused("read only".to_owned());
        let not_sent = Outcome::NotSent("nobody listens".to_owned());
        let verdict = check(&history(vec![by("dolt-0", 1), refused, not_sent]), &on_both(&[1, 2, 3, 9]));
        assert_eq!(verdict.unexpected, rows(&[2, 3, 9]));
        assert_eq!((verdict.acknowledged, verdict.unknown), (1, 0));
    }

    #[test]
    fn a_write_that_was_acknowledged_by_the_old_primary_after_the_new_one_is_found() {
        let verdict = check(&history(vec![by("dolt-0", 1), by("dolt-1", 2), by("dolt-0", 1)]), &on_both(&[1, 2, 3]));
        let server = |name: &str, epoch| Server { name: name.to_owned(), epoch };
        assert_eq!(verdict.clashes, [Clash { row: row(3), by: server("dolt-0", 1), although: server("dolt-1", 2) }]);
        assert!(verdict.wrong()[0].contains("replaced"), "{:?}", verdict.wrong());
    }

    #[test]
    fn two_primaries_of_one_epoch_are_found() {
        let verdict = check(&history(vec![by("dolt-0", 2), by("dolt-1", 2)]), &on_both(&[1, 2]));
        assert_eq!(verdict.clashes.len(), 1);
    }

    #[test]
    fn going_back_to_the_first_server_at_a_higher_epoch_is_well() {
        let verdict = check(&history(vec![by("dolt-0", 1), by("dolt-1", 2), by("dolt-0", 3), by("dolt-0", 3)]), &on_both(&[1, 2, 3, 4]));
        assert!(verdict.clashes.is_empty());
    }

    #[test]
    fn acknowledgements_count_in_the_order_in_which_they_came_not_in_which_they_were_noted() {
        let mut history = history(vec![by("dolt-0", 1), by("dolt-1", 2)]);
        history.attempts.reverse();
        assert!(check(&history, &on_both(&[1, 2])).clashes.is_empty());
    }

    #[test]
    fn a_standby_with_other_rows_is_found() {
        let standbys = BTreeMap::from([("dolt-1".to_owned(), rows(&[1, 4])), ("dolt-2".to_owned(), rows(&[1, 2, 3]))]);
        let found = Found { primary: rows(&[1, 2, 3]), standbys, ..Found::default() };
        let verdict = check(&history(vec![by("dolt-0", 1), by("dolt-0", 1), by("dolt-0", 1)]), &found);
        assert_eq!(verdict.differing, BTreeMap::from([("dolt-1".to_owned(), (2, 1))]));
        assert!(verdict.wrong()[0].contains("dolt-1 lacks 2"), "{:?}", verdict.wrong());
    }
}
