//! From what schemars says to what an API server takes: one structural tree without references, unions or `null`. Knows
//! nothing of our kinds; what is particular to a type stands in the rules.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Map, Value, json};

use super::GenerateError;
use crate::{IntOrString, Quantity};

/// What an amount looks like; from apimachinery.
const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";

/// Schemas by the name of their type, with references to each other. Rules are applied to these, before they are inlined.
pub(super) struct Definitions {
    generator: SchemaGenerator,
    types: Map<String, Value>,
}

impl Definitions {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None);
        Self { generator: settings.into_generator(), types: Map::new() }
    }

    /// Adds a type and all that it refers to.
    pub(super) fn add<T: JsonSchema>(&mut self) {
        self.generator.subschema_for::<T>();
        self.types = self.generator.definitions().clone();
        for (name, schema) in &mut self.types {
            without_unions(schema);
            match name.starts_with("io.k8s.") {
                true => {
                    core_lists(name, schema);
                    sentences(schema);
                }
                false => unwrapped(schema),
            }
        }
    }

    /// Merges `patch` into the schema of a type, or of one of its fields (`[]` for a list's items).
    pub(super) fn patch(&mut self, type_: &str, field: &str, patch: &Value) -> Result<(), GenerateError> {
        let missing = || GenerateError(format!("a rule for {type_}.{field} fits no field"));
        let mut at = self.types.get_mut(type_).ok_or_else(missing)?;
        if !field.is_empty() {
            let (name, items) = field.strip_suffix("[]").map_or((field, false), |name| (name, true));
            at = at.pointer_mut(&format!("/properties/{name}")).ok_or_else(missing)?;
            if items {
                at = at.get_mut("items").ok_or_else(missing)?;
            }
        }
        merge(at, patch);
        Ok(())
    }

    /// The finished schema of a type.
    pub(super) fn inlined<T: JsonSchema>(&self) -> Result<Value, GenerateError> {
        let name = T::schema_name();
        let schema = self.types.get(name.as_ref()).ok_or_else(|| GenerateError(format!("{name} was not added")))?;
        let mut schema = self.inline(schema)?;
        terse_defaults(&mut schema);
        Ok(schema)
    }

    fn inline(&self, schema: &Value) -> Result<Value, GenerateError> {
        match schema {
            Value::Object(object) => {
                let mut merged = Map::new();
                if let Some(Value::String(reference)) = object.get("$ref") {
                    let name = reference.rsplit('/').next().unwrap_or_default();
                    let target = self.types.get(name).ok_or_else(|| GenerateError(format!("nothing is called {name}")))?;
                    if let Value::Object(target) = self.inline(target)? {
                        merged = target;
                    }
                }
                let mut merged = Value::Object(merged);
                for (key, value) in object.iter().filter(|(key, _)| *key != "$ref") {
                    // A property may be called like a keyword; only keywords are merged with those of the target.
                    merge(&mut merged, &json!({ key.as_str(): self.inline(value)? }));
                }
                Ok(merged)
            }
            Value::Array(items) => items.iter().map(|item| self.inline(item)).collect(),
            other => Ok(other.clone()),
        }
    }
}

/// Puts the members of `patch` into `schema`; `null` removes one, and rules for CEL are added to those that are there.
fn merge(schema: &mut Value, patch: &Value) {
    let (Some(schema), Some(patch)) = (schema.as_object_mut(), patch.as_object()) else { return };
    for (key, value) in patch {
        match (schema.get_mut(key).and_then(Value::as_array_mut), value.as_array()) {
            (Some(there), Some(more)) if key == "x-kubernetes-validations" => there.extend(more.iter().cloned()),
            _ if value.is_null() => {
                schema.remove(key);
            }
            _ => {
                schema.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Removes what a structural schema may not hold: `null` beside a type (an optional field may be absent, and that is
/// enough) and the union by which schemars describes an enum's values.
fn without_unions(schema: &mut Value) {
    if let Some(items) = schema.as_array_mut() {
        items.iter_mut().for_each(without_unions);
    }
    let Some(object) = schema.as_object_mut() else { return };
    object.values_mut().for_each(without_unions);
    if let Some(Value::Array(types)) = object.get("type")
        && let [only] = types.iter().filter(|t| *t != "null").collect::<Vec<_>>()[..]
    {
        let only = only.clone();
        object.insert("type".into(), only);
    }
    if let Some(Value::Array(choices)) = object.get("anyOf")
        && let [only] = choices.iter().filter(|c| c["type"] != "null").collect::<Vec<_>>()[..]
    {
        let only = only.clone();
        object.remove("anyOf");
        let own = std::mem::replace(object, only.as_object().cloned().unwrap_or_default());
        object.extend(own);
    }
    if let Some(Value::Array(values)) = object.get("oneOf")
        && values.iter().all(|v| v.get("const").is_some())
    {
        let text = values.iter().map(|v| format!("`{}`: {}", text(&v["const"]), text(&v["description"]))).collect::<Vec<_>>();
        let values = values.iter().map(|v| v["const"].clone()).collect();
        object.remove("oneOf");
        object.insert("enum".into(), values);
        object.insert("type".into(), "string".into());
        // Texts of values are kept apart, so that the field's own text can stand before them.
        object.insert(VALUES.into(), text.join("\n").into());
    }
    object.remove("title");
}

/// Undoes the line breaks that a doc comment has inside a paragraph.
fn unwrapped(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(text) if key == "description" => {
                        *text = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
                    }
                    value => unwrapped(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unwrapped),
        _ => {}
    }
}

const VALUES: &str = "value-texts";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What Kubernetes' own lists and maps say about merging, which their published schemas leave out.
fn core_lists(name: &str, schema: &mut Value) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (field, property) in properties {
        if property["type"] == "array" {
            let keyed = name.ends_with(".ResourceRequirements") && field == "claims";
            let keywords = match keyed {
                true => json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
                false => json!({"x-kubernetes-list-type": "atomic"}),
            };
            merge(property, &keywords);
        }
    }
}

/// Makes sentences of Kubernetes' own texts, some of which begin with a field's name or lack a full stop. One that ends with an address is left.
fn sentences(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(text) if key == "description" => {
                        let trimmed = text.trim();
                        let stop = if trimmed.ends_with('.') || trimmed.rsplit(' ').next().is_some_and(|word| word.contains("://")) {
                            ""
                        } else {
                            "."
                        };
                        let mut letters = trimmed.chars();
                        *text =
                            letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>() + stop).unwrap_or_default();
                    }
                    value => sentences(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(sentences),
        _ => {}
    }
}

/// Finishes a tree: a default says only what the members' own defaults leave open, a required field has none, and the
/// texts of an enum's values follow the field's text.
fn terse_defaults(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::String(values)) = object.remove(VALUES) {
        let description = object.get("description").map(text).unwrap_or_default().trim_end();
        object.insert("description".into(), format!("{description}\n{values}").trim_start().into());
    }
    if let Some(items) = object.get_mut("items") {
        terse_defaults(items);
    }
    if let Some(more) = object.get_mut("additionalProperties") {
        terse_defaults(more);
    }
    let required: Vec<Value> = object.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut own = BTreeMap::new();
    if let Some(Value::Object(properties)) = object.get_mut("properties") {
        for (name, property) in properties {
            terse_defaults(property);
            if required.iter().any(|r| r == name) {
                property.as_object_mut().map(|p| p.remove("default"));
            }
            if let Some(default) = property.get("default") {
                own.insert(name.clone(), default.clone());
            }
        }
    }
    if let Some(Value::Object(default)) = object.get_mut("default") {
        default.retain(|name, value| !own.contains_key(name) && !value.is_null() && value != "");
    }
}

/// The same tree with its keys in order, whatever order `serde_json` was built to keep.
pub(super) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let members: BTreeMap<_, _> = object.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// Schema of a value that is a number or a string.
pub(super) fn int_or_string() -> Value {
    json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]})
}

/// Schema of an amount.
pub(super) fn quantity() -> Value {
    let mut schema = int_or_string();
    merge(&mut schema, &json!({"pattern": QUANTITY}));
    schema
}

impl JsonSchema for IntOrString {
    fn schema_name() -> Cow<'static, str> {
        "IntOrString".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]})
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": QUANTITY})
    }
}
