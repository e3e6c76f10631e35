//! What the host sees of the cluster: a list when it starts, then changes, each some time after it happened, and its own writes at once.

use std::{collections::BTreeMap, sync::Arc};

use host::{
    cluster::{Change as Wake, Stored},
    contract::{Object, ObjectRef, Operator, Page, ReadError, Requirement, SecretDigest, SecretRef, Selection},
    gateway::ObjectKey,
};
use serde_json::Value;

use crate::{
    api::{Api, Change, key},
    dolt::hash,
};

/// The cache of one life of the host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cache {
    /// With the version that is known; none where it is known to be gone.
    objects: BTreeMap<ObjectKey, (u64, Option<Arc<Stored>>)>,
    /// Changes that the controllers have not been told of.
    news: Vec<Wake>,
}

impl Cache {
    /// A list that lacks the last `stale` changes, and the place in the history from which on changes have to be delivered.
    pub(crate) fn listed(api: &Api, stale: usize) -> (Self, usize) {
        let (objects, from) = api.earlier(stale);
        let mut cache = Self::default();
        for (key, object) in objects {
            cache.put(&Change { version: object.version(), key, object: Some(object) });
        }
        (cache, from)
    }

    /// Takes in a change, unless a newer one is known.
    pub(crate) fn put(&mut self, change: &Change) {
        let before = self.objects.get(&change.key);
        if before.is_some_and(|(version, _)| *version >= change.version) {
            return;
        }
        let labels = |object: Option<&Arc<Stored>>| object.map(|object| object.header.labels.clone());
        let labels = [labels(before.and_then(|(_, object)| object.as_ref())), labels(change.object.as_ref())];
        self.news.push(Wake { object: change.key.clone(), labels });
        self.objects.insert(change.key.clone(), (change.version, change.object.clone()));
    }

    /// What the controllers have to be told.
    pub(crate) fn take_news(&mut self) -> Vec<Wake> {
        std::mem::take(&mut self.news)
    }

    pub(crate) fn stored(&self, key: &ObjectKey) -> Option<&Arc<Stored>> {
        self.objects.get(key).and_then(|(_, object)| object.as_ref())
    }

    pub(crate) fn fingerprint(&self, key: &ObjectKey) -> Option<u64> {
        self.stored(key).map(|stored| stored.fingerprint())
    }

    pub(crate) fn get(&self, object: &ObjectRef, fields: &[String]) -> Result<Option<Object>, ReadError> {
        self.stored(&object.into()).map(|stored| stored.to_object(fields)).transpose()
    }

    pub(crate) fn select(&self, selection: &Selection) -> Result<Page, ReadError> {
        let found = self.objects.iter().filter(|(key, _)| {
            key.api_version == selection.kind.api_version
                && key.kind == selection.kind.kind
                && (selection.namespace.is_empty() || key.namespace == selection.namespace)
        });
        let found = found.filter_map(|(_, (_, object))| object.as_ref()).filter(|object| matches(&selection.labels, &object.header.labels));
        Ok(Page { objects: found.map(|object| object.to_object(&selection.fields)).collect::<Result<_, _>>()?, next: None })
    }

    pub(crate) fn secret(&self, namespace: &str, name: &str) -> Option<Vec<SecretDigest>> {
        let stored = self.stored(&key("v1", "Secret", namespace, name))?;
        let values = stored.body["data"].as_object().into_iter().flatten();
        let digest = |value: &Value| hash(("digest", value.as_str().unwrap_or_default()));
        Some(values.map(|(key, value)| SecretDigest { key: key.clone(), digest: digest(value) }).collect())
    }

    /// The value of a key of a Secret.
    pub(crate) fn secret_value(&self, secret: &SecretRef) -> Option<String> {
        let stored = self.stored(&key("v1", "Secret", &secret.namespace, &secret.name))?;
        stored.body["data"][&secret.key].as_str().map(ToOwned::to_owned)
    }
}

fn matches(requirements: &[Requirement], labels: &[(String, String)]) -> bool {
    requirements.iter().all(|requirement| {
        let value = labels.iter().find(|(key, _)| *key == requirement.key).map(|(_, value)| value);
        match requirement.operator {
            Operator::In => value.is_some_and(|v| requirement.values.contains(v)),
            Operator::NotIn => value.is_none_or(|v| !requirement.values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    })
}
