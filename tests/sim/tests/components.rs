//! The components that are shipped do what the native code does, with which nearly all runs are played: a sample of runs is the same line by line.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use rstest::rstest;
use sim::{Options, Scenario, Schedule, each_effect, run};

const NATIVE: Options = Options { trace: true, mutant: None, components: false };
const COMPONENTS: Options = Options { components: true, ..NATIVE };

#[rstest]
#[case(Scenario::Create3)]
#[case(Scenario::PrimaryKilled2)]
#[case(Scenario::Switchover3)]
#[case(Scenario::ScaleDown)]
#[case(Scenario::Accounts2)]
#[case(Scenario::AccountsSwitchover2)]
#[case(Scenario::BackupSchedule2)]
#[case(Scenario::CopiesDeleted2)]
fn a_run_of_components_is_the_same(#[case] scenario: Scenario) {
    let one_fault = each_effect(scenario, 1, &NATIVE).into_iter().step_by(61);
    let several = (1..=4).map(|seed| Schedule::random(scenario, seed));
    for schedule in one_fault.chain(several) {
        let (native, components) = (run(&schedule, &NATIVE).trace, run(&schedule, &COMPONENTS).trace);
        let at = native.iter().zip(&components).position(|(one, other)| one != other).unwrap_or(native.len().min(components.len()));
        assert!(native == components, "{schedule:?}: line {at}:\n{:?}\n{:?}", native.get(at), components.get(at));
    }
}
