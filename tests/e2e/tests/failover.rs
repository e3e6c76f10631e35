//! What clients notice when a DoltDB loses servers or changes: each scenario once, with limits that also a busy machine keeps.
//! `cargo xtask bench failover` measures them properly, against what is wanted.

use anyhow::{Result, ensure};
use e2e::{say, seconds};
use failover::Scenario;
use rstest::rstest;

/// The gate: scenario, and the longest gap in seconds. Those that are ignored are what the operator does not do yet; `--ignored` plays them.
#[rstest]
#[case::quiet(Scenario::Quiet, 2)]
#[case::kill(Scenario::Kill, 60)]
#[ignore = "no switchover yet"]
#[case::switchover(Scenario::Switchover, 3)]
#[ignore = "no switchover yet"]
#[case::blocked_switchover(Scenario::BlockedSwitchover, 5)]
#[ignore = "no rolling update yet"]
#[case::rolling_update(Scenario::RollingUpdate, 3)]
#[ignore = "no failover yet"]
#[case::freeze(Scenario::Freeze, 30)]
#[ignore = "no failover yet"]
#[case::partition(Scenario::Partition, 60)]
#[ignore = "no switchover yet"]
#[case::operator_killed(Scenario::OperatorKilled, 60)]
#[case::all_killed(Scenario::AllKilled, 120)]
#[ignore = "no scaling yet"]
#[case::scale(Scenario::Scale, 120)]
#[ignore = "no switchover yet"]
#[case::delete(Scenario::Delete, 5)]
#[tokio::test]
async fn clients_keep_what_they_were_promised(#[case] scenario: Scenario, #[case] limit: u64) -> Result<()> {
    let run = scenario.play(0).await?;
    let gap = run.gap.as_ref().map(|gap| gap.length().as_secs_f64()).unwrap_or_default();
    say(format_args!("{scenario}: gap {gap:.2} s, {}; {}", run.summary(), run.notes.join("; ")));
    let missed = scenario.missed(&run, Some(seconds(limit)));
    ensure!(missed.is_empty(), "{scenario}: {}", missed.join("; "));
    Ok(())
}
