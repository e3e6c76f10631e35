//! Writes values and identifiers so that a server reads back exactly them. Knows no statement.
//!
//! Texts are in single quotes, with quotes and backslashes doubled. A doubled quote is a quote in every `sql_mode`, and a doubled backslash
//! ends no text in any, so nothing can break out whatever the mode is. Only its meaning depends on it: under `NO_BACKSLASH_ESCAPES` it would
//! be two backslashes. The session knows from the server's status flags and refuses such a text instead of changing it (`Sealed::escapes`).
//! Double quotes are never used: `ANSI_QUOTES` makes them identifiers.

use std::fmt::Write;

use crate::contract::Value;

/// Writes an identifier in backticks.
///
/// # Errors
/// When no server can have such a name.
pub(super) fn identifier(out: &mut String, name: &str) -> Result<(), &'static str> {
    match name {
        "" => return Err("an identifier is empty"),
        _ if name.contains('\0') => return Err("an identifier has a NUL"),
        _ => {}
    }
    enclosed(out, '`', &['`'], name);
    Ok(())
}

/// Writes a text in single quotes.
pub(super) fn text(out: &mut String, text: &str) {
    enclosed(out, '\'', &['\'', '\\'], text);
}

fn enclosed(out: &mut String, quote: char, doubled: &[char], content: &str) {
    out.reserve(content.len() + 2);
    out.push(quote);
    for c in content.chars() {
        if doubled.contains(&c) {
            out.push(c);
        }
        out.push(c);
    }
    out.push(quote);
}

/// Writes a value that isn't a secret.
///
/// # Errors
/// When SQL has no such value.
pub(super) fn value(out: &mut String, value: &Value) -> Result<(), &'static str> {
    match value {
        Value::Null => out.push_str("NULL"),
        Value::Boolean(true) => out.push_str("TRUE"),
        Value::Boolean(false) => out.push_str("FALSE"),
        Value::Signed(n) => number(out, format_args!("{n}")),
        Value::Unsigned(n) => number(out, format_args!("{n}")),
        // With an exponent it is a double; without, servers take it for a decimal and round differently.
        Value::Double(n) if n.is_finite() => number(out, format_args!("{n:e}")),
        Value::Double(_) => return Err("a number is infinite or none"),
        Value::Text(content) => text(out, content),
        Value::Bytes(bytes) => {
            out.push_str("x'");
            out.push_str(&hex::encode(bytes));
            out.push('\'');
        }
        Value::Secret(_) => return Err("a secret stands where a plain value is needed"),
    }
    Ok(())
}

fn number(out: &mut String, number: std::fmt::Arguments<'_>) {
    out.write_fmt(number).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::contract::SecretRef;

    #[rstest]
    #[case(Value::Null, "NULL")]
    #[case(Value::Boolean(true), "TRUE")]
    #[case(Value::Signed(i64::MIN), "-9223372036854775808")]
    #[case(Value::Unsigned(u64::MAX), "18446744073709551615")]
    #[case(Value::Double(1.5), "1.5e0")]
    #[case(Value::Double(-2e-7), "-2e-7")]
    #[case(Value::Text("it's".into()), "'it''s'")]
    #[case(Value::Text(r"\'; DROP TABLE t; -- ".into()), r"'\\''; DROP TABLE t; -- '")]
    #[case(Value::Bytes(vec![0, 0x27, 0xff]), "x'0027ff'")]
    #[case(Value::Bytes(vec![]), "x''")]
    fn values(#[case] given: Value, #[case] sql: &str) {
        let mut out = String::new();
        value(&mut out, &given).expect("a value");
        assert_eq!(out, sql);
    }

    #[rstest]
    #[case("plain", "`plain`")]
    #[case("a`b", "`a``b`")]
    #[case("``", "``````")]
    #[case(r"back\slash", r"`back\slash`")]
    fn identifiers(#[case] given: &str, #[case] sql: &str) {
        let mut out = String::new();
        identifier(&mut out, given).expect("an identifier");
        assert_eq!(out, sql);
    }

    #[rstest]
    #[case(identifier(&mut String::new(), ""))]
    #[case(identifier(&mut String::new(), "a\0b"))]
    #[case(value(&mut String::new(), &Value::Double(f64::NAN)))]
    #[case(value(&mut String::new(), &Value::Double(f64::NEG_INFINITY)))]
    #[case(value(&mut String::new(), &Value::Secret(SecretRef { namespace: "n".into(), name: "s".into(), key: "k".into() })))]
    fn refused(#[case] result: Result<(), &'static str>) {
        assert!(result.is_err());
    }

    /// Reads a literal as a server does, with and without backslash escapes; `None` where it ends before the text does.
    fn read_back(literal: &str, quote: char, escapes: bool) -> Option<String> {
        let mut chars = literal.strip_prefix(quote)?.chars().peekable();
        let mut content = String::new();
        loop {
            match chars.next()? {
                '\\' if escapes => content.push(chars.next()?),
                c if c == quote && chars.peek() == Some(&quote) => content.extend(chars.next()),
                c if c == quote => return chars.next().is_none().then_some(content),
                c => content.push(c),
            }
        }
    }

    /// All texts of up to six characters over the ones that matter.
    #[test]
    fn nothing_breaks_out_in_any_mode() {
        let alphabet = ['\'', '\\', '`', '"', 'a', '\0'];
        let mut texts = vec![String::new()];
        for _ in 0..6 {
            texts = texts.iter().flat_map(|t| alphabet.iter().map(move |c| format!("{t}{c}")).chain([t.clone()])).collect();
            texts.sort();
            texts.dedup();
        }
        assert!(texts.len() > 50_000);
        for given in &texts {
            let mut literal = String::new();
            text(&mut literal, given);
            assert_eq!(read_back(&literal, '\'', true).as_ref(), Some(given), "{literal}");
            assert!(read_back(&literal, '\'', false).is_some(), "{literal} ends early without escapes");
            if !given.is_empty() && !given.contains('\0') {
                let mut literal = String::new();
                identifier(&mut literal, given).expect("an identifier");
                assert_eq!(read_back(&literal, '`', false).as_ref(), Some(given), "{literal}");
            }
        }
    }
}
