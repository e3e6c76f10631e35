//! The former password is used for setting the new one, and for nothing else.
#![allow(clippy::unwrap_used, reason = "a test")]

use doltdb::DoltDBReconciler;
use rstest::rstest;
use sdk::{
    Argument, Effect, Value,
    testkit::{Fixture, run},
};

#[rstest]
fn the_former_password_sets_the_new_one(
    #[values("a_new_password_of_the_admin_is_set_on_the_primary", "a_new_password_of_the_admin_is_set_on_a_single_server")] case: &str,
) {
    let path = format!("{}/tests/cases/{case}.yaml", env!("CARGO_MANIFEST_DIR"));
    let plan = run::<DoltDBReconciler>(&Fixture::load(path).unwrap()).unwrap();
    let executions: Vec<_> =
        plan.effects.iter().filter_map(|effect| if let Effect::Sql(one) = effect { Some(one) } else { None }).collect();
    let [execution] = executions[..] else { panic!("one execution, not {}", executions.len()) };
    assert_eq!(execution.endpoint.credentials.password_key, "admin-password-previous");
    let Some(Argument::Value(Value::Secret(new))) = execution.statements[0].arguments.last() else { panic!("no Secret's value") };
    assert_eq!((new.name.as_str(), new.key.as_str()), ("demo-credentials", "admin-password"));
}
