//! Keeping only what JSON pointers name, as the host does with the bodies of objects.

use serde_json::{Map, Value as Json};

/// The parts of `body` that the pointers name, in the shape of the whole; all of it where there are none. A step into a list goes to each item.
pub(super) fn mask(body: &Json, fields: &[String]) -> Json {
    if fields.is_empty() {
        return body.clone();
    }
    let mut kept = Json::Object(Map::new());
    for field in fields {
        let steps: Vec<String> = field.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        copy(body, &mut kept, &steps);
    }
    kept
}

fn copy(from: &Json, into: &mut Json, steps: &[String]) {
    let Some((step, rest)) = steps.split_first() else {
        *into = from.clone();
        return;
    };
    match from {
        Json::Object(fields) => {
            let Some(value) = fields.get(step) else { return };
            if !into.is_object() {
                *into = Json::Object(Map::new());
            }
            if let Json::Object(map) = into {
                copy(value, map.entry(step.clone()).or_insert(Json::Null), rest);
            }
        }
        Json::Array(items) => {
            if !into.is_array() {
                *into = Json::Array(vec![Json::Null; items.len()]);
            }
            if let Json::Array(kept) = into {
                items.iter().zip(kept).for_each(|(item, kept)| copy(item, kept, steps));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_named_is_kept() {
        let body = json!({"metadata": {"labels": {"a/b": "x", "c": "y"}}, "spec": {"n": 1, "list": [{"x": 1, "y": 2}, 3]}});
        let fields = ["/metadata/labels/a~1b", "/spec/list/x", "/status/phase"].map(ToOwned::to_owned);
        assert_eq!(mask(&body, &fields), json!({"metadata": {"labels": {"a/b": "x"}}, "spec": {"list": [{"x": 1}, null]}}));
    }
}
