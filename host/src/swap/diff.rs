//! Two answers of reconcilers compared, in words: which place of a plan was what and is what. It knows nothing of what a place means.

use serde_json::Value;

use crate::gateway::Ending;

/// Differences that are told of one pair of answers; more of them help nobody.
const LINES: usize = 40;
/// Characters of a value.
const VALUE: usize = 160;

/// Each place in which two answers differ, as `/effects/0/Status/phase: "Up" became "Down"`. Nothing where they are equal.
pub fn differences(old: &Ending, new: &Ending) -> Vec<String> {
    let mut lines = Vec::new();
    walk("", &plain(old), &plain(new), &mut lines);
    if lines.len() > LINES {
        let more = lines.len() - LINES;
        lines.truncate(LINES);
        lines.push(format!("and {more} more"));
    }
    lines
}

/// An answer as JSON, with the JSON in its texts unfolded.
fn plain(ending: &Ending) -> Value {
    match ending {
        Ending::Plan(plan) => unfold(serde_json::to_value(plan).unwrap_or_default()),
        Ending::Failure(failure) => Value::String(format!("it cannot decide: {}: {}", failure.reason, failure.message)),
        Ending::Ended(why) => Value::String(format!("it was ended: {why}")),
    }
}

fn unfold(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(['{', '[']) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Value::Array(items) => items.into_iter().map(unfold).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, unfold(value))).collect(),
        other => other,
    }
}

fn walk(place: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Value::Object(a), Value::Object(b)) => {
            for (name, old) in a {
                walk(&format!("{place}/{name}"), old, b.get(name).unwrap_or(&Value::Null), lines);
            }
            for (name, new) in b.iter().filter(|(name, _)| !a.contains_key(*name)) {
                walk(&format!("{place}/{name}"), &Value::Null, new, lines);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for at in 0..a.len().max(b.len()) {
                let item = |items: &[Value]| items.get(at).cloned().unwrap_or(Value::Null);
                walk(&format!("{place}/{at}"), &item(a), &item(b), lines);
            }
        }
        (Value::Null, new) => lines.push(format!("{place}: {} is new", cut(new))),
        (old, Value::Null) => lines.push(format!("{place}: {} is gone", cut(old))),
        (old, new) => {
            lines.push(format!("{}{} became {}", if place.is_empty() { String::new() } else { format!("{place}: ") }, cut(old), cut(new)))
        }
    }
}

fn cut(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Effect, Event, Failure, Next, Plan, Severity};

    fn status(status: &str) -> Ending {
        Ending::Plan(Plan { effects: vec![Effect::Status(status.into())], events: vec![], next: Next::Change })
    }

    #[test]
    fn places_in_bodies_are_named() {
        let old = status(r#"{"phase": "Up", "replicas": 2, "old": [1, 2]}"#);
        let new = status(r#"{"phase": "Down", "replicas": 2, "old": [1], "new": true}"#);
        let expected = [
            r#"/effects/0/Status/old/1: 2 is gone"#,
            r#"/effects/0/Status/phase: "Up" became "Down""#,
            r#"/effects/0/Status/new: true is new"#,
        ];
        assert_eq!(differences(&old, &new), expected);
        assert!(differences(&old, &status(r#"{"replicas":2,"old":[1,2],"phase":"Up"}"#)).is_empty(), "order and spaces are no difference");
    }

    #[test]
    fn events_and_when_to_look_again_count() {
        let event = Event { severity: Severity::Normal, reason: "Made".into(), action: String::new(), message: String::new() };
        let plan = |events, next| Ending::Plan(Plan { effects: vec![], events, next });
        let lines = differences(&plan(vec![], Next::Change), &plan(vec![event], Next::After(5)));
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("/events/0: ") && lines[1] == r#"/next: "Change" became {"After":5}"#, "{lines:?}");
    }

    #[test]
    fn another_kind_of_answer_is_told() {
        let failure = Ending::Failure(Failure { reason: "Lost".into(), message: "where am I".into() });
        let lines = differences(&failure, &Ending::Ended("told to panic".into()));
        assert_eq!(lines, [r#""it cannot decide: Lost: where am I" became "it was ended: told to panic""#]);
    }

    #[test]
    fn long_values_and_many_lines_are_cut() {
        let many = |value: &str| status(&serde_json::to_string(&vec![value; 100]).unwrap());
        let lines = differences(&many(&"a".repeat(500)), &many("b"));
        assert_eq!((lines.len(), lines[LINES].as_str()), (LINES + 1, "and 60 more"));
        assert!(lines[0].chars().count() < VALUE + 60, "{}", lines[0]);
    }
}
