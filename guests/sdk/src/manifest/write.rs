//! What can stand in a manifest, and how it is written.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write};

use serde_json::Value;

use super::{Json, close, text::write_text};

/// What a function writes.
#[derive(Debug, Clone, Copy)]
pub struct With<F>(pub F);

/// What is JSON already.
#[derive(Debug, Clone, Copy)]
pub struct Written<T>(pub T);

/// A list of what is alike.
#[derive(Debug, Clone, Copy)]
pub struct List<I>(pub I);

/// A list while it is put together.
#[derive(Debug)]
pub struct Items<'a>(&'a mut String);

/// The list that a function puts together.
pub fn items(put_together: impl FnOnce(&mut Items)) -> impl Json {
    With(move |out: &mut String| {
        out.push('[');
        put_together(&mut Items(out));
        close(']', out);
    })
}

impl Items<'_> {
    /// Adds an item.
    pub fn add(&mut self, item: impl Json) -> &mut Self {
        item.add("", self.0);
        self
    }

    /// Adds several that are alike.
    pub fn add_all(&mut self, items: impl IntoIterator<Item: Json>) -> &mut Self {
        for item in items {
            self.add(item);
        }
        self
    }
}

impl<F: FnOnce(&mut String)> Json for With<F> {
    fn write(self, out: &mut String) {
        (self.0)(out);
    }
}

impl<T: AsRef<str>> Json for Written<T> {
    fn write(self, out: &mut String) {
        out.push_str(self.0.as_ref());
    }
}

impl<I: IntoIterator<Item: Json>> Json for List<I> {
    fn write(self, out: &mut String) {
        items(|list| {
            list.add_all(self.0);
        })
        .write(out);
    }
}

impl<T: Json> Json for Option<T> {
    fn write(self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }

    fn add(self, before: &str, out: &mut String) {
        if let Some(value) = self {
            value.add(before, out);
        }
    }
}

impl Json for bool {
    fn write(self, out: &mut String) {
        out.push_str(if self { "true" } else { "false" });
    }
}

impl Json for i32 {
    fn write(self, out: &mut String) {
        i64::from(self).write(out);
    }
}

impl Json for i64 {
    fn write(self, out: &mut String) {
        // Writing to a string cannot fail.
        let _ = write!(out, "{self}");
    }
}

impl Json for &str {
    fn write(self, out: &mut String) {
        write_text(self, out);
    }
}

impl Json for String {
    fn write(self, out: &mut String) {
        write_text(&self, out);
    }
}

impl Json for &String {
    fn write(self, out: &mut String) {
        write_text(self, out);
    }
}

impl Json for &Cow<'_, str> {
    fn write(self, out: &mut String) {
        write_text(self, out);
    }
}

impl<'a, K: AsRef<str>, V> Json for &'a BTreeMap<K, V>
where
    &'a V: Json,
{
    fn write(self, out: &mut String) {
        write_fields(self.iter().map(|(name, value)| (name.as_ref(), value)), out);
    }
}

impl Json for &Value {
    fn write(self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => value.write(out),
            Value::Number(number) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "{number}");
            }
            Value::String(text) => text.write(out),
            Value::Array(items) => List(items).write(out),
            Value::Object(fields) => write_fields(fields.iter().map(|(name, value)| (name.as_str(), value)), out),
        }
    }
}

fn write_fields<'a, T: Json>(fields: impl Iterator<Item = (&'a str, T)>, out: &mut String) {
    out.push('{');
    for (name, value) in fields {
        write_text(name, out);
        value.add(":", out);
    }
    close('}', out);
}
