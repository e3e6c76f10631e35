//! One watch: a kind in one namespace, or in all, with the objects it has shown.
//!
//! Writes of this process are taken in as the API server answers them, so an older event of the watch must not undo a newer version,
//! and an event of a deleted object must not bring it back.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use kube::{
    Client,
    api::{Api, DynamicObject},
    core::ApiResource,
    runtime::{WatchStreamExt, watcher},
};
use tokio::sync::watch;

use super::{
    Change, Changes,
    object::{Stored, from_dynamic},
};
use crate::{contract::ReadError, gateway::ObjectKey, settings::Resource};

/// Ended objects that a scope remembers. What is on its way arrives within seconds, so this is plenty.
const ENDED_KEPT: usize = 4096;

/// What a watch covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ScopeKey {
    pub(super) api_version: String,
    pub(super) kind: String,
    /// Empty: all namespaces.
    pub(super) namespace: String,
}

impl ScopeKey {
    pub(super) fn new(resource: &Resource, namespace: &str) -> Self {
        Self { api_version: resource.api_version.clone(), kind: resource.kind.clone(), namespace: namespace.into() }
    }

    pub(super) fn holds(&self, object: &ObjectKey) -> bool {
        self.api_version == object.api_version
            && self.kind == object.kind
            && (self.namespace.is_empty() || self.namespace == object.namespace)
    }
}

#[derive(Default)]
struct Objects {
    by_name: BTreeMap<(String, String), Arc<Stored>>,
    /// Uids of objects that have ended: an answer or event that is still on its way must not bring one back.
    ended: HashSet<String>,
    /// The same in their order, so that the oldest can be forgotten.
    ended_in_order: VecDeque<String>,
}

impl Objects {
    fn end(&mut self, uid: &str) {
        if self.ended.insert(uid.to_owned()) {
            self.ended_in_order.push_back(uid.to_owned());
        }
        if self.ended_in_order.len() > ENDED_KEPT
            && let Some(oldest) = self.ended_in_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }
}

/// A watch and what it has shown.
pub(super) struct Scope {
    objects: Mutex<Objects>,
    /// Whether the first list is complete; before that, why not.
    state: watch::Sender<Result<(), String>>,
    changes: Changes,
}

impl Scope {
    /// Starts the watch. It goes on, with backoff, as long as the process lives.
    pub(super) fn start(client: Client, kind: ApiResource, key: ScopeKey, changes: Changes) -> Arc<Self> {
        let scope =
            Arc::new(Self { objects: Mutex::default(), state: watch::Sender::new(Err("the first list is not complete".into())), changes });
        let follower = scope.clone();
        tokio::spawn(async move {
            let api: Api<DynamicObject> =
                if key.namespace.is_empty() { Api::all_with(client, &kind) } else { Api::namespaced_with(client, &key.namespace, &kind) };
            let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
            let mut listed = BTreeMap::new();
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::Init) => listed.clear(),
                    Ok(watcher::Event::InitApply(object)) => {
                        let stored = from_dynamic(object, &kind);
                        listed.insert((stored.header.namespace.clone(), stored.header.name.clone()), stored);
                    }
                    Ok(watcher::Event::InitDone) => {
                        follower.replace(std::mem::take(&mut listed));
                        follower.state.send_modify(|state| *state = Ok(()));
                        follower.changes.count();
                        tracing::debug!(kind = %key.kind, namespace = %key.namespace, objects = follower.len(), "watch is complete");
                    }
                    Ok(watcher::Event::Apply(object)) => follower.put(from_dynamic(object, &kind)),
                    Ok(watcher::Event::Delete(object)) => {
                        let gone = from_dynamic(object, &kind).header;
                        follower.remove(&gone.namespace, &gone.name, &gone.uid);
                    }
                    Err(error) => {
                        tracing::warn!(kind = %key.kind, namespace = %key.namespace, %error, "watch failed; it will be tried again");
                        // Once complete, the cache stays readable: a stale answer is better than none, and effects have preconditions.
                        follower.state.send_if_modified(|state| {
                            if state.is_err() {
                                *state = Err(error.to_string());
                            }
                            false
                        });
                    }
                }
            }
        });
        scope
    }

    /// Waits for the first list.
    pub(super) async fn synced(&self, patience: Duration) -> Result<(), ReadError> {
        let mut state = self.state.subscribe();
        let complete = tokio::time::timeout(patience, state.wait_for(Result::is_ok)).await.is_ok_and(|r| r.is_ok());
        if complete {
            return Ok(());
        }
        let why = self.awaited().unwrap_or_default();
        Err(ReadError::Unavailable(format!("the watch is not established: {why}")))
    }

    /// Why the first list is not complete, if it is not.
    pub(super) fn awaited(&self) -> Option<String> {
        self.state.borrow().clone().err()
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<Stored>> {
        self.lock().by_name.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// The objects of a namespace; of all where it is empty.
    pub(super) fn all(&self, namespace: &str) -> Vec<Arc<Stored>> {
        self.lock().by_name.values().filter(|o| namespace.is_empty() || o.header.namespace == namespace).cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().by_name.len()
    }

    /// Takes in a version of an object, unless a newer one is there or the object has ended.
    pub(super) fn put(&self, stored: Stored) {
        let name = (stored.header.namespace.clone(), stored.header.name.clone());
        let change = {
            let mut objects = self.lock();
            if objects.ended.contains(&stored.header.uid) {
                return;
            }
            let before = objects.by_name.get(&name);
            if before.is_some_and(|b| b.version() > stored.version() || b.header.resource_version == stored.header.resource_version) {
                return;
            }
            let change =
                Change { object: stored.key(), labels: [before.map(|b| b.header.labels.clone()), Some(stored.header.labels.clone())] };
            objects.by_name.insert(name, Arc::new(stored));
            change
        };
        self.changes.tell(change);
    }

    /// Takes in that an object is gone; a namesake stays.
    pub(super) fn remove(&self, namespace: &str, name: &str, uid: &str) {
        let gone = {
            let mut objects = self.lock();
            let name = (namespace.to_owned(), name.to_owned());
            objects.end(uid);
            match objects.by_name.get(&name) {
                Some(stored) if stored.header.uid == uid => objects.by_name.remove(&name),
                _ => None,
            }
        };
        if let Some(gone) = gone {
            self.changes.tell(Change { object: gone.key(), labels: [Some(gone.header.labels.clone()), None] });
        }
    }

    /// Takes in a complete list.
    fn replace(&self, listed: BTreeMap<(String, String), Stored>) {
        let gone: Vec<_> = self.lock().by_name.iter().filter(|(name, _)| !listed.contains_key(*name)).map(|(_, o)| o.clone()).collect();
        for object in gone {
            self.remove(&object.header.namespace, &object.header.name, &object.header.uid);
        }
        listed.into_values().for_each(|stored| self.put(stored));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Objects> {
        self.objects.lock().expect("no holder of the lock can panic")
    }

    #[cfg(test)]
    fn unwatched() -> (Self, tokio::sync::mpsc::UnboundedReceiver<Change>) {
        let (changes, receiver) = Changes::new();
        (Self { objects: Mutex::default(), state: watch::Sender::new(Ok(())), changes }, receiver)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn version(uid: &str, version: u64) -> Stored {
        let kind = ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", "ConfigMap"));
        let object = json!({"metadata": {"namespace": "ns", "name": "x", "uid": uid, "resourceVersion": version.to_string()}});
        from_dynamic(serde_json::from_value(object).unwrap(), &kind)
    }

    #[test]
    fn an_older_event_does_not_undo_a_newer_write() {
        let (scope, mut changes) = Scope::unwatched();
        scope.put(version("a", 7));
        scope.put(version("a", 5));
        assert_eq!(scope.get("ns", "x").unwrap().version(), 7);
        assert!(changes.try_recv().is_ok());
        assert!(changes.try_recv().is_err(), "the older version told nobody");
    }

    #[test]
    fn the_answer_to_a_write_and_its_event_are_one_change() {
        let (scope, mut changes) = Scope::unwatched();
        scope.put(version("a", 7));
        scope.put(version("a", 7));
        assert!(changes.try_recv().is_ok());
        assert!(changes.try_recv().is_err());
    }

    #[test]
    fn a_late_event_does_not_bring_back_what_was_deleted() {
        let (scope, _changes) = Scope::unwatched();
        scope.put(version("a", 7));
        scope.remove("ns", "x", "a");
        scope.put(version("a", 8));
        assert!(scope.get("ns", "x").is_none());
        scope.replace(BTreeMap::new());
        scope.put(version("a", 8));
        assert!(scope.get("ns", "x").is_none(), "not after a new list either");
        scope.put(version("b", 9));
        assert_eq!(scope.get("ns", "x").unwrap().header.uid, "b", "a namesake may come");
    }

    #[test]
    fn the_oldest_ends_are_forgotten() {
        let (scope, _changes) = Scope::unwatched();
        (0..=ENDED_KEPT).for_each(|uid| scope.remove("ns", "x", &uid.to_string()));
        let objects = scope.lock();
        assert_eq!((objects.ended.len(), objects.ended_in_order.len()), (ENDED_KEPT, ENDED_KEPT));
        assert!(!objects.ended.contains("0"));
    }

    #[test]
    fn a_list_removes_what_it_does_not_hold() {
        let (scope, _changes) = Scope::unwatched();
        scope.put(version("a", 7));
        scope.replace(BTreeMap::new());
        assert_eq!(scope.len(), 0);
    }
}
