//! What DoltHub's doltclusterctl tests, by the names that its tests have, as far as a simulated cluster can show it. docs/who-is-primary.md has
//! the whole table.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use rstest::rstest;
use sim::{Fault, Moment, Options, Party, Scenario, Schedule, Trouble, Which, run};

const TRACED: Options = Options { trace: true, mutant: None, components: false };

/// Nothing is replicated to the second server, and a little later this happens.
fn second_server_lacks_data_and(what: Option<Trouble>) -> Vec<Fault> {
    let second = Party::Pod(Which::Ordinal(1));
    let cut = |other| Trouble::Cut { from: Party::Pod(Which::Ordinal(other)), to: second, during: 30_000 };
    let mut faults = vec![Fault { at: Moment::After(500), what: cut(0) }, Fault { at: Moment::After(500), what: cut(2) }];
    faults.extend(what.map(|what| Fault { at: Moment::After(6_000), what }));
    faults
}

#[rstest]
#[case::apply_primary_labels_new_cluster(Scenario::Create2, vec![])]
#[case::apply_primary_labels_with_password(Scenario::Create3, vec![])]
#[case::graceful_failover_new_cluster(Scenario::Switchover2, vec![])]
#[case::graceful_failover_cycles(Scenario::SwitchoverAndBack2, vec![])]
#[case::graceful_failover_counts_up(Scenario::SwitchoverTwice3, vec![])]
#[case::graceful_failover_preserves_data(Scenario::Switchover3, vec![])]
#[case::promote_standby_new_cluster(Scenario::PrimaryKilled2, vec![])]
#[case::promote_standby_most_recent(Scenario::Steady3, second_server_lacks_data_and(Some(Trouble::Freeze { pod: Which::Ordinal(0), during: 60_000 })))]
#[case::rolling_restart_new_cluster(Scenario::Update2, vec![])]
fn it_goes_as_it_does_there(#[case] scenario: Scenario, #[case] faults: Vec<Fault>) {
    for seed in 1..=5 {
        let outcome = run(&Schedule { scenario, seed, faults: faults.clone() }, &TRACED);
        assert!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
    }
}

#[test]
fn promote_standby_most_recent_takes_the_one_that_has_the_data() {
    let faults = second_server_lacks_data_and(Some(Trouble::Freeze { pod: Which::Ordinal(0), during: 60_000 }));
    let outcome = run(&Schedule { scenario: Scenario::Steady3, seed: 1, faults }, &TRACED);
    assert!(outcome.trace.iter().any(|line| line.contains("acknowledged by db-2")), "db-2 takes over");
    assert!(!outcome.trace.iter().any(|line| line.contains("acknowledged by db-1")), "db-1 does not");
}

/// There one standby that is caught up is enough, and writes stop for 10 s. Here it is waited for, and nothing stops.
#[test]
fn graceful_failover_min_caughtup_standbys_works_one_out_of_three() {
    let outcome = run(&Schedule { scenario: Scenario::Switchover3, seed: 1, faults: second_server_lacks_data_and(None) }, &TRACED);
    assert!(outcome.violation.is_none(), "{:?}", outcome.violation);
    assert!(outcome.longest_gap < 3_000, "no write was acknowledged for {} ms", outcome.longest_gap);
    assert!(outcome.trace.iter().any(|line| line.contains("acknowledged by db-2")), "when it follows again, the wish is granted");
}
