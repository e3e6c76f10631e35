//! Compares the generated definitions with what the interface has always been (`tests/facts/`), in both directions: a
//! dropped field, a changed default, a new limit and a new field all fail until the facts say so.

#![allow(clippy::unwrap_used, reason = "clippy does not see that these functions are part of tests")]

use std::collections::BTreeSet;
use std::fs;

use rstest::rstest;
use serde_json::{Map, Value, json};

#[rstest]
#[case("doltdb", "DoltDB", "doltdbs")]
#[case("database", "Database", "databases")]
#[case("user", "User", "users")]
#[case("grant", "Grant", "grants")]
#[case("snapshot", "Snapshot", "snapshots")]
#[case("backup", "Backup", "backups")]
#[case("backupschedule", "BackupSchedule", "backupschedules")]
fn definition_agrees_with_the_facts(#[case] singular: &str, #[case] kind: &str, #[case] plural: &str) {
    let crd = yaml(&format!("generated/{plural}.yaml"));
    let facts = yaml(&format!("tests/facts/{singular}.yaml"));

    assert_eq!(crd["metadata"]["name"], format!("{plural}.k8s.dolthub.com"));
    assert_eq!(crd["spec"]["group"], "k8s.dolthub.com");
    assert_eq!(crd["spec"]["scope"], "Namespaced");
    assert_eq!(crd["spec"]["names"], json!({"kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": singular}));
    assert_eq!(crd["spec"]["versions"].as_array().map(Vec::len), Some(1));
    let version = &crd["spec"]["versions"][0];
    assert_eq!((&version["name"], &version["served"], &version["storage"]), (&json!("v1alpha"), &json!(true), &json!(true)));
    assert_eq!(version["subresources"], json!({"status": {}}));

    let columns: Vec<Value> = list(&version["additionalPrinterColumns"])
        .iter()
        .map(|column| {
            assert_eq!(column.as_object().map(Map::len), Some(3), "{column}");
            json!([column["name"], column["type"], column["jsonPath"]])
        })
        .collect();
    assert_eq!(json!(columns), facts["columns"]);

    let schema = &version["schema"]["openAPIV3Schema"];
    assert_eq!(schema.get("required"), None, "spec and status are optional");
    assert_eq!(names(&schema["properties"]["spec"]["required"]), names(&facts["required"]), "required in spec");
    let rules: Vec<&Value> = list(&schema["properties"]["spec"]["x-kubernetes-validations"]).iter().map(|rule| &rule["rule"]).collect();
    for rule in list(&facts["rules"]) {
        assert!(rules.contains(&rule), "no rule {rule} among {rules:?}");
    }

    let mut expected = facts["fields"].as_object().unwrap().clone();
    expected.extend(yaml("tests/facts/conditions.yaml")["fields"].as_object().unwrap().clone());
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for part in ["spec", "status"] {
        compare_members(&schema["properties"][part], part, &expected, &mut seen, &mut problems);
    }
    problems.extend(expected.keys().filter(|path| !seen.contains(*path)).map(|path| format!("{path} is gone")));
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn compare_members(schema: &Value, path: &str, facts: &Map<String, Value>, seen: &mut BTreeSet<String>, problems: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, property) in properties {
        let path = format!("{path}.{name}");
        let Some(fact) = facts.get(&path) else {
            problems.push(format!("{path} is not in the facts"));
            continue;
        };
        seen.insert(path.clone());
        compare(property, fact, &path, problems);
        if fact.get("core").is_none() {
            compare_members(property, &path, facts, seen, problems);
            // The items of a core list are Kubernetes' own.
            if fact["items"].get("core").is_none() {
                compare_members(&property["items"], &format!("{path}[]"), facts, seen, problems);
            }
        }
    }
}

fn compare(schema: &Value, fact: &Value, path: &str, problems: &mut Vec<String>) {
    if schema["description"].as_str().is_none_or(|text| text.len() < 5) && !path.ends_with("[]") {
        problems.push(format!("{path} has no text for kubectl explain"));
    }
    if let Some(type_) = fact["type"].as_str()
        && !has_type(schema, type_)
    {
        problems.push(format!("{path} is no {type_}"));
    }
    for member in list(&fact["core"]) {
        if schema["properties"].get(member.as_str().unwrap()).is_none() {
            problems.push(format!("{path}.{member} is gone"));
        }
    }
    for keyword in KEYWORDS {
        let (known, ours) = (fact.get(keyword).or_else(|| fact["added"].get(keyword)), keyword_of(schema, keyword));
        // Core types bring requirements of their own; the facts name those that matter.
        if known.is_none() && fact.get("core").is_some() && keyword == "required" {
            continue;
        }
        if known != ours {
            problems.push(format!("{path}: {keyword} should be {known:?}, is {ours:?}"));
        }
    }
    if let Some(items) = fact.get("items") {
        compare(&schema["items"], items, &format!("{path}[]"), problems);
    }
}

const KEYWORDS: [&str; 14] = [
    "default",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "map-type",
    "list-type",
];

/// A keyword's value; the pattern of quantities belongs to their type.
fn keyword_of<'a>(schema: &'a Value, keyword: &str) -> Option<&'a Value> {
    match keyword {
        "pattern" if schema.get("x-kubernetes-int-or-string").is_some() => None,
        "map-type" | "list-type" => schema.get(format!("x-kubernetes-{keyword}")),
        _ => schema.get(keyword),
    }
}

fn has_type(schema: &Value, type_: &str) -> bool {
    let (is, format) = (|t: &str| schema["type"] == t, &schema["format"]);
    let mixed = || schema["x-kubernetes-int-or-string"] == true && schema["anyOf"] == json!([{"type": "integer"}, {"type": "string"}]);
    match type_ {
        "int" => is("integer"),
        "int32" | "int64" => is("integer") && format == type_,
        "date-time" => is("string") && format == type_,
        "string" | "boolean" | "object" => is(type_) && format.is_null(),
        "map" => is("object") && schema["additionalProperties"]["type"] == "string",
        "list" => is("array"),
        "int-or-string" => mixed() && schema.get("pattern").is_none(),
        "quantity" => mixed() && schema["pattern"].as_str().is_some_and(|p| p.contains("[KMGTPE]i")),
        other => panic!("unknown type {other} in the facts"),
    }
}

/// The whole of every schema is structural: the API server refuses the definition otherwise.
#[rstest]
fn schemas_are_structural(#[values("doltdbs", "databases", "users", "grants", "snapshots", "backups", "backupschedules")] plural: &str) {
    let crd = yaml(&format!("generated/{plural}.yaml"));
    let mut problems = Vec::new();
    structural(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], plural, &mut problems);
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    // `kubectl apply` keeps the whole definition in an annotation of at most 256 KiB.
    let size = serde_json::to_string(&crd).unwrap().len();
    assert!(size < 250_000, "{plural} has {size} bytes");
}

fn structural(schema: &Value, path: &str, problems: &mut Vec<String>) {
    for keyword in ["$ref", "oneOf", "allOf", "not", "nullable", "const", "title", "$defs", "additionalItems", "uniqueItems"] {
        if schema.get(keyword).is_some() {
            problems.push(format!("{path} has {keyword}"));
        }
    }
    let mixed = schema["x-kubernetes-int-or-string"] == true;
    if mixed == schema["type"].is_string() {
        problems.push(format!("{path} has type {}", schema["type"]));
    }
    if schema.get("anyOf").is_some() && !mixed {
        problems.push(format!("{path} has anyOf"));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        structural(property, &format!("{path}.{name}"), problems);
    }
    for part in ["items", "additionalProperties"] {
        if let Some(part) = schema.get(part) {
            structural(part, &format!("{path}[]"), problems);
        }
    }
}

/// Lists and maps of Kubernetes' own types merge as they do in a pod.
#[rstest]
#[case("/affinity/properties/nodeAffinity/properties/preferredDuringSchedulingIgnoredDuringExecution/x-kubernetes-list-type", json!("atomic"))]
#[case("/affinity/properties/podAntiAffinity/properties/requiredDuringSchedulingIgnoredDuringExecution/items/properties/labelSelector/x-kubernetes-map-type", json!("atomic"))]
#[case("/resources/properties/claims/x-kubernetes-list-type", json!("map"))]
#[case("/resources/properties/claims/x-kubernetes-list-map-keys", json!(["name"]))]
#[case("/resources/properties/limits/additionalProperties/x-kubernetes-int-or-string", json!(true))]
#[case("/probes/properties/livenessProbe/properties/httpGet/properties/port/x-kubernetes-int-or-string", json!(true))]
#[case("/env/items/properties/valueFrom/properties/secretKeyRef/required", json!(["key"]))]
#[case("/env/items/properties/valueFrom/properties/secretKeyRef/x-kubernetes-map-type", json!("atomic"))]
#[case("/env/items/properties/valueFrom/properties/secretKeyRef/properties/name/default", json!(""))]
#[case("/imagePullSecrets/items/properties/name/default", json!(""))]
#[case("/topologySpreadConstraints/items/properties/matchLabelKeys/x-kubernetes-list-type", json!("atomic"))]
fn core_types_keep_their_keywords(#[case] path: &str, #[case] value: Value) {
    let crd = yaml("generated/doltdbs.yaml");
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    assert_eq!(spec.pointer(path), Some(&value));
}

fn yaml(path: &str) -> Value {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn names(value: &Value) -> BTreeSet<&str> {
    list(value).iter().filter_map(Value::as_str).collect()
}
