//! What can stand in a manifest.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::Value;

use super::{Fields, Json};

impl From<bool> for Json<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Json<'_> {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<i64> for Json<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl<'a> From<&'a str> for Json<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a String> for Json<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Json<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Json<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<Vec<Self>> for Json<'a> {
    fn from(items: Vec<Self>) -> Self {
        Self::List(items)
    }
}

impl<'a> From<Fields<'a>> for Json<'a> {
    fn from(fields: Fields<'a>) -> Self {
        Self::Object(fields)
    }
}

impl<'a> From<&'a BTreeMap<String, String>> for Json<'a> {
    fn from(fields: &'a BTreeMap<String, String>) -> Self {
        Self::Object(fields.iter().map(|(name, value)| (name.as_str(), value)).collect())
    }
}

impl<'a> From<&'a Value> for Json<'a> {
    fn from(value: &'a Value) -> Self {
        Self::Value(value)
    }
}

impl<'a, T: Into<Self>> FromIterator<T> for Json<'a> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}
