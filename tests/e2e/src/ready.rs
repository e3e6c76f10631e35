//! The condition `Ready` of our objects: waiting until it holds, or until it says what is wrong.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{Namespace, wait_for};

/// A condition of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// In upper camel case.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The generation that it is about.
    pub generation: Option<i64>,
}

/// A string in an object, empty where there is none.
#[must_use]
pub fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The condition of this type.
#[must_use]
pub fn condition(object: &Value, type_: &str) -> Option<Condition> {
    let condition = object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == type_)?;
    Some(Condition {
        status: text(condition, "/status"),
        reason: text(condition, "/reason"),
        message: text(condition, "/message"),
        generation: condition["observedGeneration"].as_i64(),
    })
}

impl Namespace {
    /// Waits until an object is Ready as it is written now, and gives it.
    ///
    /// # Errors
    /// With what the condition says at the end.
    pub async fn ready(&self, kind: &str, name: &str, limit: Duration) -> Result<Value> {
        wait_for(format!("{kind} {name} is Ready"), limit, async || {
            let object = self.expect(kind, name).await?;
            let ready = condition(&object, "Ready").context("it has no condition Ready yet")?;
            ensure!(ready.status == "True", "Ready is {}: {}: {}", ready.status, ready.reason, ready.message);
            ensure!(ready.generation == object["metadata"]["generation"].as_i64(), "Ready is about an earlier generation: {ready:?}");
            Ok(object)
        })
        .await
    }

    /// Waits until an object says that it is not Ready, in a condition and in a warning that both hold all of these words.
    ///
    /// # Errors
    /// With what it says instead.
    pub async fn complains(&self, kind: &str, name: &str, words: &[&str], limit: Duration) -> Result<()> {
        let lacking =
            |message: &str| words.iter().filter(|word| !message.contains(**word)).map(|word| format!("{word:?}")).collect::<Vec<_>>();
        wait_for(format!("{kind} {name} says in its condition and in an event what is wrong"), limit, async || {
            let ready = condition(&self.expect(kind, name).await?, "Ready").context("it has no condition Ready yet")?;
            ensure!(ready.status == "False", "Ready is {}: {}", ready.status, ready.message);
            let missing = lacking(&ready.message);
            ensure!(missing.is_empty(), "the condition {}: {:?} lacks {}", ready.reason, ready.message, missing.join(", "));
            let events = self.events_of(kind, name).await?;
            let fits = events.iter().any(|event| event.severity == "Warning" && lacking(&event.message).is_empty());
            ensure!(fits, "no warning among its events has the words {words:?}: {events:#?}");
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_condition_is_found_by_its_type() {
        let object = json!({"status": {"conditions": [
            {"type": "Updated", "status": "True"},
            {"type": "Ready", "status": "False", "reason": "Waiting", "message": "for a pod", "observedGeneration": 2},
        ]}});
        let ready = Condition { status: "False".into(), reason: "Waiting".into(), message: "for a pod".into(), generation: Some(2) };
        assert_eq!(condition(&object, "Ready"), Some(ready));
        assert_eq!(condition(&object, "StorageResized"), None);
        assert_eq!(condition(&json!({}), "Ready"), None);
    }
}
