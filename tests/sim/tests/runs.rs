//! What holds in every run.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{fmt::Write, path::Path};

use rstest::rstest;
use sim::{Fault, Moment, Options, Scenario, Schedule, Summary, Trouble, each_effect, each_field, each_pair, explore, run, shrink};

const PLAIN: Options = Options { trace: false, mutant: None, components: false };

/// Fails with the smallest form of what failed, ready to be kept as a case.
fn assert_held(summary: &Summary) {
    let mut told = String::new();
    for (schedule, violation) in summary.failures.iter().take(3) {
        let smallest = serde_saphyr::to_string(&shrink(schedule, &PLAIN)).unwrap();
        writeln!(told, "{}: {}\n{smallest}", violation.oracle, violation.message).unwrap();
    }
    assert!(summary.failures.is_empty(), "{} of {} runs failed\n{told}", summary.failures.len(), summary.runs);
    println!(
        "{} runs, {}, longest gap {} ms, at most {} rounds a minute",
        summary.runs,
        summary.rate(),
        summary.longest_gap,
        summary.most_rounds
    );
}

#[rstest]
#[case(Scenario::Create2)]
#[case(Scenario::Steady3)]
#[case(Scenario::PrimaryKilled2)]
#[case(Scenario::PrimaryKilled3)]
#[case(Scenario::PrimaryFrozen3)]
#[case(Scenario::PrimaryCutOff2)]
#[case(Scenario::Switchover2)]
#[case(Scenario::Switchover3)]
#[case(Scenario::Update3)]
#[case(Scenario::ScaleUp)]
#[case(Scenario::ScaleDown)]
#[case(Scenario::ScaleDownFromLast)]
#[case(Scenario::CreateWithOtherPrimary)]
#[case(Scenario::ReplicationOff)]
#[case(Scenario::ReplicationOn)]
#[case(Scenario::ReplicationKept)]
#[case(Scenario::TakeOver2)]
#[case(Scenario::Accounts2)]
#[case(Scenario::Password2)]
#[case(Scenario::AccountsDeleted2)]
#[case(Scenario::AccountsSwitchover2)]
#[case(Scenario::Backups2)]
#[case(Scenario::Snapshots2)]
#[case(Scenario::CopiesDeleted2)]
fn one_fault_at_each_effect_does_no_harm(#[case] scenario: Scenario) {
    assert_held(&explore(&each_effect(scenario, 1, &PLAIN), &PLAIN));
}

#[test]
fn each_field_can_be_changed_back() {
    assert_held(&explore(&each_field(), &PLAIN));
}

/// A third of them, of all kinds: all are `cargo xtask sim --each-pair`.
#[test]
fn two_faults_do_no_harm() {
    let schedules: Vec<Schedule> = each_pair(Scenario::PrimaryKilled2, 1, &PLAIN).into_iter().step_by(3).collect();
    assert_held(&explore(&schedules, &PLAIN));
}

#[rstest]
#[case(Scenario::PrimaryCutOff2)]
#[case(Scenario::CutOffAlone2)]
#[case(Scenario::Update2)]
#[case(Scenario::Update3)]
#[case(Scenario::Switchover3)]
#[case(Scenario::ScaleUp)]
#[case(Scenario::ScaleDown)]
#[case(Scenario::ScaleDownFromLast)]
#[case(Scenario::CreateWithOtherPrimary)]
#[case(Scenario::ReplicationOff)]
#[case(Scenario::ReplicationOn)]
#[case(Scenario::ReplicationOffAndOn)]
#[case(Scenario::ReplicationKept)]
#[case(Scenario::TakeOver2)]
#[case(Scenario::Accounts2)]
#[case(Scenario::Password2)]
#[case(Scenario::AccountsDeleted2)]
#[case(Scenario::AccountsSwitchover2)]
#[case(Scenario::Backups2)]
#[case(Scenario::BackupKilled2)]
#[case(Scenario::BackupSwitchover2)]
#[case(Scenario::BackupSchedule2)]
#[case(Scenario::Snapshots2)]
#[case(Scenario::SnapshotsScaleDown)]
#[case(Scenario::CopiesDeleted2)]
fn without_faults_it_goes_as_wished(#[case] scenario: Scenario) {
    let schedules: Vec<Schedule> = (1..=10).map(|seed| Schedule::quiet(scenario, seed)).collect();
    assert_held(&explore(&schedules, &PLAIN));
}

#[test]
fn faults_from_seeds_do_no_harm() {
    let schedules: Vec<Schedule> =
        Scenario::all().iter().flat_map(|scenario| (1..=30).map(|seed| Schedule::random(*scenario, seed))).collect();
    assert_held(&explore(&schedules, &PLAIN));
}

/// Each file is a schedule that is worth keeping, most of them because something did not hold in it once.
#[test]
fn kept_schedules_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    for path in files {
        let schedule: Schedule = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let violation = run(&schedule, &PLAIN).violation;
        assert!(violation.is_none(), "{}: {violation:?}", path.display());
    }
}

/// By the host's own election: the first one writes nothing new after 10 s, and the second one leads after 15 s.
#[rstest]
#[case::goes_on(Trouble::LostLease { still: false, late: 16_000, blind: true })]
#[case::stands_still(Trouble::LostLease { still: true, late: 20_000, blind: false })]
fn what_a_host_had_under_way_arrives_while_its_successor_leads(#[case] what: Trouble) {
    let faults = vec![Fault { at: Moment::Effect(0), what }];
    let outcome = run(&Schedule { scenario: Scenario::Switchover3, seed: 1, faults }, &Options { trace: true, ..PLAIN });
    let place = |words: &str| outcome.trace.iter().position(|line| line.contains(words)).unwrap();
    assert!(place("another host has the lease") < place("what the former host had under way arrives"));
    assert!(place("what the former host had under way arrives") < place("the former host is gone"));
    assert!(outcome.violation.is_none(), "{:?}", outcome.violation);
}

/// The round in which it is swapped is the former module's to its last effect; every later one is the new one's.
#[test]
fn a_swapped_module_decides_from_the_next_round_on() {
    let faults = vec![Fault { at: Moment::Effect(1), what: Trouble::Swap }];
    let outcome = run(&Schedule { scenario: Scenario::Switchover3, seed: 1, faults }, &Options { trace: true, ..PLAIN });
    let place = |words: &str| outcome.trace.iter().position(|line| line.contains(words)).unwrap();
    assert!(place("TROUBLE: Swap") < place("a round of DoltDB by module-2"));
    assert!(place("a round of DoltDB by module-2") < place("db-2 is primary of epoch"));
    assert!(outcome.violation.is_none(), "{:?}", outcome.violation);
}

#[rstest]
#[case::of_one_object(Scenario::Switchover3)]
#[case::of_several(Scenario::ThereAndBack2)]
fn a_schedule_is_one_run(#[case] scenario: Scenario) {
    let schedule = Schedule::random(scenario, 7);
    let traced = Options { trace: true, ..PLAIN };
    let (one, other) = (run(&schedule, &traced), run(&schedule, &traced));
    assert!(!one.trace.is_empty());
    assert_eq!(one.trace, other.trace);
    assert_ne!(one.trace, run(&Schedule { seed: 8, ..schedule }, &traced).trace);
}
