//! What was measured, as a page for readers. It ends with a digest of itself, so that figures which nobody has measured are noticed.

use std::{fmt::Write, time::Duration};

use sha2::{Digest, Sha256};

use crate::{
    history::median,
    scenario::{Loss, Scenario},
    stage::Run,
};

/// The runs of one scenario.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was played.
    pub scenario: Scenario,
    /// How each run went.
    pub runs: Vec<Run>,
}

impl Measured {
    /// Median and worst of the gaps.
    #[must_use]
    pub fn gaps(&self) -> Option<(Duration, Duration)> {
        let gaps = || self.runs.iter().filter_map(|run| run.gap.as_ref()).map(|gap| gap.length());
        Some((median(gaps())?, gaps().max()?))
    }

    /// How long a write took: the median of the runs' medians.
    #[must_use]
    pub fn write(&self) -> Option<Duration> {
        median(self.runs.iter().filter_map(|run| run.write))
    }

    /// What was missed in any run, as often as it was.
    #[must_use]
    pub fn missed(&self) -> Vec<String> {
        let target = self.scenario.target().gap;
        self.runs.iter().flat_map(|run| self.scenario.missed(run, target)).collect()
    }
}

/// Where and with what it was measured.
#[derive(Clone, Debug)]
pub struct About {
    /// The command that did it.
    pub command: String,
    /// Processors and memory.
    pub machine: String,
    /// Versions of what took part, by name.
    pub versions: Vec<(&'static str, String)>,
}

/// How it is measured.
const HOW: &str = "\
Two clients write row after row through the Service of the primary, each at most 100 in a second, with 300 ms for a connection and 1 s for an
answer, and connect anew at once when anything fails. *Gap* is the longest time that one of them was without an acknowledged write. *Lost* are
writes that were acknowledged and are not on the primary at the end, nor anywhere else; *aside* are those in another branch or database, or in
what a replaced primary has kept. *A write* is how long an acknowledged one took, the median.
";

/// What happens there.
const RANDOM: &str = "\
One fault after the other at random times, on a cluster of three servers while clients write through the Service of the primary: pods killed or
deleted, servers frozen or cut off, the operator killed, switchovers and changes of the configuration asked for. What was acknowledged is then
looked for on the primary (else it is *lost*), in other branches and in what replaced primaries have kept (*aside*).
";

const SEAL: &str = "<!-- sha256 of all above: ";

/// The page of the scenarios.
#[must_use]
pub fn page(about: &About, measured: &[Measured]) -> String {
    let mut page = String::new();
    // Writing to a string can't fail.
    let _ = write_page(&mut page, about, measured);
    seal(page)
}

/// The page of the random faults.
#[must_use]
pub fn random_page(about: &About, run: &Run) -> String {
    let mut page = String::new();
    let _ = write_random_page(&mut page, about, run);
    seal(page)
}

fn write_head(page: &mut String, title: &str, about: &About) -> std::fmt::Result {
    writeln!(page, "# {title}\n")?;
    writeln!(page, "Measured by `{}`, which writes this page; it is not edited by hand.\n", about.command)?;
    writeln!(page, "- Machine: {}", about.machine)?;
    for (name, version) in &about.versions {
        writeln!(page, "- {name}: {version}")?;
    }
    writeln!(page)
}

fn write_random_page(page: &mut String, about: &About, run: &Run) -> std::fmt::Result {
    write_head(page, "Random faults", about)?;
    writeln!(page, "{RANDOM}")?;
    writeln!(page, "{}.\n\n{}.", run.notes.join(", "), run.summary())?;
    for wrong in &run.wrong {
        writeln!(page, "- {}", line(wrong))?;
    }
    Ok(())
}

fn write_page(page: &mut String, about: &About, measured: &[Measured]) -> std::fmt::Result {
    write_head(page, "What clients notice", about)?;
    writeln!(page, "{HOW}")?;
    writeln!(page, "| scenario | runs | gap, median | gap, worst | wanted | lost | aside | wanted | a write | as wanted |")?;
    writeln!(page, "|---|---:|---:|---:|---:|---:|---:|---|---:|---|")?;
    for measured in measured {
        writeln!(page, "{}", row(measured))?;
    }
    let told: Vec<&Measured> = measured.iter().filter(|measured| !remarks(measured).is_empty()).collect();
    if !told.is_empty() {
        writeln!(page, "\n## Remarks")?;
    }
    for measured in told {
        writeln!(page, "\n**{}**\n", measured.scenario.what())?;
        for remark in remarks(measured) {
            writeln!(page, "- {remark}")?;
        }
    }
    Ok(())
}

/// A scenario's row of the table.
#[must_use]
pub fn row(measured: &Measured) -> String {
    let scenario = measured.scenario;
    let target = scenario.target();
    let (median, worst) = measured.gaps().map_or_else(|| ("–".to_owned(), "–".to_owned()), |(median, worst)| (time(median), time(worst)));
    let wanted = target.gap.map_or_else(|| "–".to_owned(), |gap| format!("≤ {}", time(gap)));
    let told = measured.runs.iter().all(|run| run.verdict.is_some());
    let sum = |count| if told { measured.runs.iter().map(|run| run.count(count)).sum::<usize>().to_string() } else { "?".to_owned() };
    let (lost, aside) = (sum(|verdict| verdict.lost.len()), sum(|verdict| verdict.kept.len()));
    let loss = match target.loss {
        Loss::Unreplicated => format!("{lost}, replicated {}", sum(|verdict| verdict.needlessly.len())),
        Loss::None | Loss::Aside => lost,
    };
    let write = measured.write().map_or_else(|| "–".to_owned(), |write| format!("{:.1} ms", write.as_secs_f64() * 1_000.0));
    let verdict = if measured.missed().is_empty() { "yes" } else { "no" };
    format!(
        "| {} | {} | {median} | {worst} | {wanted} | {loss} | {aside} | {} | {write} | {verdict} |",
        scenario.what(),
        measured.runs.len(),
        target.loss
    )
}

/// What is worth telling of the runs, once each, with how often it was so.
fn remarks(measured: &Measured) -> Vec<String> {
    let notes = measured.runs.iter().flat_map(|run| run.notes.clone());
    let mut counted: Vec<(String, usize)> = Vec::new();
    for remark in notes.chain(measured.missed()).map(|remark| line(&remark)) {
        match counted.iter_mut().find(|(there, _)| *there == remark) {
            Some((_, count)) => *count += 1,
            None => counted.push((remark, 1)),
        }
    }
    counted.into_iter().map(|(remark, count)| if count == 1 { remark } else { format!("{remark} ({count} times)") }).collect()
}

/// In one line, and not too long a one.
fn line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > 400 { line.chars().take(400).chain("…".chars()).collect() } else { line }
}

fn time(time: Duration) -> String {
    if time < Duration::from_secs(10) { format!("{:.2} s", time.as_secs_f64()) } else { format!("{:.1} s", time.as_secs_f64()) }
}

fn seal(page: String) -> String {
    let digest = hex::encode(Sha256::digest(&page));
    format!("{page}\n{SEAL}{digest} -->\n")
}

/// Whether a page is as it was written.
#[must_use]
pub fn is_sealed(page: &str) -> bool {
    page.rfind(SEAL).is_some_and(|at| at > 0 && seal(page[..at - 1].to_owned()) == page)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        check::Verdict,
        history::{Gap, Row},
    };

    const ROW: Row = Row { client: 0, sequence: 7 };

    #[test]
    fn what_cannot_be_told_is_not_shown_as_none() {
        let unknown = Run { verdict: None, wrong: vec!["no primary".to_owned()], ..run(100) };
        let measured = Measured { scenario: Scenario::Scale, runs: vec![run(100), unknown] };
        assert!(row(&measured).ends_with("| ? | ? | 0 | 2.5 ms | no |"), "{}", row(&measured));
    }

    fn run(millis: u64) -> Run {
        let gap = Gap { from: Duration::from_secs(1), until: Duration::from_secs(1) + Duration::from_millis(millis), heard: Vec::new() };
        let write = Some(Duration::from_micros(2_500));
        Run { gap: Some(gap), write, verdict: Some(Verdict { acknowledged: 500, ..Verdict::default() }), ..Run::default() }
    }

    #[test]
    fn a_row_has_median_and_worst_beside_what_is_wanted() {
        let measured = Measured { scenario: Scenario::Switchover, runs: [400, 650, 300].map(run).to_vec() };
        assert_eq!(row(&measured), "| planned switchover, standby caught up | 3 | 0.40 s | 0.65 s | ≤ 0.70 s | 0 | 0 | 0 | 2.5 ms | yes |");
    }

    #[test]
    fn one_bad_run_spoils_the_row_and_is_told() {
        let mut bad = run(20_000);
        bad.verdict = Some(Verdict { lost: vec![ROW], ..Verdict::default() });
        bad.wrong.push("dolt-1 lacks 2 rows".to_owned());
        let measured = Measured { scenario: Scenario::Switchover, runs: vec![run(400), bad] };
        assert!(row(&measured).ends_with("| 20.0 s | 20.0 s | ≤ 0.70 s | 1 | 0 | 0 | 2.5 ms | no |"), "{}", row(&measured));
        let remarks = remarks(&measured);
        assert_eq!(remarks.len(), 3);
        assert!(remarks[0].contains("lacks 2") && remarks[1].contains("20.00 s") && remarks[2].contains("1 acknowledged"), "{remarks:?}");
    }

    #[test]
    fn what_no_standby_had_may_be_lost_when_the_primary_is_killed() {
        let mut killed = run(1000);
        killed.verdict = Some(Verdict { lost: vec![ROW], ..Verdict::default() });
        assert!(Scenario::Kill.missed(&killed, None).is_empty());
        assert!(!Scenario::AllKilled.missed(&killed, None).is_empty());
        killed.verdict = Some(Verdict { lost: vec![ROW], needlessly: vec![ROW], ..Verdict::default() });
        assert_eq!(Scenario::Kill.missed(&killed, None), ["1 acknowledged writes are lost"]);
    }

    #[test]
    fn what_was_put_aside_is_lost_to_a_switchover_and_not_to_a_partition() {
        let mut aside = run(100);
        aside.verdict = Some(Verdict { kept: vec![ROW], ..Verdict::default() });
        assert!(Scenario::Partition.missed(&aside, None).is_empty());
        assert!(!Scenario::Switchover.missed(&aside, None).is_empty());
    }

    #[rstest]
    #[case::scenarios("failover.md")]
    #[case::random_faults("random-faults.md")]
    fn the_page_of_this_checkout_is_as_it_was_measured(#[case] name: &str) {
        let file = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
        match std::fs::read_to_string(file) {
            Ok(page) => assert!(is_sealed(&page), "docs/{name} was edited: cargo xtask bench failover writes it"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
        }
    }

    #[test]
    fn a_page_that_somebody_has_edited_is_noticed() {
        let about = About { command: "bench".into(), machine: "2 processors".into(), versions: vec![("Dolt", "1.83.2".into())] };
        let measured = [Measured { scenario: Scenario::Kill, runs: vec![run(900)] }];
        assert!(is_sealed(&random_page(&about, &run(5000))));
        let page = page(&about, &measured);
        assert!(is_sealed(&page), "{page}");
        assert!(!is_sealed(&page.replace("0.90", "0.09")));
        assert!(!is_sealed("# What clients notice\n"));
    }
}
