//! Who has read what, and applied what: both are subscriptions. From a change to the objects whose reconcile would see it, or would undo it.

use std::collections::HashSet;

use super::{Change, selector::matches};
use crate::{
    collections::{Map, Set},
    contract::{ObjectRef, Selection},
    gateway::{ObjectKey, Question, Read},
};

/// A reconciled object: the reconciler's slot and the object.
pub type Target = (String, ObjectKey);

/// What each target has read and applied in its last reconcile.
#[derive(Default)]
pub struct Index {
    objects: Map<ObjectKey, Set<Target>>,
    selections: Map<(String, String), Map<Target, Vec<Selection>>>,
    noted: Map<Target, Noted>,
}

#[derive(Default)]
struct Noted {
    /// What was asked, as it was asked: most often it is the same again.
    questions: Vec<Question>,
    read: Set<ObjectKey>,
    applied: Vec<ObjectRef>,
    /// Whether the last reconcile found all that applied. Where it has not come to that, its own changes are no news to it.
    found: bool,
}

/// The objects of a question.
fn objects(question: &Question) -> Vec<ObjectKey> {
    match question {
        Question::Get { object, .. } => vec![object.into()],
        Question::Secret { namespace, name } => vec![secret(namespace, name)],
        // The server of a query tells nobody of a change; the Secrets of its account and its authority do.
        Question::Query(queries) => queries
            .iter()
            .flat_map(|query| {
                let account = &query.endpoint.credentials;
                let authority = query.endpoint.tls.as_ref().map(|tls| tls.secret.as_str());
                authority.into_iter().chain([account.secret.as_str()]).map(|name| secret(&account.namespace, name))
            })
            .collect(),
        // The end of a task wakes its object by itself.
        Question::Select(_) | Question::Tasks | Question::Now => Vec::new(),
    }
}

impl Index {
    /// Replaces what a target has read and applied by what it has read now.
    pub fn record(&mut self, target: &Target, reads: &[Read]) {
        let questions = reads.iter().map(|read| &read.question);
        if let Some(noted) = self.noted.get_mut(target).filter(|noted| noted.questions.iter().eq(questions.clone())) {
            noted.found = false;
            return;
        }
        self.forget(target);
        let read: Set<ObjectKey> = questions.clone().flat_map(objects).collect();
        for object in &read {
            self.objects.entry(object.clone()).or_default().insert(target.clone());
        }
        for question in questions.clone() {
            if let Question::Select(selection) = question {
                let of_kind = self.selections.entry(kind(selection)).or_default();
                of_kind.entry(target.clone()).or_default().push(selection.clone());
            }
        }
        let noted = Noted { questions: questions.cloned().collect(), read, ..Noted::default() };
        self.noted.insert(target.clone(), noted);
    }

    /// Adds what a target found applied in the same reconcile.
    pub fn applied<'a>(&mut self, target: &Target, applied: impl Iterator<Item = &'a ObjectRef> + Clone) {
        let noted = self.noted.entry(target.clone()).or_default();
        noted.found = true;
        if noted.applied.iter().eq(applied.clone()) {
            return;
        }
        for object in std::mem::replace(&mut noted.applied, applied.cloned().collect()) {
            let object = ObjectKey::from(&object);
            if !noted.read.contains(&object) {
                leave(&mut self.objects, &object, target);
            }
        }
        for object in &noted.applied {
            self.objects.entry(object.into()).or_default().insert(target.clone());
        }
    }

    /// Removes a target.
    pub fn forget(&mut self, target: &Target) {
        let Some(Noted { questions, read, applied, .. }) = self.noted.remove(target) else { return };
        for object in read.into_iter().chain(applied.iter().map(ObjectKey::from)) {
            leave(&mut self.objects, &object, target);
        }
        for question in &questions {
            if let Question::Select(selection) = question
                && let Some(targets) = self.selections.get_mut(&kind(selection))
            {
                targets.remove(target);
            }
        }
    }

    /// The targets that a change concerns.
    pub fn concerned(&self, change: &Change) -> HashSet<Target> {
        let counts = |target: &Target| self.noted.get(target).is_some_and(|noted| noted.found || noted.read.contains(&change.object));
        let of_object = self.objects.get(&change.object).into_iter().flatten();
        let mut concerned: HashSet<Target> = of_object.filter(|target| counts(target)).cloned().collect();
        let kind = (change.object.api_version.clone(), change.object.kind.clone());
        for (target, selections) in self.selections.get(&kind).into_iter().flatten() {
            let seen = |s: &Selection| {
                (s.namespace.is_empty() || s.namespace == change.object.namespace)
                    && change.labels.iter().flatten().any(|labels| matches(&s.labels, labels))
            };
            if selections.iter().any(seen) {
                concerned.insert(target.clone());
            }
        }
        concerned
    }
}

fn leave(objects: &mut Map<ObjectKey, Set<Target>>, object: &ObjectKey, target: &Target) {
    if let Some(targets) = objects.get_mut(object) {
        targets.remove(target);
        if targets.is_empty() {
            objects.remove(object);
        }
    }
}

fn kind(selection: &Selection) -> (String, String) {
    (selection.kind.api_version.clone(), selection.kind.kind.clone())
}

fn secret(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::new("v1", "Secret", namespace, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        contract::{Credentials, Endpoint, Kind, Operator, Query, Requirement, Tls},
        gateway::{Answer, Listed},
    };

    fn key(kind: &str, name: &str) -> ObjectKey {
        ObjectKey::new("v1", kind, "ns", name)
    }

    fn named(kind: &str, name: &str) -> ObjectRef {
        ObjectRef::from(&key(kind, name))
    }

    fn target() -> Target {
        ("slot".into(), key("Thing", "x"))
    }

    fn get(kind: &str, name: &str) -> Read {
        Read { question: Question::Get { object: named(kind, name), fields: vec![] }, answer: Answer::Get(Ok(None)) }
    }

    fn select_app(app: &str) -> Read {
        let labels = vec![Requirement { key: "app".into(), operator: Operator::In, values: vec![app.into()] }];
        let kind = Kind { api_version: "v1".into(), kind: "Pod".into() };
        let selection = Selection { kind, namespace: "ns".into(), labels, fields: vec![], limit: 0, page: None };
        Read { question: Question::Select(selection), answer: Answer::Select(Ok(Listed { objects: vec![], next: None })) }
    }

    fn changed(kind: &str, name: &str, before: Option<&str>, after: Option<&str>) -> Change {
        let labels = [before, after].map(|app| app.map(|app| vec![("app".to_owned(), app.to_owned())]));
        Change { object: key(kind, name), labels }
    }

    #[rstest::rstest]
    #[case::read_by_name(changed("ConfigMap", "c", None, None), true)]
    #[case::another_name(changed("ConfigMap", "d", None, None), false)]
    #[case::another_kind(changed("Service", "c", None, None), false)]
    #[case::selected(changed("Pod", "p", Some("a"), Some("a")), true)]
    #[case::enters_the_selection(changed("Pod", "p", Some("b"), Some("a")), true)]
    #[case::leaves_the_selection(changed("Pod", "p", Some("a"), Some("b")), true)]
    #[case::deleted(changed("Pod", "p", Some("a"), None), true)]
    #[case::not_selected(changed("Pod", "p", Some("b"), Some("b")), false)]
    fn a_change_concerns_who_would_see_it(#[case] change: Change, #[case] expected: bool) {
        let mut index = Index::default();
        index.record(&target(), &[get("ConfigMap", "c"), select_app("a")]);
        assert_eq!(index.concerned(&change).contains(&target()), expected);
    }

    #[test]
    fn a_query_is_read_again_when_a_secret_of_its_endpoint_changes() {
        let credentials =
            Credentials { namespace: "ns".into(), secret: "account".into(), user_key: "user".into(), password_key: "password".into() };
        let tls = Some(Tls { secret: "authority".into(), key: "ca.crt".into(), plaintext: false });
        let endpoint = Endpoint { host: "db".into(), port: 3306, credentials, tls };
        let query = Query { endpoint, database: None, statements: vec![], deadline: 1, max_rows: 1 };
        let mut index = Index::default();
        index.record(&target(), &[Read { question: Question::Query(vec![query].into()), answer: Answer::Query(vec![].into()) }]);
        for (secret, expected) in [("account", 1), ("authority", 1), ("other", 0)] {
            assert_eq!(index.concerned(&changed("Secret", secret, None, None)).len(), expected, "{secret}");
        }
    }

    #[test]
    fn a_change_concerns_who_has_applied_it() {
        let mut index = Index::default();
        index.record(&target(), &[get("ConfigMap", "c")]);
        index.applied(&target(), [named("Service", "s")].iter());
        for name in ["c", "s"] {
            let kind = if name == "c" { "ConfigMap" } else { "Service" };
            assert_eq!(index.concerned(&changed(kind, name, None, None)).len(), 1, "{name}");
        }
        index.record(&target(), &[]);
        assert!(index.concerned(&changed("Service", "s", None, None)).is_empty());
    }

    #[test]
    fn what_was_applied_before_the_same_reads_concerns_nobody() {
        let mut index = Index::default();
        for _ in 0..2 {
            index.record(&target(), &[get("ConfigMap", "c")]);
            assert!(index.concerned(&changed("Service", "s", None, None)).is_empty());
            index.applied(&target(), [named("Service", "s"), named("ConfigMap", "c")].iter());
        }
        index.record(&target(), &[get("ConfigMap", "c")]);
        assert_eq!(index.concerned(&changed("ConfigMap", "c", None, None)).len(), 1, "it is read, too");
    }

    #[test]
    fn only_the_last_reconcile_counts() {
        let mut index = Index::default();
        index.record(&target(), &[get("ConfigMap", "c"), select_app("a")]);
        index.record(&target(), &[get("ConfigMap", "d")]);
        assert!(index.concerned(&changed("ConfigMap", "c", None, None)).is_empty());
        assert!(index.concerned(&changed("Pod", "p", Some("a"), Some("a"))).is_empty());
        assert_eq!(index.concerned(&changed("ConfigMap", "d", None, None)).len(), 1);
        index.forget(&target());
        assert!(index.concerned(&changed("ConfigMap", "d", None, None)).is_empty());
    }
}
