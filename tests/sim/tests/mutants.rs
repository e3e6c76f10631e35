//! Mistakes on purpose: each is found, by the oracle and in the runs that docs/simulator.md names.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;

use clap::ValueEnum;
use sim::{Mutant, Options, Scenario, Schedule, run};

/// Where a mistake is found.
#[derive(Clone, Copy)]
enum In {
    /// In a run without faults.
    Quiet(Scenario),
    /// In the schedule of its name in `tests/mutants`.
    Faults,
}

use In::{Faults, Quiet};

const FOUND: [(Mutant, In, &str); 35] = [
    (Mutant::StatusLast, Quiet(Scenario::PrimaryKilled2), "epoch-recorded-before-use"),
    (Mutant::NoStatus, Quiet(Scenario::Create2), "converges"),
    (Mutant::ForgetsEpoch, Quiet(Scenario::Switchover3), "epoch-recorded-before-use"),
    (Mutant::RestartsEpochs, Quiet(Scenario::TakeOver2), "epoch-never-falls"),
    (Mutant::ForgetsChange, Quiet(Scenario::Switchover3), "converges"),
    (Mutant::SameEpoch, Quiet(Scenario::Switchover3), "converges"),
    (Mutant::LaterEpoch, Quiet(Scenario::Switchover3), "epoch-recorded-before-use"),
    (Mutant::NoGuard, Faults, "no-acknowledged-write-lost"),
    (Mutant::NoStepDown, Quiet(Scenario::Switchover3), "converges"),
    (Mutant::NoFence, Quiet(Scenario::PrimaryFrozen3), "writes-go-on"),
    (Mutant::Reversed, Quiet(Scenario::PrimaryKilled2), "epoch-recorded-before-use"),
    (Mutant::WrongPod, Quiet(Scenario::Switchover3), "converges"),
    (Mutant::PromotesAll, Quiet(Scenario::ScaleDown), "one-primary-an-epoch"),
    (Mutant::NoLabels, Quiet(Scenario::Create2), "converges"),
    (Mutant::WrongLabels, Quiet(Scenario::Create2), "converges"),
    (Mutant::KeepsLabels, Faults, "one-primary-at-a-time"),
    (Mutant::RestartsIdly, Quiet(Scenario::Switchover3), "no-needless-restart"),
    (Mutant::NoServices, Quiet(Scenario::Switchover3), "converges"),
    (Mutant::BeyondGrant, Quiet(Scenario::Create2), "reconciler-healthy"),
    (Mutant::NeverQuiet, Quiet(Scenario::Create2), "reconciler-healthy"),
    (Mutant::TellsPassword, Quiet(Scenario::Create2), "no-secret-in-a-plan"),
    (Mutant::TrustsAnyStandby, Faults, "no-acknowledged-write-lost"),
    (Mutant::SilenceIsEnd, Faults, "one-writer"),
    (Mutant::DeletedIsGone, Faults, "one-writer"),
    (Mutant::LastAnswerCounts, Quiet(Scenario::PrimaryFrozen3), "writes-go-on"),
    (Mutant::ErrorIsSuccess, Faults, "converges"),
    (Mutant::IndexForOrdinal, Quiet(Scenario::PrimaryCutOff2), "writes-go-on"),
    (Mutant::IgnoresEpochs, Quiet(Scenario::SwitchoverTwice3), "converges"),
    (Mutant::StaleRoles, Quiet(Scenario::PrimaryFrozen3), "writes-go-on"),
    (Mutant::IgnoresVolumes, Faults, "no-acknowledged-write-lost"),
    (Mutant::SetAfterSnapshots, Quiet(Scenario::Snapshots2), "snapshot-recorded-first"),
    (Mutant::KeepsTooFew, Quiet(Scenario::Snapshots2), "keeps-sets"),
    (Mutant::NoTurns, Quiet(Scenario::Backups2), "one-copy-at-a-time"),
    (Mutant::FailureIsCopy, Quiet(Scenario::BackupKilled2), "backup-has-all"),
    (Mutant::NeverWaits, Faults, "one-backup-at-a-time"),
];

fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().unwrap().get_name().to_owned()
}

impl In {
    fn schedule(self, mutant: Mutant) -> Schedule {
        match self {
            Quiet(scenario) => Schedule::quiet(scenario, 1),
            Faults => {
                let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutants").join(format!("{}.yaml", name(&mutant)));
                serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap()
            }
        }
    }
}

#[test]
fn a_mistake_is_found() {
    for (mutant, place, oracle) in FOUND {
        let violation = run(&place.schedule(mutant), &Options { mutant: Some(mutant), ..Options::default() }).violation;
        assert_eq!(violation.as_ref().map(|violation| violation.oracle), Some(oracle), "{mutant:?}: {violation:?}");
    }
}

#[test]
fn without_it_nothing_is_found() {
    for (mutant, place, _) in FOUND {
        let violation = run(&place.schedule(mutant), &Options::default()).violation;
        assert!(violation.is_none(), "without {mutant:?}: {violation:?}");
    }
}

#[test]
fn every_mistake_is_in_the_table() {
    for mutant in Mutant::all() {
        assert!(FOUND.iter().any(|(found, ..)| found == mutant), "{mutant:?}");
    }
    let told = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/simulator.md")).unwrap();
    let row = |(mutant, place, oracle): &(Mutant, In, &str)| {
        let value = mutant.to_possible_value().unwrap();
        let mistake = value.get_help().unwrap().to_string();
        let place = match place {
            Quiet(scenario) => format!("`{}`", name(scenario)),
            Faults => {
                let troubles: Vec<_> = place.schedule(*mutant).faults.iter().map(|fault| fault.what.name()).collect();
                format!("`{}`: {}", name(&place.schedule(*mutant).scenario), troubles.join(", "))
            }
        };
        format!("| `{}` | {} | {place} | {oracle} |\n", value.get_name(), mistake.trim_end_matches('.'))
    };
    let table: String = FOUND.iter().map(row).collect();
    assert!(told.contains(&table), "docs/simulator.md should have these rows:\n{table}");
}
