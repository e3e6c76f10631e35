//! The forms of the pods' template, as released. A cluster that runs keeps its form until something else in its template changes, so no file here
//! may ever change: a difference would restart the servers of everybody who installs a new operator.
#![allow(clippy::unwrap_used, reason = "a test")]

use doltdb::DoltDBReconciler;
use rstest::rstest;
use sdk::{
    Effect,
    testkit::{Fixture, run},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const ANNOTATION: &str = "k8s.dolthub.com/pod-template";
const CASES: [&str; 3] =
    ["a_new_cluster_gets_all_its_children", "a_new_single_server_gets_all_its_children", "all_settings_reach_the_children"];

/// The StatefulSet that is planned; `there` says with which annotation there is one already, if so.
fn stateful_set(case: &str, there: Option<Value>, change: impl Fn(&mut Value)) -> Value {
    let mut fixture = Fixture::load(format!("{}/tests/cases/{case}.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap();
    change(&mut fixture.object);
    let replicated = fixture.object.pointer("/spec/replication/enabled") == Some(&json!(true));
    if let Some(mut annotations) = there {
        // An operator that knows of the newest form has noted from what the volumes were filled.
        let filled_from = fixture.object.pointer("/spec/storage/volumeSnapshot").cloned();
        if let Some(snapshot) = filled_from.filter(|_| annotations[ANNOTATION].as_str().is_some_and(|noted| !noted.starts_with("1-"))) {
            fixture.object["status"] = json!({"restoredFrom": snapshot});
        }
        annotations["k8s.dolthub.com/replication"] = json!(replicated.to_string());
        fixture.objects.push(json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": "demo", "namespace": "default", "uid": "set", "annotations": annotations},
        }));
    }
    let plan = run::<DoltDBReconciler>(&fixture).unwrap();
    let mut bodies = plan.effects.iter().filter_map(|effect| match effect {
        Effect::Apply(application) if application.object.kind == "StatefulSet" => Some(&application.body),
        _ => None,
    });
    serde_json::from_str(bodies.next().unwrap()).unwrap()
}

fn template(set: &Value) -> &Value {
    &set["spec"]["template"]
}

fn noted(set: &Value) -> &str {
    set["metadata"]["annotations"][ANNOTATION].as_str().unwrap()
}

/// The annotation of a StatefulSet whose template has the form before [`before_quick_digest`]: the same without a place for the files of AWS.
fn before_aws_files(case: &str) -> Value {
    let mut template = template(&stateful_set(case, None, |_| {})).clone();
    let without = |list: &mut Value, key: &str, names: &[&str]| {
        list.as_array_mut().unwrap().retain(|entry| !names.contains(&entry[key].as_str().unwrap()));
    };
    without(&mut template["spec"]["volumes"], "name", &["aws"]);
    let server = &mut template["spec"]["containers"][0];
    without(&mut server["volumeMounts"], "name", &["aws"]);
    without(&mut server["env"], "name", &["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"]);
    json!({ANNOTATION: format!("2-{}", sha256(&template))})
}

/// The annotation of a StatefulSet whose template has the form before the newest: the same with another digest.
fn before_quick_digest(case: &str) -> Value {
    json!({ANNOTATION: format!("3-{}", sha256(template(&stateful_set(case, None, |_| {}))))})
}

fn sha256(template: &Value) -> String {
    format!("{:x}", Sha256::digest(template.to_string()))[..32].to_owned()
}

#[test]
fn what_was_released_never_changes() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for case in CASES {
            let older = [json!({}), before_aws_files(case), before_quick_digest(case)].map(Some);
            for (form, there) in (1..).zip(older.into_iter().chain([None])) {
                insta::assert_yaml_snapshot!(format!("{case}.{form}"), template(&stateful_set(case, there, |_| {})));
            }
        }
    });
}

/// With the annotation that an operator has left behind, the next one plans the very same template.
#[rstest]
fn an_upgrade_of_the_operator_restarts_nothing(#[values(0, 1, 2)] case: usize, #[values("1-", "2-", "3-", "4-")] form: &str) {
    let before = match form {
        "1-" => Some(json!({})),
        "2-" => Some(before_aws_files(CASES[case])),
        "3-" => Some(before_quick_digest(CASES[case])),
        _ => None,
    };
    let first = stateful_set(CASES[case], before, |_| {});
    assert!(noted(&first).starts_with(form), "{}", noted(&first));
    let second = stateful_set(CASES[case], Some(json!({ANNOTATION: noted(&first)})), |_| {});
    assert_eq!(template(&second), template(&first));
    assert_eq!(noted(&second), noted(&first));
}

/// What restarts the servers anyway brings the newest form with it.
#[test]
fn a_change_of_the_template_brings_the_newest_form() {
    let old = stateful_set(CASES[0], Some(json!({})), |_| {});
    assert!(noted(&old).starts_with("1-"), "{}", noted(&old));
    let change = |object: &mut Value| object["spec"]["podAnnotations"] = json!({"restarted": "today"});
    let new = stateful_set(CASES[0], Some(json!({ANNOTATION: noted(&old)})), change);
    assert!(noted(&new).starts_with("4-"), "{}", noted(&new));
    assert_eq!(*template(&new), *template(&stateful_set(CASES[0], None, change)));
}

/// A form of a later operator can't be made here: the newest one that can is taken.
#[test]
fn an_unknown_form_is_replaced() {
    let set = stateful_set(CASES[0], Some(json!({ANNOTATION: "77-0123"})), |_| {});
    assert!(noted(&set).starts_with("4-"), "{}", noted(&set));
}
