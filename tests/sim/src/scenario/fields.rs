//! Values for the fields of a spec, from the schemas of the CRDs: each field gets one that the API server takes, and that is another than its default.
//!
//! It knows nothing of what fields mean. Rules that compare fields with each other are not looked at: what they refuse a reconciler may meet all
//! the same, on an object that is older than the rule.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

/// Kinds whose objects have a spec that is changed, with their schemas.
const SCHEMAS: [Schema; 4] = [
    ("DoltDB", include_str!("../../../../crds/generated/doltdbs.yaml")),
    ("Database", include_str!("../../../../crds/generated/databases.yaml")),
    ("User", include_str!("../../../../crds/generated/users.yaml")),
    ("Grant", include_str!("../../../../crds/generated/grants.yaml")),
];
/// The same of what makes copies at times. A Backup's spec is never changed.
const COPYING: [Schema; 2] = [
    ("BackupSchedule", include_str!("../../../../crds/generated/backupschedules.yaml")),
    ("Snapshot", include_str!("../../../../crds/generated/snapshots.yaml")),
];

/// A kind, and its CRD.
type Schema = (&'static str, &'static str);

/// A field of a spec with a value.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// Of which kind.
    pub(crate) kind: &'static str,
    /// From the spec to the field; `[]` is the item of a list.
    pub(crate) path: Vec<String>,
    /// The smallest spec with it.
    spec: Value,
}

impl Field {
    /// All that may be changed and changed back, but for what makes copies.
    pub(crate) fn all() -> &'static [Self] {
        static ALL: OnceLock<Vec<Field>> = OnceLock::new();
        ALL.get_or_init(|| Self::of(&SCHEMAS))
    }

    /// The same of what makes copies.
    pub(crate) fn of_copying() -> &'static [Self] {
        static ALL: OnceLock<Vec<Field>> = OnceLock::new();
        ALL.get_or_init(|| Self::of(&COPYING))
    }

    fn of(schemas: &[Schema]) -> Vec<Self> {
        let mut all = Vec::new();
        for (kind, crd) in schemas {
            let crd: Value = serde_saphyr::from_str(crd).expect("generated CRDs are YAML");
            let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
            all.extend(leaves(schema).into_iter().map(|(path, spec)| Self { kind, path, spec }));
        }
        all
    }

    /// A spec with this value in the field, and all else as it was.
    pub(crate) fn put_into(&self, spec: &Value) -> Value {
        let mut other = spec.clone();
        put(&mut other, &self.spec, &self.path);
        other
    }
}

fn put(to: &mut Value, from: &Value, path: &[String]) {
    match path.split_first() {
        Some((step, rest)) if to.get(step).is_some_and(Value::is_object) && !rest.is_empty() => put(&mut to[step], &from[step], rest),
        Some((step, _)) if to.is_object() => to[step] = from[step].clone(),
        _ => *to = from.clone(),
    }
}

/// Each leaf of a schema, as a path and as the smallest value with a leaf there. Those that cannot be changed back are left out: what a field was
/// before is what their rules look at.
fn leaves(schema: &Value) -> Vec<(Vec<String>, Value)> {
    if let Some(fields) = schema["properties"].as_object() {
        let mut all = Vec::new();
        let is_for_ever = |name: &str, field: &Value| {
            rules(field).any(|rule| rule.contains("oldSelf")) || rules(schema).any(|rule| rule.contains(&format!("has(oldSelf.{name})")))
        };
        for (name, field) in fields.iter().filter(|(name, field)| !is_for_ever(name, field)) {
            for (path, value) in leaves(field) {
                let mut object = required(schema);
                object.insert(name.clone(), value);
                all.push(([vec![name.clone()], path].concat(), object.into()));
            }
        }
        return all;
    }
    if schema["type"] == "array" {
        return leaves(&schema["items"]).into_iter().map(|(path, value)| ([vec!["[]".into()], path].concat(), json!([value]))).collect();
    }
    vec![(Vec::new(), value(schema))]
}

fn required(schema: &Value) -> Map<String, Value> {
    let names = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| (name.to_owned(), value(&schema["properties"][name]))).collect()
}

fn rules(schema: &Value) -> impl Iterator<Item = &str> {
    schema["x-kubernetes-validations"].as_array().into_iter().flatten().filter_map(|rule| rule["rule"].as_str())
}

/// A value for a field of this schema.
fn value(schema: &Value) -> Value {
    let default = &schema["default"];
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().rev().find(|value| *value != default).cloned().unwrap_or_default();
    }
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    match schema["type"].as_str() {
        Some("boolean") => json!(*default != true),
        Some("integer") => {
            let (least, most) = (schema["minimum"].as_i64().unwrap_or(1), schema["maximum"].as_i64().unwrap_or(i64::from(i32::MAX)));
            let near = default.as_i64().unwrap_or(least) + 1;
            json!(near.clamp(least, most))
        }
        Some("object") => match &schema["additionalProperties"] {
            Value::Object(_) => json!({"example.com/one": value(&schema["additionalProperties"])}),
            _ => required(schema).into(),
        },
        Some("array") => json!([value(&schema["items"])]),
        // An amount, or a number or a share.
        None if pattern.contains("Ki") || pattern.contains("[KMGTPE]i") => json!("3Gi"),
        None => json!(1),
        _ => text(schema, pattern),
    }
}

fn text(schema: &Value, pattern: &str) -> Value {
    let choices = rules(schema).find_map(|rule| rule.strip_prefix("self in [")?.strip_suffix(']'));
    let choice =
        choices.and_then(|choices| choices.split(',').map(|choice| choice.trim().trim_matches('\'')).rfind(|choice| !choice.is_empty()));
    if let Some(choice) = choice {
        return choice.into();
    }
    let is_duration = rules(schema).any(|rule| rule.contains("matches('^[-+]?"));
    match (is_duration, pattern.contains("[KMGTPE]i")) {
        (true, _) => "17s".into(),
        (_, true) => "3Gi".into(),
        _ => "other".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("DoltDB", "server/listener/maxConnections", json!({"server": {"listener": {"maxConnections": 1025}}}))]
    #[case("DoltDB", "storage/retentionPolicy/whenScaled", json!({"storage": {"retentionPolicy": {"whenScaled": "Delete"}}}))]
    #[case("DoltDB", "replication/primary/failoverDelay", json!({"replication": {"primary": {"failoverDelay": "17s"}}}))]
    #[case("DoltDB", "podAnnotations", json!({"podAnnotations": {"example.com/one": "other"}}))]
    #[case("DoltDB", "imagePullSecrets/[]/name", json!({"imagePullSecrets": [{"name": "other"}]}))]
    #[case("DoltDB", "server/mcpServer/passwordSecretKeyRef/key", json!({"server": {"mcpServer": {"passwordSecretKeyRef": {"key": "other"}}}}))]
    #[case("Database", "systemBranches/[]", json!({"systemBranches": ["other"]}))]
    #[case("Snapshot", "cleanupPolicy", json!({"cleanupPolicy": "Delete"}))]
    fn a_field_has_a_value_of_its_schema(#[case] kind: &str, #[case] path: &str, #[case] spec: Value) {
        let mut fields = Field::all().iter().chain(Field::of_copying());
        let field = fields.find(|field| field.kind == kind && field.path.join("/") == path).unwrap();
        assert_eq!(field.put_into(&json!({})), spec);
    }

    #[test]
    fn all_else_stays() {
        let field = Field::all().iter().find(|field| field.kind == "User" && field.path == ["passwordSecretKeyRef", "key"]).unwrap();
        let spec = json!({"name": "clerk", "passwordSecretKeyRef": {"name": "shop", "key": "password"}});
        let other = json!({"name": "clerk", "passwordSecretKeyRef": {"name": "shop", "key": "other"}});
        assert_eq!(field.put_into(&spec), other);
    }
}
