//! Events of a namespace: what a user sees with `kubectl describe`.

use anyhow::Result;
use serde_json::Value;

use crate::{Namespace, text};

/// An event, as far as the tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Kind and name of the object, as `DoltDB/dolt`.
    pub about: String,
    /// `Normal` or `Warning`.
    pub severity: String,
    /// In upper camel case.
    pub reason: String,
    /// For people.
    pub message: String,
    /// When it was last seen, as RFC 3339, or empty.
    pub at: String,
}

impl Namespace {
    /// All events of the namespace, in the order in which they were seen.
    ///
    /// # Errors
    /// When they can't be listed.
    pub async fn events(&self) -> Result<Vec<Event>> {
        let mut events: Vec<_> = self.list("Event").await?.iter().map(event).collect();
        events.sort_by(|a, b| a.at.cmp(&b.at));
        Ok(events)
    }

    /// The events of one object.
    ///
    /// # Errors
    /// When they can't be listed.
    pub async fn events_of(&self, kind: &str, name: &str) -> Result<Vec<Event>> {
        let about = format!("{kind}/{name}");
        Ok(self.events().await?.into_iter().filter(|event| event.about == about).collect())
    }
}

fn event(object: &Value) -> Event {
    let times = ["/lastTimestamp", "/series/lastObservedTime", "/eventTime", "/metadata/creationTimestamp"];
    Event {
        about: format!("{}/{}", text(object, "/involvedObject/kind"), text(object, "/involvedObject/name")),
        severity: text(object, "/type"),
        reason: text(object, "/reason"),
        message: text(object, "/message"),
        at: times.map(|time| text(object, time)).into_iter().find(|time| !time.is_empty()).unwrap_or_default(),
    }
}
