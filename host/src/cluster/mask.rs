//! Field masks: the part of a body that JSON pointers name, in the shape of the whole.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::Value;

use crate::contract::ReadError;

/// What of a body is wanted.
pub(super) enum Mask<'a> {
    /// All of it.
    Whole,
    /// What is wanted of each of these fields; of a list, what is wanted of every item. What the body lacks is left out.
    Fields(BTreeMap<Cow<'a, str>, Self>),
}

impl<'a> Mask<'a> {
    /// The mask of these JSON pointers; without any, the whole body is wanted.
    ///
    /// # Errors
    /// When a field does not start with `/`.
    pub(super) fn of(fields: &'a [String]) -> Result<Self, ReadError> {
        if fields.is_empty() {
            return Ok(Self::Whole);
        }
        let mut mask = Self::Fields(BTreeMap::new());
        for field in fields {
            let path = field
                .strip_prefix('/')
                .ok_or_else(|| ReadError::Invalid(format!("field {field:?} is not a JSON pointer: it has to start with a slash")))?;
            mask.add(path);
        }
        Ok(mask)
    }

    fn add(&mut self, path: &'a str) {
        let mut place = self;
        for step in path.split('/') {
            match place {
                Self::Whole => return,
                Self::Fields(fields) => place = fields.entry(unescaped(step)).or_insert_with(|| Self::Fields(BTreeMap::new())),
            }
        }
        *place = Self::Whole;
    }

    /// The wanted part of a body, as text.
    pub(super) fn written(&self, body: &Value) -> String {
        // `Value::to_string` would say the same of a whole body, and take twice as long.
        serde_json::to_string(&Masked { value: body, mask: self }).expect("a JSON value with names as keys can be written")
    }
}

fn unescaped(step: &str) -> Cow<'_, str> {
    if step.contains('~') { step.replace("~1", "/").replace("~0", "~").into() } else { step.into() }
}

/// A value behind a mask.
struct Masked<'a> {
    value: &'a Value,
    mask: &'a Mask<'a>,
}

impl Masked<'_> {
    /// Whether anything of it is wanted. A list is there whatever its items are, as their places count.
    fn is_there(&self) -> bool {
        match (self.mask, self.value) {
            (Mask::Whole, _) | (_, Value::Array(_)) => true,
            (Mask::Fields(wanted), Value::Object(fields)) => wanted.keys().any(|name| fields.contains_key(&**name)),
            _ => false,
        }
    }
}

impl Serialize for Masked<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match (self.mask, self.value) {
            (Mask::Whole, value) => value.serialize(to),
            (mask, Value::Array(items)) => {
                let mut list = to.serialize_seq(Some(items.len()))?;
                for value in items {
                    let item = Masked { value, mask };
                    list.serialize_element(&item.is_there().then_some(item))?;
                }
                list.end()
            }
            (Mask::Fields(wanted), Value::Object(fields)) => {
                let mut object = to.serialize_map(None)?;
                for (name, mask) in wanted {
                    if let Some(field) = fields.get(&**name).map(|value| Masked { value, mask }).filter(Masked::is_there) {
                        object.serialize_entry(name, &field)?;
                    }
                }
                object.end()
            }
            _ => to.serialize_map(Some(0))?.end(),
        }
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
    #[case::of_some_items(&["/spec/containers/args"], json!({"spec": {"containers": [null, {"args": ["-v"]}]}}))]
    #[case::below_a_scalar(&["/status/phase/none"], json!({"status": {}}))]
    #[case::the_parent_too(&["/status/phase", "/status", "/status/podIP"], json!({"status": {"phase": "Running", "podIP": "10.0.0.1", "other": 1}}))]
    #[case::all(&[], json!({"metadata": {"labels": {"example.com/role": "x", "other": "y"}}, "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "j", "args": ["-v"]}]}, "status": {"phase": "Running", "podIP": "10.0.0.1", "other": 1}}))]
    #[case::escaped(&["/metadata/labels/example.com~1role"], json!({"metadata": {"labels": {"example.com/role": "x"}}}))]
    fn keeps_what_the_pointers_name(#[case] fields: &[&str], #[case] expected: Value) {
        let body = json!({
            "metadata": {"labels": {"example.com/role": "x", "other": "y"}},
            "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "j", "args": ["-v"]}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "other": 1},
        });
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        assert_eq!(Mask::of(&fields).unwrap().written(&body), expected.to_string());
    }

    #[test]
    fn a_field_that_is_no_pointer_is_refused() {
        let fields = ["status".to_owned()];
        assert!(matches!(Mask::of(&fields), Err(ReadError::Invalid(m)) if m.contains("\"status\"")));
    }
}
