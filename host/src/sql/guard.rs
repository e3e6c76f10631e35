//! The comparison that decides whether an execution goes ahead.

use std::time::Duration;

use super::GUARD_HOLDS;
use crate::contract::Value;

/// Whether the first row is the expected one.
///
/// # Errors
/// What was found in its place. No value is shown where the expected ones hold a secret: `Secret` never equals anything.
pub(super) fn check(found: Option<&[Value]>, expected: &[Value]) -> Result<(), String> {
    match found {
        None => Err("the guard found no row".into()),
        Some(found) if found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| same(f, e)) => Ok(()),
        Some(found) => Err(format!("the guard found {} where {} was expected", list(found), list(expected))),
    }
}

/// Whether an answer is young enough to act on, by the time since it was asked for.
///
/// # Errors
/// How long it took.
pub(super) fn check_age(age: Duration) -> Result<(), String> {
    if age <= GUARD_HOLDS {
        return Ok(());
    }
    Err(format!("the guard was asked {} ms ago, and its answer holds for {} ms", age.as_millis(), GUARD_HOLDS.as_millis()))
}

/// Servers differ in the signedness of what they count and in the character set of what they name: integers are equal by number, texts and
/// bytes by their bytes. NULL equals NULL, since "nothing there" is a thing to expect.
fn same(a: &Value, b: &Value) -> bool {
    match (integer(a), integer(b), bytes(a), bytes(b)) {
        (Some(a), Some(b), ..) => a == b,
        (.., Some(a), Some(b)) => a == b,
        _ => match (a, b) {
            (Value::Null, Value::Null) => true,
            (Value::Double(a), Value::Double(b)) => a == b,
            _ => false,
        },
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Boolean(b) => Some((*b).into()),
        Value::Signed(n) => Some((*n).into()),
        Value::Unsigned(n) => Some((*n).into()),
        _ => None,
    }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Text(text) => Some(text.as_bytes()),
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

fn list(values: &[Value]) -> String {
    let word = |value: &Value| match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(b) => b.to_string(),
        Value::Signed(n) => n.to_string(),
        Value::Unsigned(n) => n.to_string(),
        Value::Double(n) => n.to_string(),
        Value::Text(text) if text.len() <= 200 => format!("'{text}'"),
        Value::Text(text) => format!("a text of {} bytes", text.len()),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Secret(_) => "a secret".to_owned(),
    };
    format!("({})", values.iter().map(word).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    fn equal(a: &Value, b: &Value) -> bool {
        check(Some(from_ref(a)), from_ref(b)).is_ok()
    }

    #[test]
    fn equal_by_what_is_meant() {
        let yes = [
            (Value::Signed(1), Value::Unsigned(1)),
            (Value::Boolean(true), Value::Signed(1)),
            (Value::Text("a".into()), Value::Bytes(b"a".to_vec())),
            (Value::Null, Value::Null),
            (Value::Double(1.5), Value::Double(1.5)),
        ];
        for (a, b) in &yes {
            assert!(equal(a, b) && equal(b, a), "{a:?} {b:?}");
        }
        let no = [
            (Value::Signed(-1), Value::Unsigned(u64::MAX)),
            (Value::Null, Value::Signed(0)),
            (Value::Null, Value::Text(String::new())),
            (Value::Text("1".into()), Value::Signed(1)),
            (Value::Text("a".into()), Value::Text("A".into())),
        ];
        for (a, b) in &no {
            assert!(!equal(a, b) && !equal(b, a), "{a:?} {b:?}");
        }
        assert_eq!(check(None, &[]), Err("the guard found no row".into()));
        let message = "the guard found ('standby', 7) where ('primary') was expected";
        assert_eq!(check(Some(&[Value::Text("standby".into()), Value::Signed(7)]), &[Value::Text("primary".into())]), Err(message.into()));
    }
}
