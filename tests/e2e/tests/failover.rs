//! What clients notice when a DoltDB loses servers or changes: each scenario once, with limits that also a busy machine keeps.
//! `cargo xtask bench failover` measures them properly, against what is wanted.

use anyhow::{Result, ensure};
use e2e::{say, seconds};
use failover::Scenario;
use rstest::rstest;

/// The gate: scenario, and the longest gap in seconds.
#[rstest]
#[case::kill(Scenario::Kill, 15)]
#[case::switchover(Scenario::Switchover, 5)]
#[case::blocked_switchover(Scenario::BlockedSwitchover, 5)]
#[case::rolling_update(Scenario::RollingUpdate, 5)]
#[case::freeze(Scenario::Freeze, 40)]
#[case::operator_killed(Scenario::OperatorKilled, 60)]
#[case::all_killed(Scenario::AllKilled, 60)]
#[case::delete(Scenario::Delete, 5)]
#[case::partition(Scenario::Partition, 60)]
#[case::scale(Scenario::Scale, 120)]
#[tokio::test]
async fn clients_keep_what_they_were_promised(#[case] scenario: Scenario, #[case] limit: u64) -> Result<()> {
    let run = scenario.play(0).await?;
    let gap = run.gap.as_ref().map(|gap| gap.length().as_secs_f64()).unwrap_or_default();
    say(format_args!("{scenario}: gap {gap:.2} s, {}; {}", run.summary(), run.notes.join("; ")));
    let missed = scenario.missed(&run, Some(seconds(limit)));
    ensure!(missed.is_empty(), "{scenario}: {}", missed.join("; "));
    Ok(())
}
