//! Changes in JSON: a value in the place of another, one more, one less. Knows no schema.

use arbtest::arbitrary::{Result, Unstructured};
use serde_json::{Map, Value as Json, json};

/// What has been a bad surprise to somebody.
const TEXTS: [&str; 24] = [
    "",
    " ",
    "a",
    "'; DROP DATABASE d; -- ",
    "\\'; --",
    "back`tick",
    "\"",
    "%",
    "*",
    "*/*",
    "../../etc/passwd",
    "a/b/c",
    "$(DOLT_PASSWORD)",
    "${{x}}",
    "a\nb: c",
    "-1",
    "1e400",
    "9223372036854775808",
    "10Gi",
    "1h30m",
    "0 0 31 2 *",
    "2026-13-01T00:00:00Z",
    "ünïcödé 🦀\u{202e}",
    "file:///a/../b?c#d",
];

/// A text.
///
/// # Errors
/// When there are no random bytes left.
pub fn text(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=4)? {
        0 => u.arbitrary::<String>()?,
        1 => "x".repeat(u.int_in_range(0..=5_000)?),
        _ => (*u.choose(&TEXTS)?).to_owned(),
    })
}

fn leaf(u: &mut Unstructured<'_>) -> Result<Json> {
    Ok(match u.int_in_range(0..=7)? {
        0 => Json::Null,
        1 => json!(u.arbitrary::<bool>()?),
        2 => json!(*u.choose(&[0, 1, -1, 2, 3, 65_536, i64::from(i32::MAX), i64::MAX, i64::MIN])?),
        3 => json!(u.arbitrary::<i32>()?),
        4 => json!([]),
        5 => json!({}),
        _ => json!(text(u)?),
    })
}

/// Changes a value in one to four places.
///
/// # Errors
/// When there are no random bytes left.
pub fn change(value: &mut Json, u: &mut Unstructured<'_>) -> Result<()> {
    for _ in 0..u.int_in_range(1..=4)? {
        let mut place = u.int_in_range(0..=count(value) - 1)?;
        if let Some(found) = nth(value, &mut place) {
            change_one(found, u)?;
        }
    }
    Ok(())
}

fn change_one(value: &mut Json, u: &mut Unstructured<'_>) -> Result<()> {
    match value {
        Json::Object(map) if u.ratio(3, 4)? => change_map(map, u),
        Json::Array(list) if u.ratio(3, 4)? => {
            match u.int_in_range(0..=2)? {
                0 => list.push(leaf(u)?),
                1 => drop(list.pop()),
                _ => list.extend(list.first().cloned()),
            }
            Ok(())
        }
        other => {
            *other = leaf(u)?;
            Ok(())
        }
    }
}

fn change_map(map: &mut Map<String, Json>, u: &mut Unstructured<'_>) -> Result<()> {
    let keys: Vec<String> = map.keys().cloned().collect();
    match u.int_in_range(0..=2)? {
        0 => drop(map.insert(text(u)?, leaf(u)?)),
        1 if !keys.is_empty() => drop(map.remove(u.choose(&keys)?)),
        _ if !keys.is_empty() => drop(map.insert(u.choose(&keys)?.clone(), leaf(u)?)),
        _ => {}
    }
    Ok(())
}

/// How many values it is made of, itself among them.
fn count(value: &Json) -> usize {
    1 + match value {
        Json::Object(map) => map.values().map(count).sum(),
        Json::Array(list) => list.iter().map(count).sum(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut Json, place: &mut usize) -> Option<&'a mut Json> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Json::Object(map) => map.values_mut().find_map(|value| nth(value, place)),
        Json::Array(list) => list.iter_mut().find_map(|value| nth(value, place)),
        _ => None,
    }
}
