//! Manifests: JSON that is made of what is there already, to be written once. Keys and texts are borrowed where they can be, and fields are
//! written in the order of their names, so that the same manifest is always the same text.
//!
//! It is for writing only: what is read are Rust types.

mod from;
mod text;

use std::{borrow::Cow, fmt::Write};

use serde_json::Value;

pub use text::escape;
use text::write_text;

/// A part of a manifest, or all of it.
#[derive(Debug, Clone)]
pub enum Json<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Self>),
    /// An object.
    Object(Fields<'a>),
    /// What somebody else has put together.
    Value(&'a Value),
    /// What is JSON already.
    Written(Cow<'a, str>),
}

/// The fields of an object.
#[derive(Debug, Clone, Default)]
pub struct Fields<'a>(Vec<(&'a str, Json<'a>)>);

/// An object: `object! { "name": name, "ports": list![port] }`. It has a type of its own, so that fields can be added to it.
#[macro_export]
macro_rules! object {
    ($($name:literal : $value:expr),* $(,)?) => {
        $crate::Fields::from_iter([$(($name, ::core::convert::Into::<$crate::Json<'_>>::into($value))),*])
    };
}

/// A list, of anything that can stand in a manifest.
#[macro_export]
macro_rules! list {
    ($($item:expr),* $(,)?) => { $crate::Json::List(vec![$(::core::convert::Into::<$crate::Json<'_>>::into($item)),*]) };
}

impl<'a> Fields<'a> {
    /// Sets a field, whether it is there or not.
    pub fn set(&mut self, name: &'a str, value: impl Into<Json<'a>>) {
        let value = value.into();
        // Most come in their order.
        if self.0.last().is_none_or(|(last, _)| *last < name) {
            return self.0.push((name, value));
        }
        match self.0.binary_search_by(|(other, _)| (*other).cmp(name)) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a, T: Into<Json<'a>>> Extend<(&'a str, T)> for Fields<'a> {
    fn extend<I: IntoIterator<Item = (&'a str, T)>>(&mut self, fields: I) {
        let fields = fields.into_iter();
        self.0.reserve(fields.size_hint().0);
        for (name, value) in fields {
            self.set(name, value);
        }
    }
}

impl<'a, T: Into<Json<'a>>> FromIterator<(&'a str, T)> for Fields<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, T)>>(fields: I) -> Self {
        let mut all = Self::default();
        all.extend(fields);
        all
    }
}

impl<'a> IntoIterator for Fields<'a> {
    type Item = (&'a str, Json<'a>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Json<'_> {
    /// As text.
    pub fn written(&self) -> String {
        let mut text = String::with_capacity(self.room());
        self.write(&mut text);
        text
    }

    /// The text at a place, which is empty where there is none.
    pub(crate) fn text(&self, place: &[&str]) -> &str {
        match (self, place) {
            (Self::Text(text), []) => text,
            (Self::Object(fields), [name, rest @ ..]) => {
                fields.0.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value.text(rest))
            }
            (Self::Value(value), _) => {
                place.iter().try_fold(*value, |value, name| value.get(name)).and_then(Value::as_str).unwrap_or_default()
            }
            _ => "",
        }
    }

    /// About how long it is when it is written.
    fn room(&self) -> usize {
        match self {
            Self::Bool(_) | Self::Number(_) => 8,
            // Some bytes are written as two.
            Self::Text(text) => 4 + text.len() + text.len() / 8,
            Self::List(items) => items.iter().map(Self::room).sum::<usize>() + 4,
            Self::Object(fields) => fields.0.iter().map(|(name, value)| name.len() + 4 + value.room()).sum::<usize>() + 4,
            Self::Value(_) => 512,
            Self::Written(text) => text.len(),
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => write_number(number, out),
            Self::Text(text) => write_text(text, out),
            Self::List(items) => write_list(items, out, Self::write),
            Self::Object(fields) => write_object(fields.0.iter().map(|(name, value)| (*name, value)), out, Self::write),
            Self::Value(value) => write_value(value, out),
            Self::Written(text) => out.push_str(text),
        }
    }
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => Json::Bool(*value).write(out),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => write_list(items, out, write_value),
        Value::Object(fields) => write_object(fields.iter().map(|(name, value)| (name.as_str(), value)), out, write_value),
    }
}

/// Writing to a string cannot fail.
fn write_number(number: impl std::fmt::Display, out: &mut String) {
    let _ = write!(out, "{number}");
}

fn write_list<T>(items: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

fn write_object<'a, T: 'a>(fields: impl Iterator<Item = (&'a str, &'a T)>, out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push('{');
    for (at, (name, value)) in fields.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
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
        let mut built = object! {
            "kind": "Thing",
            "apiVersion": "v1".to_owned(),
            "spec": object! { "other": &other, "labels": &labels, "on": true, "off": false, "none": Fields::default() },
            "list": list![-1, 2_i64, list![], "text"],
            "written": Json::Written("{\"as\":\"it is\"}".into()),
        };
        built.set("kind", "Other");
        built.set("metadata", object! { "name": "a" });
        let expected = json!({
            "kind": "Other",
            "apiVersion": "v1",
            "metadata": {"name": "a"},
            "spec": {"other": other, "labels": labels, "on": true, "off": false, "none": {}},
            "list": [-1, 2, [], "text"],
            "written": {"as": "it is"},
        });
        assert_eq!(Json::from(built).written(), expected.to_string());
        assert_eq!(Json::from(&expected).written(), expected.to_string());
    }

    #[test]
    fn a_text_is_found_by_its_place_whatever_the_manifest_is_made_of() {
        let value = json!({"metadata": {"name": "a"}});
        let built = Json::from(object! { "metadata": object! { "name": "a" } });
        for manifest in [built, (&value).into()] {
            assert_eq!(manifest.text(&["metadata", "name"]), "a");
            assert_eq!(manifest.text(&["metadata", "namespace"]), "");
            assert_eq!(manifest.text(&["metadata"]), "");
        }
    }
}
