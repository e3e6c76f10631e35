//! Metrics of objects and the alerts about them, as the chart has them: each pointer leads to a field that there is, each alert asks for metrics
//! that there are, and docs/metrics.md lists all of them.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{collections::BTreeSet, path::Path, process::Command};

use host::{
    figures::{Figure, FigureKind},
    settings::{Resource, Settings},
};
use serde_json::Value;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");

/// The objects of the chart with these values.
fn render(values: &[&str]) -> Vec<Value> {
    let program = std::env::var_os("HELM").unwrap_or_else(|| "helm".into());
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/doltdb-operator");
    let mut command = Command::new(&program);
    command.args(["template", "doltdb-operator"]).arg(chart).args(["--namespace", "operators", "--kube-version", "1.35.0"]);
    command.args(values.iter().flat_map(|value| ["--set", value]));
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {program:?}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("\n---\n").map(|object| serde_saphyr::from_str::<Value>(object).unwrap()).filter(|object| !object.is_null()).collect()
}

fn figures() -> Vec<(Resource, Figure)> {
    let objects = render(&[]);
    let secret = objects.iter().find(|object| object["kind"] == "Secret").unwrap();
    let settings: Settings = serde_saphyr::from_str(secret["stringData"]["settings.yaml"].as_str().unwrap()).unwrap();
    let figures = settings.reconcilers.into_values();
    figures.flat_map(|slot| slot.metrics.into_iter().map(move |figure| (slot.reconciles.clone(), figure)).collect::<Vec<_>>()).collect()
}

fn alerts(values: &[&str]) -> Vec<Value> {
    let objects = render(&[&["metrics.prometheusRule.enabled=true"], values].concat());
    let rule = objects.iter().find(|object| object["kind"] == "PrometheusRule").unwrap();
    rule["spec"]["groups"][0]["rules"].as_array().unwrap().clone()
}

/// The schema of a kind's objects.
fn schema(resource: &Resource) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../crds/generated/{}.yaml", resource.resource));
    let definition: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// The schema of what a pointer leads to.
fn at<'a>(schema: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).try_fold(schema, |schema, field| schema.get("properties")?.get(field))
}

#[test]
fn each_pointer_leads_to_a_field_of_the_kind() {
    let figures = figures();
    assert!(figures.len() > 8);
    for (resource, figure) in &figures {
        let schema = schema(resource);
        // The API server's own schema of metadata has these.
        let is_there =
            |from: &Value, pointer: &str| ["/metadata/name", "/metadata/namespace"].contains(&pointer) || at(from, pointer).is_some();
        for pointer in figure.labels.values() {
            assert!(is_there(&schema, pointer), "{}: {pointer}", figure.name);
        }
        let element = if figure.each.is_empty() {
            schema.clone()
        } else {
            at(&schema, &figure.each).unwrap_or_else(|| panic!("{}: {}", figure.name, figure.each))["items"].clone()
        };
        for pointer in figure.element_labels.values().chain(&figure.value) {
            assert!(is_there(&element, pointer), "{}: {pointer}", figure.name);
        }
    }
}

/// Words of an expression that look like metrics of this project.
fn asked_for(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("doltdb_")).map(ToOwned::to_owned).collect()
}

#[test]
fn alerts_ask_for_metrics_that_there_are() {
    let mut there: BTreeSet<String> = figures().into_iter().map(|(_, figure)| figure.name).collect();
    // What nothing has been counted of yet is not encoded; the host's own test has them all.
    let of_host = include_str!("../../host/src/snapshots/host__metrics__tests__every_method_shows_up_under_the_products_prefix.snap");
    let families = of_host.lines().filter_map(|line| line.strip_prefix("# TYPE some_product_")?.split_once(' '));
    for (family, kind) in families {
        there.insert(format!("doltdb_operator_{family}{}", if kind == "counter" { "_total" } else { "" }));
    }
    there.insert("doltdb_operator_object_condition".into());
    let alerts = alerts(&[]);
    assert!(alerts.len() > 8);
    for alert in alerts {
        let name = alert["alert"].as_str().unwrap();
        let asked = asked_for(alert["expr"].as_str().unwrap());
        assert!(!asked.is_empty(), "{name}");
        assert!(asked.is_subset(&there), "{name} asks for {:?}", asked.difference(&there).collect::<Vec<_>>());
        assert!(["warning", "critical"].contains(&alert["labels"]["severity"].as_str().unwrap()), "{name}");
        for annotation in ["summary", "description"] {
            assert!(alert["annotations"][annotation].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {annotation}");
        }
    }
}

#[test]
fn alerts_are_there_if_they_are_wanted() {
    assert!(render(&[]).iter().all(|object| object["kind"] != "PrometheusRule"));
    let without = alerts(&["metrics.prometheusRule.without={DoltDBFailover}", "metrics.prometheusRule.labels.k=v"]);
    assert!(without.iter().all(|alert| alert["alert"] != "DoltDBFailover"));
    assert_eq!(without.len() + 1, alerts(&[]).len());
}

/// Prometheus's own check, where its program is at hand.
#[test]
fn promtool_takes_the_alerts() {
    let Some(promtool) = std::env::var_os("PROMTOOL") else {
        println!("skipped: PROMTOOL does not name promtool");
        return;
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let groups = serde_json::json!({"groups": [{"name": "doltdb-operator", "rules": alerts(&[])}]});
    std::fs::write(file.path(), groups.to_string()).unwrap();
    let output = Command::new(promtool).args(["check", "rules"]).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The tables of the document, made from what the chart says.
fn tables() -> (String, String) {
    let mut metrics = String::from("| metric | type | labels | what it says |\n|---|---|---|---|\n");
    for (_, figure) in figures() {
        let kind = if figure.kind == FigureKind::Counter { "counter" } else { "gauge" };
        let labels: Vec<String> = figure.labels.keys().chain(figure.element_labels.keys()).map(|label| format!("`{label}`")).collect();
        metrics.push_str(&format!("| `{}` | {kind} | {} | {} |\n", figure.name, labels.join(" "), figure.help));
    }
    let mut list = String::from("| alert | severity | for | when |\n|---|---|---|---|\n");
    for alert in alerts(&[]) {
        let text = |place: &str| alert.pointer(place).and_then(Value::as_str).unwrap_or("–").to_owned();
        let expression = text("/expr").replace('|', "\\|");
        list.push_str(&format!("| `{}` | {} | {} | `{expression}` |\n", text("/alert"), text("/labels/severity"), text("/for")));
    }
    (metrics, list)
}

/// `UPDATE_DOCS=1 cargo test --release -p doltdb-operator --test metrics` writes the tables anew.
#[test]
fn the_document_is_current() {
    let mut text = std::fs::read_to_string(DOCUMENT).unwrap();
    let (metrics, alerts) = tables();
    for (name, table) in [("metrics", metrics), ("alerts", alerts)] {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let from = text.find(&begin).unwrap() + begin.len();
        let to = text.find(&end).unwrap();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            text.replace_range(from..to, &table);
            std::fs::write(DOCUMENT, &text).unwrap();
        } else {
            assert_eq!(&text[from..to], table, "docs/metrics.md is not current: run UPDATE_DOCS=1 cargo test --release -p doltdb-operator");
        }
    }
}
