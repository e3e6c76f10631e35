//! What a check has to know of an effect's body: that it is JSON, and which object it is of. All of it is read, and nothing else is kept, since bodies
//! are long and checked in each round.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
};

/// What a body says of itself. What it does not say, or says in another way than by a text, is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) is_object: bool,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Described {
    /// Reads a body.
    ///
    /// # Errors
    /// Where it is no JSON, or deeper than anybody reads.
    pub(super) fn read(body: &str) -> Result<Self, serde_json::Error> {
        let mut described = Self::default();
        let mut json = serde_json::Deserializer::from_str(body);
        Walk { place: Place::Root, described: &mut described }.deserialize(&mut json)?;
        json.end()?;
        Ok(described)
    }

    fn text(&mut self, place: Place) -> Option<&mut String> {
        match place {
            Place::ApiVersion => Some(&mut self.api_version),
            Place::Kind => Some(&mut self.kind),
            Place::Namespace => Some(&mut self.namespace),
            Place::Name => Some(&mut self.name),
            Place::Root | Place::Metadata | Place::Elsewhere => None,
        }
    }

    fn forget(&mut self, place: Place) {
        if matches!(place, Place::Metadata) {
            self.namespace.clear();
            self.name.clear();
        }
        if let Some(text) = self.text(place) {
            text.clear();
        }
    }
}

/// Where in a body something is.
#[derive(Debug, Clone, Copy)]
enum Place {
    Root,
    ApiVersion,
    Kind,
    Metadata,
    Namespace,
    Name,
    Elsewhere,
}

impl Place {
    fn of(self, field: &str) -> Self {
        match (self, field) {
            (Self::Root, "apiVersion") => Self::ApiVersion,
            (Self::Root, "kind") => Self::Kind,
            (Self::Root, "metadata") => Self::Metadata,
            (Self::Metadata, "namespace") => Self::Namespace,
            (Self::Metadata, "name") => Self::Name,
            _ => Self::Elsewhere,
        }
    }
}

/// Goes through a value.
struct Walk<'a> {
    place: Place,
    described: &'a mut Described,
}

/// A field's name.
#[derive(Deserialize)]
struct Field<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if let Some(place) = self.described.text(self.place) {
            text.clone_into(place);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Walk { place: Place::Elsewhere, described: self.described })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        self.described.is_object |= matches!(self.place, Place::Root);
        while let Some(Field(name)) = fields.next_key()? {
            let place = self.place.of(&name);
            // Of a field that is there twice the last one counts, as for whoever reads the body later.
            self.described.forget(place);
            fields.next_value_seed(Walk { place, described: self.described })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;

    use super::*;

    #[rstest]
    #[case::a_whole_object(
        r#"{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"a","name":"b","labels":{"name":"x"}},"spec":{"kind":"y"}}"#
    )]
    #[case::texts_with_escapes(r#"{"api\u0056ersion":"v\u0031","kind":"P\"od","metadata":{"name":"b\n"}}"#)]
    #[case::what_is_there_twice(r#"{"kind":"Pod","kind":"Job","metadata":{"name":"a","namespace":"n"},"metadata":{"name":"b"}}"#)]
    #[case::no_text_after_a_text(r#"{"kind":"Pod","kind":["Job"],"apiVersion":1,"metadata":{"name":"a"},"metadata":7}"#)]
    #[case::numbers(r#"{"a":-1,"b":18446744073709551615,"c":1e3,"d":null,"e":[true,{}]}"#)]
    #[case::no_object("[1]")]
    #[case::cut_off(r#"{"kind":"Pod""#)]
    #[case::more_than_one("{} {}")]
    #[case::too_large_a_number(r#"{"a":1e999}"#)]
    fn it_says_what_a_value_says(#[case] body: &str) {
        let expected = serde_json::from_str::<Value>(body).map(|value| {
            let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            Described {
                is_object: value.is_object(),
                api_version: text("/apiVersion"),
                kind: text("/kind"),
                namespace: text("/metadata/namespace"),
                name: text("/metadata/name"),
            }
        });
        let words = |error: serde_json::Error| error.to_string();
        assert_eq!(Described::read(body).map_err(words), expected.map_err(words));
    }

    #[test]
    fn what_is_too_deep_is_not_read() {
        let deep = format!("{}{}", r#"{"a":"#.repeat(1_000), "1".to_owned() + &"}".repeat(1_000));
        assert!(Described::read(&deep).is_err_and(|error| error.to_string().starts_with("recursion limit exceeded")));
    }
}
