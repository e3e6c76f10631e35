//! Amounts of storage and values that are a number or a string. Owns reading them; knows nothing of what they measure.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Unexpected, Visitor},
};

use crate::FieldError;

/// A JSON value that is a number or a string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i64),
    /// Text, such as `50%`.
    String(String),
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

/// Takes a number or a string.
struct Either;

impl Visitor<'_> for Either {
    type Value = IntOrString;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number or a string")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<IntOrString, E> {
        Ok(IntOrString::Int(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<IntOrString, E> {
        i64::try_from(number).map(IntOrString::Int).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<IntOrString, E> {
        Ok(IntOrString::String(text.to_owned()))
    }
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(n) => n.fmt(f),
            Self::String(s) => s.fmt(f),
        }
    }
}

/// An amount such as `10Gi`, kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(pub IntOrString);

impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Self(IntOrString::String(text.into()))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const SUFFIXES: [(&str, f64); 17] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
    ("K", 1e3),
    ("", 1.0),
];

impl Quantity {
    /// The amount in bytes, rounded up. `field` is where it stands, for the error.
    ///
    /// # Errors
    /// Names the field and the value where it isn't a quantity or is negative.
    pub fn bytes(&self, field: &str) -> Result<u64, FieldError> {
        let text = self.to_string();
        let problem = || FieldError::new(field, &text, "must be a quantity such as \"10Gi\"");
        let unsigned = text.strip_prefix('+').unwrap_or(&text);
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let number: f64 = number.parse().map_err(|_| problem())?;
        let scale = match SUFFIXES.iter().find(|(name, _)| *name == suffix) {
            Some((_, scale)) => *scale,
            // 1e3 and 1E3; a lone E is the suffix above.
            None => {
                let exponent = suffix.strip_prefix(['e', 'E']).ok_or_else(problem)?;
                10f64.powi(exponent.parse().map_err(|_| problem())?)
            }
        };
        Ok((number * scale).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("100Gi", 107_374_182_400)]
    #[case("1.5Gi", 1_610_612_736)]
    #[case("10G", 10_000_000_000)]
    #[case("1E", 1_000_000_000_000_000_000)]
    #[case("1e3", 1_000)]
    #[case("1500m", 2)]
    #[case("128", 128)]
    fn reads_bytes(#[case] text: &str, #[case] bytes: u64) {
        assert_eq!(Quantity::from(text).bytes("f"), Ok(bytes));
    }

    #[rstest]
    #[case("")]
    #[case("Gi")]
    #[case("-1Gi")]
    #[case("10GiB")]
    fn refuses_and_names(#[case] text: &str) {
        let error = Quantity::from(text).bytes("spec.storage.size").unwrap_err();
        assert_eq!((error.field.as_str(), error.value.as_str()), ("spec.storage.size", text));
    }

    #[test]
    fn a_number_stays_a_number() {
        let quantity: Quantity = serde_json::from_str("128").unwrap();
        assert_eq!(quantity.bytes("f"), Ok(128));
        assert_eq!(serde_json::to_string(&quantity).unwrap(), "128");
    }
}
