//! Field masks: the part of a body that JSON pointers name, in the shape of the whole.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::contract::ReadError;

/// The body with only what `fields` name. What a pointer names and the body lacks is left out. A step into a list goes to every item.
///
/// # Errors
/// When a field does not start with `/`.
pub(super) fn mask(body: &Value, fields: &[String]) -> Result<Value, ReadError> {
    let mut masked = Value::Object(Map::new());
    for field in fields {
        let path = field
            .strip_prefix('/')
            .ok_or_else(|| ReadError::Invalid(format!("field {field:?} is not a JSON pointer: it has to start with a slash")))?;
        let steps: Vec<Cow<'_, str>> = path.split('/').map(unescaped).collect();
        copy(body, &mut masked, &steps);
    }
    Ok(masked)
}

fn unescaped(step: &str) -> Cow<'_, str> {
    if step.contains('~') { step.replace("~1", "/").replace("~0", "~").into() } else { step.into() }
}

fn copy(from: &Value, to: &mut Value, steps: &[Cow<'_, str>]) {
    let Some((step, rest)) = steps.split_first() else {
        *to = from.clone();
        return;
    };
    match from {
        Value::Object(fields) => {
            let Some(value) = fields.get(&**step) else { return };
            if !to.is_object() {
                *to = Value::Object(Map::new());
            }
            if let Value::Object(target) = to {
                let mut masked = target.remove(&**step).unwrap_or(Value::Null);
                copy(value, &mut masked, rest);
                if rest.is_empty() || !masked.is_null() {
                    target.insert(step.to_string(), masked);
                }
            }
        }
        Value::Array(items) => {
            if !to.is_array() {
                *to = Value::Array(vec![Value::Null; items.len()]);
            }
            if let Value::Array(targets) = to {
                items.iter().zip(targets).for_each(|(item, target)| copy(item, target, steps));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[rstest::rstest]
    #[case::one(&["/status/phase"], json!({"status": {"phase": "Running"}}))]
    #[case::two_of_one_parent(&["/status/phase", "/status/podIP"], json!({"status": {"phase": "Running", "podIP": "10.0.0.1"}}))]
    #[case::each_item_of_a_list(&["/spec/containers/name"], json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}))]
    #[case::absent(&["/status/none"], json!({}))]
    #[case::escaped(&["/metadata/labels/example.com~1role"], json!({"metadata": {"labels": {"example.com/role": "x"}}}))]
    fn keeps_what_the_pointers_name(#[case] fields: &[&str], #[case] expected: Value) {
        let body = json!({
            "metadata": {"labels": {"example.com/role": "x", "other": "y"}},
            "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "j"}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "other": 1},
        });
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        assert_eq!(mask(&body, &fields).unwrap(), expected);
    }

    #[test]
    fn a_field_that_is_no_pointer_is_refused() {
        assert!(matches!(mask(&json!({}), &["status".into()]), Err(ReadError::Invalid(m)) if m.contains("\"status\"")));
    }
}
