//! Settings against the JSON schema in a module's description, for the part of JSON Schema in which settings are described.
//! A keyword outside of that part is an error of the schema: what is not checked must not look checked.

use serde_json::{Map, Value};

/// Keywords that say something to people only.
const REMARKS: [&str; 8] = ["$schema", "$id", "$comment", "title", "description", "default", "examples", "format"];

/// What is wrong with `settings`, each as a place and a sentence; nothing where they fit.
///
/// # Errors
/// When the schema itself cannot be used.
pub(super) fn mismatches(schema: &str, settings: &Value) -> Result<Vec<String>, String> {
    let schema: Value = serde_json::from_str(schema).map_err(|e| format!("it is not JSON: {e}"))?;
    let mut found = Vec::new();
    // A reconciler without settings is given null, which stands for none.
    let none = Value::Object(Map::new());
    check(&schema, if settings.is_null() { &none } else { settings }, "", &mut found)?;
    Ok(found)
}

fn check(schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) -> Result<(), String> {
    let keywords = match schema {
        Value::Bool(true) => return Ok(()),
        Value::Object(keywords) => keywords,
        other => return Err(format!("{other} is no schema")),
    };
    let mut complain = |what: String| found.push(format!("{}: {what}", if place.is_empty() { "settings" } else { place }));
    for (keyword, wanted) in keywords {
        match keyword.as_str() {
            "type" => {
                let types: Vec<&str> = match wanted {
                    Value::String(one) => vec![one],
                    Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
                    _ => return Err(format!("type {wanted} is none")),
                };
                if !types.iter().any(|ty| is(value, ty)) {
                    complain(format!("{value} is no {}", types.join(" or ")));
                }
            }
            "enum" if wanted.as_array().is_some_and(|all| !all.contains(value)) => complain(format!("{value} is none of {wanted}")),
            "const" if wanted != value => complain(format!("{value} is not {wanted}")),
            "minimum" if less(value, wanted) => complain(format!("{value} is less than {wanted}")),
            "maximum" if less(wanted, value) => complain(format!("{value} is more than {wanted}")),
            "exclusiveMinimum" if number(value) && !less(wanted, value) => complain(format!("{value} is not more than {wanted}")),
            "exclusiveMaximum" if number(value) && !less(value, wanted) => complain(format!("{value} is not less than {wanted}")),
            "minLength" if length(value).is_some_and(|n| n < bound(wanted)) => complain(format!("{value} is shorter than {wanted}")),
            "maxLength" if length(value).is_some_and(|n| n > bound(wanted)) => complain(format!("{value} is longer than {wanted}")),
            "minItems" if items(value).is_some_and(|n| n < bound(wanted)) => complain(format!("it has fewer than {wanted} items")),
            "maxItems" if items(value).is_some_and(|n| n > bound(wanted)) => complain(format!("it has more than {wanted} items")),
            "required" => {
                let names = wanted.as_array().into_iter().flatten().filter_map(Value::as_str);
                let missing: Vec<_> = names.filter(|name| value.as_object().is_some_and(|fields| !fields.contains_key(*name))).collect();
                if !missing.is_empty() {
                    complain(format!("{} is missing", missing.join(", ")));
                }
            }
            "enum"
            | "const"
            | "minimum"
            | "maximum"
            | "exclusiveMinimum"
            | "exclusiveMaximum"
            | "minLength"
            | "maxLength"
            | "minItems"
            | "maxItems"
            | "properties"
            | "additionalProperties"
            | "items" => {}
            remark if REMARKS.contains(&remark) => {}
            unknown => return Err(format!("keyword {unknown} is not served")),
        }
    }
    if let (Some(schema), Value::Array(values)) = (keywords.get("items"), value) {
        for (at, value) in values.iter().enumerate() {
            check(schema, value, &format!("{place}/{at}"), found)?;
        }
    }
    if let Value::Object(fields) = value {
        let known = keywords.get("properties").and_then(Value::as_object);
        for (name, value) in fields {
            let place = format!("{place}/{name}");
            match (known.and_then(|known| known.get(name)), keywords.get("additionalProperties")) {
                (Some(schema), _) => check(schema, value, &place, found)?,
                (None, Some(Value::Bool(false))) => found.push(format!("{place}: there is no such setting")),
                (None, Some(schema)) => check(schema, value, &place, found)?,
                (None, None) => {}
            }
        }
    }
    Ok(())
}

fn is(value: &Value, ty: &str) -> bool {
    match ty {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        _ => false,
    }
}

fn number(value: &Value) -> bool {
    value.is_number()
}

/// Whether both are numbers and the first is the smaller one.
fn less(a: &Value, b: &Value) -> bool {
    matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a < b)
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

fn items(value: &Value) -> Option<u64> {
    value.as_array().map(|items| items.len() as u64)
}

fn bound(wanted: &Value) -> u64 {
    wanted.as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SCHEMA: &str = r#"{
        "type": "object", "additionalProperties": false, "required": ["domain"], "description": "settings",
        "properties": {
            "domain": {"type": "string", "minLength": 1, "default": "local"},
            "seconds": {"type": "integer", "minimum": 0, "maximum": 60},
            "share": {"type": ["number", "null"], "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "level": {"enum": ["low", "high"]},
            "names": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}}
        }
    }"#;

    #[rstest::rstest]
    #[case::fits(json!({"domain": "d", "seconds": 60, "share": 0.5, "level": "low", "names": ["a"], "labels": {"k": "v"}}), &[])]
    #[case::null_share(json!({"domain": "d", "share": null}), &[])]
    #[case::none(json!(null), &["settings: domain is missing"])]
    #[case::unknown(json!({"domain": "d", "secnods": 1}), &["/secnods: there is no such setting"])]
    #[case::type_(json!({"domain": 7}), &["/domain: 7 is no string"])]
    #[case::empty(json!({"domain": ""}), &["/domain: \"\" is shorter than 1"])]
    #[case::fraction(json!({"domain": "d", "seconds": 1.5}), &["/seconds: 1.5 is no integer"])]
    #[case::minimum(json!({"domain": "d", "seconds": -1}), &["/seconds: -1 is less than 0"])]
    #[case::maximum(json!({"domain": "d", "seconds": 61}), &["/seconds: 61 is more than 60"])]
    #[case::exclusive(json!({"domain": "d", "share": 1}), &["/share: 1 is not less than 1"])]
    #[case::level(json!({"domain": "d", "level": "mid"}), &["/level: \"mid\" is none of [\"low\",\"high\"]"])]
    #[case::items(json!({"domain": "d", "names": ["a", 1, "c"]}), &["/names: it has more than 2 items", "/names/1: 1 is no string"])]
    #[case::values(json!({"domain": "d", "labels": {"k": 1}}), &["/labels/k: 1 is no string"])]
    #[case::no_object(json!([]), &["settings: [] is no object"])]
    fn settings_are_compared(#[case] settings: Value, #[case] expected: &[&str]) {
        assert_eq!(mismatches(SCHEMA, &settings).unwrap(), expected);
    }

    #[rstest::rstest]
    #[case("nothing", "it is not JSON")]
    #[case(r#"{"oneOf": []}"#, "keyword oneOf is not served")]
    #[case(r#"{"properties": {"a": 3}}"#, "3 is no schema")]
    fn a_schema_that_cannot_be_checked_is_told(#[case] schema: &str, #[case] expected: &str) {
        assert!(mismatches(schema, &json!({"a": 1})).unwrap_err().contains(expected));
    }
}
