//! The cluster as reconcilers see it: one watch per kind and scope, started by the first read, and a cache of pruned objects.
//!
//! Knows nothing of what reconcilers do with what they read, and never writes to the API server.

mod digest_key;
mod index;
mod mask;
mod object;
mod scope;
mod secret;
mod selector;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kube::{
    Client,
    core::{ApiResource, GroupVersionKind},
};
use tokio::sync::mpsc;

pub use self::{
    digest_key::{DigestKey, DigestKeyError},
    index::{Index, Target},
    object::{Stored, from_dynamic},
    secret::SecretValues,
};
use self::{
    scope::{Scope, ScopeKey},
    selector::matches,
};
use crate::{
    contract::{Object, ObjectRef, ReadError, SecretDigest, Selection},
    gateway::{Listed, ObjectKey, Seen},
    settings::Resource,
};

/// How long a first read waits for the initial list of its scope.
const SYNC_WAIT: Duration = Duration::from_secs(20);
/// Objects in one page, at most.
const PAGE: usize = 500;

/// Something changed: the object, and its labels before and after, which decide whose selections it concerns.
#[derive(Debug, Clone)]
pub struct Change {
    /// What changed.
    pub object: ObjectKey,
    /// Its labels before and after. Equal where only the rest changed.
    pub labels: [Option<Vec<(String, String)>>; 2],
}

/// Where changes go to. They are counted, too.
#[derive(Clone)]
struct Changes {
    told: mpsc::UnboundedSender<Change>,
    count: Arc<AtomicU64>,
}

impl Changes {
    fn new() -> (Self, mpsc::UnboundedReceiver<Change>) {
        let (told, receiver) = mpsc::unbounded_channel();
        (Self { told, count: Arc::default() }, receiver)
    }

    /// Tells of what can be read already. Whoever has counted before it was counted is told after that.
    fn tell(&self, change: Change) {
        self.count();
        // Without a receiver the host is shutting down.
        let _ = self.told.send(change);
    }

    /// Counts what concerns nobody by name: a watch has begun to know what there is.
    fn count(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }
}

/// Watches and cache.
pub struct Cluster {
    client: Client,
    kinds: HashMap<(String, String), Resource>,
    /// Watched namespaces; empty: all.
    namespaces: Vec<String>,
    digest_key: DigestKey,
    scopes: Mutex<HashMap<ScopeKey, Arc<Scope>>>,
    changes: Changes,
}

impl Cluster {
    /// A cache of `kinds`, with digests of Secrets made with `digest_key`. Nothing is watched yet. Changes of what is watched go to the receiver.
    pub fn new(
        client: Client,
        kinds: impl IntoIterator<Item = Resource>,
        namespaces: Vec<String>,
        digest_key: DigestKey,
    ) -> (Self, mpsc::UnboundedReceiver<Change>) {
        let (changes, receiver) = Changes::new();
        let kinds = kinds.into_iter().map(|r| ((r.api_version.clone(), r.kind.clone()), r)).collect();
        (Self { client, kinds, namespaces, digest_key, scopes: Mutex::default(), changes }, receiver)
    }

    /// How the API server serves a kind; none for a kind that no grant names.
    pub fn resource(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.kinds.get(&(api_version.to_owned(), kind.to_owned()))
    }

    /// The object, if it exists.
    ///
    /// # Errors
    /// When no grant names the kind, or its watch cannot be established.
    pub async fn stored(&self, object: &ObjectRef) -> Result<Option<Arc<Stored>>, ReadError> {
        let scope = self.scope(&object.api_version, &object.kind, &object.namespace).await?;
        Ok(scope.get(&object.namespace, &object.name))
    }

    /// The object with its body masked to `fields`.
    ///
    /// # Errors
    /// As [`Cluster::stored`], and for a malformed mask.
    pub async fn get(&self, object: &ObjectRef, fields: &[String]) -> Result<Option<Object>, ReadError> {
        self.stored(object).await?.map(|stored| stored.to_object(fields)).transpose()
    }

    /// A page of the objects that match, by namespace and name.
    ///
    /// # Errors
    /// As [`Cluster::stored`], and for a malformed mask or page.
    pub async fn select(&self, selection: &Selection) -> Result<Listed, ReadError> {
        let mut found = Vec::new();
        for namespace in self.reach(selection) {
            let scope = self.scope(&selection.kind.api_version, &selection.kind.kind, &namespace).await?;
            found.extend(scope.all(&selection.namespace).into_iter().filter(|o| matches(&selection.labels, &o.header.labels)));
        }
        found.sort_by(|a, b| (&a.header.namespace, &a.header.name).cmp(&(&b.header.namespace, &b.header.name)));
        let start = match &selection.page {
            Some(page) => page.parse().map_err(|_| ReadError::Invalid(format!("page {page:?} is not one that this host gave")))?,
            None => 0_usize,
        };
        let limit = if selection.limit == 0 { PAGE } else { PAGE.min(selection.limit as usize) };
        let end = found.len().min(start.saturating_add(limit));
        let objects = found
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .map(|o| o.to_object(&selection.fields).map(Seen::from))
            .collect::<Result<_, _>>()?;
        Ok(Listed { objects, next: (end < found.len()).then(|| end.to_string()) })
    }

    /// Keys and digests of a Secret.
    ///
    /// # Errors
    /// As [`Cluster::stored`].
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        let reference = ObjectRef { api_version: "v1".into(), kind: "Secret".into(), namespace: namespace.into(), name: name.into() };
        Ok(self.stored(&reference).await?.map(|stored| secret::digests(&stored, &self.digest_key)))
    }

    /// How often anything has changed in the cache.
    pub fn revision(&self) -> u64 {
        self.changes.count.load(Ordering::SeqCst)
    }

    /// Starts to watch a kind in every namespace that this host watches, and waits for the first list.
    ///
    /// # Errors
    /// As [`Cluster::stored`].
    pub async fn watch(&self, resource: &Resource) -> Result<(), ReadError> {
        for namespace in self.everywhere() {
            self.scope(&resource.api_version, &resource.kind, &namespace).await?;
        }
        Ok(())
    }

    /// Takes in what the API server answered to a write, so that the next read sees it.
    pub fn observe(&self, stored: Stored) {
        for scope in self.scopes_of(&stored.key()) {
            scope.put(stored.clone());
        }
    }

    /// Takes in that an object is gone.
    pub fn forget(&self, object: &ObjectKey, uid: &str) {
        for scope in self.scopes_of(object) {
            scope.remove(&object.namespace, &object.name, uid);
        }
    }

    /// The objects of a kind in the cache, for the metrics.
    pub fn all(&self, kind: &Resource) -> Vec<Arc<Stored>> {
        let scopes = self.scopes.lock().expect("no holder of the lock can panic");
        let of_kind = scopes.iter().filter(|(key, _)| key.api_version == kind.api_version && key.kind == kind.kind);
        let objects: HashMap<String, Arc<Stored>> =
            of_kind.flat_map(|(_, scope)| scope.all("")).map(|object| (object.header.uid.clone(), object)).collect();
        objects.into_values().collect()
    }

    /// Objects in the cache by kind, for the metrics.
    pub fn sizes(&self) -> HashMap<String, usize> {
        let mut sizes = HashMap::new();
        for (key, scope) in self.scopes.lock().expect("no holder of the lock can panic").iter() {
            *sizes.entry(key.kind.clone()).or_default() += scope.len();
        }
        sizes
    }

    fn everywhere(&self) -> Vec<String> {
        if self.namespaces.is_empty() { vec![String::new()] } else { self.namespaces.clone() }
    }

    /// The scopes that a selection needs: its namespace, or all watched ones.
    fn reach(&self, selection: &Selection) -> Vec<String> {
        let scoped = self.resource(&selection.kind.api_version, &selection.kind.kind).is_some_and(|r| r.cluster_scoped);
        match () {
            () if scoped => vec![String::new()],
            () if selection.namespace.is_empty() => self.everywhere(),
            () => vec![selection.namespace.clone()],
        }
    }

    fn scopes_of(&self, object: &ObjectKey) -> Vec<Arc<Scope>> {
        let scopes = self.scopes.lock().expect("no holder of the lock can panic");
        scopes.iter().filter(|(key, _)| key.holds(object)).map(|(_, scope)| scope.clone()).collect()
    }

    /// The scope that holds objects of a kind in a namespace: an existing one, or a new watch; with its first list done.
    async fn scope(&self, api_version: &str, kind: &str, namespace: &str) -> Result<Arc<Scope>, ReadError> {
        let resource = self.resource(api_version, kind).ok_or_else(|| ReadError::Denied(format!("no grant names {api_version} {kind}")))?;
        let namespace = if resource.cluster_scoped { "" } else { namespace };
        if !namespace.is_empty() && !self.namespaces.is_empty() && !self.namespaces.iter().any(|n| n == namespace) {
            return Err(ReadError::Denied(format!("namespace {namespace} is not watched")));
        }
        let scope = {
            let mut scopes = self.scopes.lock().expect("no holder of the lock can panic");
            let wide = ScopeKey::new(resource, "");
            let narrow = ScopeKey::new(resource, namespace);
            match scopes.get(&wide).or_else(|| scopes.get(&narrow)) {
                Some(scope) => scope.clone(),
                None => {
                    let scope = Scope::start(self.client.clone(), api_resource(resource), narrow.clone(), self.changes.clone());
                    scopes.insert(narrow, scope.clone());
                    scope
                }
            }
        };
        scope.synced(SYNC_WAIT).await?;
        Ok(scope)
    }
}

/// A resource in kube's terms.
pub fn api_resource(resource: &Resource) -> ApiResource {
    let (group, version) = resource.api_version.rsplit_once('/').unwrap_or(("", &resource.api_version));
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, &resource.kind), &resource.resource)
}
