//! Putting a plan together: effects in order, events, and when to come back.

use std::time::Duration;

use crate::{
    Application, Deletion, Effect, Event, Execution, Finalizer, GeneratedSecret, Header, Json, Labelling, Manifest, Next, Plan,
    Propagation, Severity, Task, Timestamp,
};

impl Default for Plan {
    fn default() -> Self {
        Self { effects: Vec::new(), events: Vec::new(), next: Next::Change }
    }
}

impl Plan {
    /// A plan that does nothing and waits for a change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies a manifest. Fields that an earlier manifest of the same object had and this one has not are removed.
    pub fn apply(&mut self, manifest: impl Into<Manifest>) -> &mut Self {
        self.apply_to("", manifest)
    }

    /// Applies a manifest to the object of this uid only.
    pub fn apply_to(&mut self, uid: &str, manifest: impl Into<Manifest>) -> &mut Self {
        let Manifest { object, body } = manifest.into();
        self.effects.push(Effect::Apply(Application { object, uid: uid.to_owned(), body }));
        self
    }

    /// Deletes an object that has been read; what it owns goes afterwards.
    pub fn delete(&mut self, object: &Header) -> &mut Self {
        self.delete_within(object, None)
    }

    /// The same, with the seconds that it gets to end; none: as the object says.
    pub fn delete_within(&mut self, object: &Header, grace: Option<u32>) -> &mut Self {
        self.effects.push(Effect::Delete(Deletion {
            object: object.reference(),
            uid: object.uid.clone(),
            propagation: Propagation::Background,
            grace,
        }));
        self
    }

    /// Deletes an object that has been read and leaves what it owns without an owner.
    pub fn delete_alone(&mut self, object: &Header) -> &mut Self {
        self.effects.push(Effect::Delete(Deletion {
            object: object.reference(),
            uid: object.uid.clone(),
            propagation: Propagation::Orphan,
            grace: None,
        }));
        self
    }

    /// Sets (`Some`) and removes (`None`) labels of an object that has been read.
    pub fn label(&mut self, object: &Header, labels: &[(&str, Option<&str>)]) -> &mut Self {
        self.effects.push(Effect::Label(Labelling {
            object: object.reference(),
            uid: object.uid.clone(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), value.map(ToOwned::to_owned))).collect(),
        }));
        self
    }

    /// Adds or removes a finalizer of the reconciled object.
    pub fn finalizer(&mut self, name: &str, present: bool) -> &mut Self {
        self.effects.push(Effect::Finalizer(Finalizer { name: name.to_owned(), present }));
        self
    }

    /// Writes the status of the reconciled object: the content of `status`, complete.
    pub fn status(&mut self, status: impl Json) -> &mut Self {
        self.effects.push(Effect::Status(status.written()));
        self
    }

    /// Runs statements that write.
    pub fn sql(&mut self, execution: Execution) -> &mut Self {
        self.effects.push(Effect::Sql(execution));
        self
    }

    /// Starts statements that take long, as a task of this name, unless there is one that runs or has ended. Later rounds see how it is
    /// getting on ([`World::tasks`](crate::World::tasks)); when it ends, the object is looked at again at once.
    pub fn start(&mut self, name: &str, execution: Execution) -> &mut Self {
        self.effects.push(Effect::Start(Task { name: name.to_owned(), execution }));
        self
    }

    /// Ends the task of this name if it still runs, and forgets how it ended.
    pub fn forget(&mut self, name: &str) -> &mut Self {
        self.effects.push(Effect::Forget(name.to_owned()));
        self
    }

    /// Creates a Secret with random values where there is none.
    pub fn generate_secret(&mut self, secret: GeneratedSecret) -> &mut Self {
        self.effects.push(Effect::GenerateSecret(secret));
        self
    }

    /// Tells of something on the reconciled object.
    pub fn event(&mut self, severity: Severity, reason: &str, action: &str, message: impl Into<String>) -> &mut Self {
        self.events.push(Event { severity, reason: reason.to_owned(), action: action.to_owned(), message: message.into() });
        self
    }

    /// Asks the same reads again after this time, unless the plan comes back sooner anyway.
    pub fn after(&mut self, time: Duration) -> &mut Self {
        let time = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.next = match self.next {
            Next::After(sooner) if sooner <= time => Next::After(sooner),
            _ => Next::After(time),
        };
        self
    }

    /// Reconciles at this time.
    pub fn at(&mut self, time: Timestamp) -> &mut Self {
        self.next = Next::At(time);
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reference;

    #[test]
    fn an_application_is_addressed_by_its_manifest() {
        let mut plan = Plan::new();
        plan.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}));
        let Effect::Apply(application) = &plan.effects[0] else { panic!("not an application") };
        assert_eq!(application.object, reference("v1", "ConfigMap", "b", "a"));
        assert_eq!(application.uid, "");
    }

    #[test]
    fn the_sooner_of_two_times_counts() {
        let mut plan = Plan::new();
        plan.after(Duration::from_secs(5)).after(Duration::from_secs(30)).after(Duration::from_secs(2));
        assert_eq!(plan.next, Next::After(2_000));
    }
}
