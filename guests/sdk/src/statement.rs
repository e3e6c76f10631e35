//! SQL: a text that is fixed when the reconciler is built, and arguments beside it.
//!
//! [`sql!`](crate::sql) takes a literal only and counts its placeholders at compile time, so that no value can get into the text.

use crate::{Argument, SecretRef, Statement, Value};

/// A statement of a literal text with `?` for each value and `??` for each identifier, and its arguments in order.
///
/// ```
/// use sdk::{ident, sql, value};
/// let statement = sql!("SELECT COUNT(*) FROM ?? WHERE name = ?", ident("branches"), value("main"));
/// assert_eq!(statement.arguments.len(), 2);
/// ```
///
/// ```compile_fail
/// sdk::sql!("SELECT ?");
/// ```
#[macro_export]
macro_rules! sql {
    ($text:literal $(, $argument:expr)* $(,)?) => {{
        const _: () = $crate::check_placeholders($text, &[$(stringify!($argument)),*]);
        $crate::Statement { text: $text.to_owned(), arguments: vec![$($crate::Argument::from($argument)),*] }
    }};
}

/// Stops the compilation of a statement whose placeholders and arguments differ in number.
#[doc(hidden)]
pub const fn check_placeholders(text: &str, arguments: &[&str]) {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut found = 0;
    while at < bytes.len() {
        if bytes[at] == b'?' {
            found += 1;
            if at + 1 < bytes.len() && bytes[at + 1] == b'?' {
                at += 1;
            }
        }
        assert!(!matches!(bytes[at], b'\'' | b'"' | b'`' | b';' | b'#'), "the text of a statement holds no quote, comment or semicolon");
        at += 1;
    }
    assert!(found == arguments.len(), "as many arguments as placeholders");
}

/// A statement whose text is put together of literals, for lists of keywords that are known only when it is made: which privileges, which
/// options. What comes from outside still has no way into it but as an argument.
///
/// ```
/// use sdk::{compose, value};
/// let statement = compose(&["GRANT ", "SELECT", ", ", "INSERT", " ON *.* TO ?@?"], vec![value("a"), value("%")]);
/// assert_eq!(statement.text, "GRANT SELECT, INSERT ON *.* TO ?@?");
/// ```
pub fn compose(pieces: &[&'static str], arguments: Vec<Argument>) -> Statement {
    Statement { text: pieces.concat(), arguments }
}

/// An argument for `??`: the name of a database, a table, a column.
pub fn ident(name: impl Into<String>) -> Argument {
    Argument::Identifier(name.into())
}

/// An argument for `?`.
pub fn value(value: impl Into<Value>) -> Argument {
    Argument::Value(value.into())
}

/// An argument for `?` that the host fills in from a Secret.
pub fn secret(namespace: impl Into<String>, name: impl Into<String>, key: impl Into<String>) -> Argument {
    Argument::Value(Value::Secret(SecretRef { namespace: namespace.into(), name: name.into(), key: key.into() }))
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Signed(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Unsigned(value)
    }
}
