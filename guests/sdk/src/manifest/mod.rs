//! Manifests: JSON that writes itself, once, into the text that becomes of it. Nothing is put together before: [`object!`] and [`list!`] make
//! functions that write. Fields stand in the order of their names, so that the same manifest is always the same text.
//!
//! It is for writing only: what is read are Rust types.

mod text;
mod write;

use serde_json::Value;

pub use text::escape;
pub use write::{Items, List, With, Written, items};

use crate::{ObjectRef, object::reference};

/// What can stand in a manifest.
pub trait Json: Sized {
    /// Writes it.
    fn write(self, out: &mut String);

    /// Writes it as one of several, each with its own text before it. What is none is left out.
    fn add(self, before: &str, out: &mut String) {
        out.push_str(before);
        self.write(out);
        out.push(',');
    }

    /// As text.
    fn written(self) -> String {
        // Most fit, and what does not makes room twice or so.
        let mut text = String::with_capacity(1_024);
        self.write(&mut text);
        text
    }
}

/// An object: `object! { "name": name, "ports": list![port] }`, with its fields in the order of their names. One that is none is left out.
#[macro_export]
macro_rules! object {
    ($($name:literal : $value:expr),* $(,)?) => {{
        const { assert!($crate::in_order(&[$($name),*]), "fields stand in the order of their names") };
        $crate::With(move |out: &mut String| {
            out.push('{');
            $($crate::Json::add($value, concat!("\"", $name, "\":"), out);)*
            $crate::close('}', out);
        })
    }};
}

/// A list, of anything that can stand in a manifest. What is none is left out.
#[macro_export]
macro_rules! list {
    ($($item:expr),* $(,)?) => {
        $crate::With(move |out: &mut String| {
            out.push('[');
            $($crate::Json::add($item, "", out);)*
            $crate::close(']', out);
        })
    };
}

/// Ends an object or a list, after the comma of its last member.
#[doc(hidden)]
pub fn close(end: char, out: &mut String) {
    if out.ends_with(',') {
        out.pop();
    }
    out.push(end);
}

/// Whether names are in order.
#[doc(hidden)]
pub const fn in_order(names: &[&str]) -> bool {
    let mut at = 1;
    while at < names.len() {
        if !is_less(names[at - 1].as_bytes(), names[at].as_bytes()) {
            return false;
        }
        at += 1;
    }
    true
}

const fn is_less(name: &[u8], than: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() && at < than.len() && name[at] == than[at] {
        at += 1;
    }
    at < than.len() && (at == name.len() || name[at] < than[at])
}

/// A manifest with the object that it is of.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The object.
    pub object: ObjectRef,
    /// The manifest, written.
    pub body: String,
}

impl From<&Value> for Manifest {
    fn from(value: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &value["metadata"];
        let (api_version, kind) = (text(&value["apiVersion"]), text(&value["kind"]));
        let object = reference(&api_version, &kind, &text(&metadata["namespace"]), &text(&metadata["name"]));
        Self { object, body: value.written() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_is_written_as_serde_json_would_write_it() {
        let labels = BTreeMap::from([("b".to_owned(), "1".to_owned()), ("a".to_owned(), "\"2\"".to_owned())]);
        let other = json!({"z": null, "a": [1, -2.5, true, "text", {}], "m": {"y": "…", "x": []}});
        let (all, value) = (&labels, &other);
        let built = object! {
            "apiVersion": "v1".to_owned(),
            "items": List(["a", "b"]),
            "kind": "Thing",
            "left": None::<&str>,
            "list": list![-1, 2_i64, None::<bool>, list![], "text", Some(object! {})],
            "spec": object! { "labels": all, "none": object! {}, "off": false, "on": true, "other": value },
            "written": Written("{\"as\":\"it is\"}"),
        };
        let expected = json!({
            "apiVersion": "v1",
            "items": ["a", "b"],
            "kind": "Thing",
            "list": [-1, 2, [], "text", {}],
            "spec": {"labels": labels, "none": {}, "off": false, "on": true, "other": other},
            "written": {"as": "it is"},
        });
        assert_eq!(built.written(), expected.to_string());
        assert_eq!((&expected).written(), expected.to_string());
    }

    #[test]
    fn fields_are_in_order_by_their_bytes() {
        assert!(in_order(&[]) && in_order(&["a"]) && in_order(&["a", "aB", "ab", "b"]));
        assert!(!in_order(&["a", "a"]) && !in_order(&["ab", "a"]) && !in_order(&["b", "a"]));
    }

    #[test]
    fn an_object_is_found_in_its_manifest() {
        let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        assert_eq!(Manifest::from(&value).object, reference("v1", "ConfigMap", "", "a"));
    }
}
