//! Server-side apply on bodies: what is applied wins, what was applied before and is absent now goes, all else stays.
//!
//! Lists are taken whole, but for conditions, which are known by their type.

use serde_json::Value;

/// Puts `from` over `to`.
pub(super) fn overlay(to: &mut Value, from: &Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            for (name, value) in from {
                match to.get_mut(name) {
                    Some(there) if name == "conditions" => overlay_conditions(there, value),
                    Some(there) => overlay(there, value),
                    None => drop(to.insert(name.clone(), value.clone())),
                }
            }
        }
        (to, from) => {
            if to != from {
                *to = from.clone();
            }
        }
    }
}

fn overlay_conditions(to: &mut Value, from: &Value) {
    let (Some(there), Some(from)) = (to.as_array_mut(), from.as_array()) else { return };
    for condition in from {
        match there.iter_mut().find(|c| c["type"] == condition["type"]) {
            Some(there) => *there = condition.clone(),
            None => there.push(condition.clone()),
        }
    }
}

/// Takes out of `body` what `before` has and `now` has not, but for what others have applied as well.
pub(super) fn remove_absent(body: &mut Value, before: &Value, now: &Value, others: &[&Value]) {
    let (Some(body), Some(before)) = (body.as_object_mut(), before.as_object()) else { return };
    for (name, value) in before {
        let left = now.get(name);
        let others: Vec<&Value> = others.iter().filter_map(|other| other.get(name)).collect();
        match (body.get_mut(name), value) {
            (None, _) => {}
            (Some(there), Value::Object(_)) => {
                remove_absent(there, value, left.unwrap_or(&Value::Null), &others);
                if left.is_none() && others.is_empty() && there.as_object().is_some_and(serde_json::Map::is_empty) {
                    body.remove(name);
                }
            }
            (Some(Value::Array(there)), Value::Array(conditions)) if name == "conditions" => {
                let still = left.and_then(Value::as_array).cloned().unwrap_or_default();
                let has = |list: &[Value], c: &Value| list.iter().any(|other| other["type"] == c["type"]);
                let others: Vec<&[Value]> = others.iter().filter_map(|other| other.as_array()).map(Vec::as_slice).collect();
                there.retain(|c| !has(conditions, c) || has(&still, c) || others.iter().any(|other| has(other, c)));
            }
            (Some(_), _) if left.is_none() && others.is_empty() => drop(body.remove(name)),
            (Some(_), _) => {}
        }
    }
}

/// Whether two bodies have the same fields and conditions, whatever their values.
pub(super) fn are_the_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let is_the_same =
                |name: &str, one, other| if name == "conditions" { types(one).eq(types(other)) } else { are_the_same(one, other) };
            one.keys().eq(other.keys()) && one.iter().zip(other.values()).all(|((name, one), other)| is_the_same(name, one, other))
        }
        (Value::Object(_), _) | (_, Value::Object(_)) => false,
        _ => true,
    }
}

/// The types of conditions, in order.
fn types(conditions: &Value) -> impl Iterator<Item = &Value> {
    conditions.as_array().into_iter().flatten().map(|condition| &condition["type"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_that_is_no_longer_applied_goes_and_others_stay() {
        let before = json!({"spec": {"a": 1, "b": {"c": 2}}, "list": [1, 2]});
        let now = json!({"spec": {"a": 3}});
        let mut body = json!({"spec": {"a": 1, "b": {"c": 2, "other": 4}}, "list": [1, 2], "status": {"x": 1}});
        remove_absent(&mut body, &before, &now, &[]);
        overlay(&mut body, &now);
        assert_eq!(body, json!({"spec": {"a": 3, "b": {"other": 4}}, "status": {"x": 1}}));
    }

    #[test]
    fn bodies_with_the_same_conditions_have_the_same_fields() {
        let body = |status: &str, types: &[&str]| {
            let conditions: Vec<Value> = types.iter().map(|kind| json!({"type": kind, "status": status})).collect();
            json!({"conditions": conditions, "list": types, "phase": status})
        };
        assert!(are_the_same(&body("True", &["A", "B"]), &body("False", &["A", "B"])));
        assert!(!are_the_same(&body("True", &["A", "B"]), &body("True", &["A"])));
        assert!(!are_the_same(&json!({"a": 1, "b": 2}), &json!({"a": 1, "c": 2})));
    }

    #[test]
    fn conditions_of_others_stay() {
        let mut body = json!({"conditions": [{"type": "A", "x": 1}, {"type": "Host", "x": 1}]});
        let now = json!({"conditions": [{"type": "B", "x": 2}]});
        remove_absent(&mut body, &json!({"conditions": [{"type": "A", "x": 1}]}), &now, &[]);
        overlay(&mut body, &now);
        assert_eq!(body, json!({"conditions": [{"type": "Host", "x": 1}, {"type": "B", "x": 2}]}));
    }
}
