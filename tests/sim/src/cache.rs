//! What the host sees of the cluster: a list when it starts, then changes, each some time after it happened, and its own writes at once.

use std::sync::Arc;

use host::{
    cluster::{Change as Wake, Stored},
    contract::{Operator, ReadError, Requirement, SecretDigest, SecretRef, Selection},
    gateway::{Listed, Seen},
};
use serde_json::Value;

use crate::{
    api::{Api, Change, key},
    dolt::hash,
    name::{ByName, Name},
};

/// The cache of one life of the host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cache {
    objects: ByName<Known>,
    /// Changes that the controllers have not been told of.
    news: Vec<Wake>,
    /// Changes at all.
    revision: u64,
}

/// What is known of an object.
#[derive(Debug, Clone, Default)]
struct Known {
    version: u64,
    /// None where it is known to be gone.
    object: Option<Arc<Stored>>,
    /// As it crossed to reconcilers, by mask: they look at it more often than it changes.
    views: Vec<(Vec<String>, Seen)>,
    fingerprints: [Option<u64>; 2],
    /// What reconcilers see of it, if it is a Secret and was asked for.
    digests: Option<Vec<SecretDigest>>,
}

impl Known {
    fn view(&mut self, fields: &[String]) -> Result<Option<Seen>, ReadError> {
        let Some(object) = &self.object else { return Ok(None) };
        if let Some((_, view)) = self.views.iter().find(|(mask, _)| mask == fields) {
            return Ok(Some(view.clone()));
        }
        let view = Seen::from(object.to_object(fields)?);
        self.views.push((fields.to_vec(), view.clone()));
        Ok(Some(view))
    }
}

impl Cache {
    /// A list that lacks the last `stale` changes, and the place in the history from which on changes have to be delivered.
    pub(crate) fn listed(api: &Api, stale: usize) -> (Self, usize) {
        let (objects, from) = api.earlier(stale);
        let mut cache = Self::default();
        for (key, object) in objects {
            cache.put(&Change { version: object.version(), key, object: Some(object), is_new: false });
        }
        (cache, from)
    }

    /// Takes in a change, unless a newer one is known.
    pub(crate) fn put(&mut self, change: &Change) {
        let before = self.objects.get(&change.key);
        if before.is_some_and(|known| known.version >= change.version) {
            return;
        }
        let labels = |object: Option<&Arc<Stored>>| object.map(|object| object.header.labels.clone());
        let labels = [labels(before.and_then(|known| known.object.as_ref())), labels(change.object.as_ref())];
        self.revision += 1;
        self.news.push(Wake { object: change.key.clone(), labels });
        let known = Known { version: change.version, object: change.object.clone(), ..Known::default() };
        self.objects.insert(change.key.clone(), known);
    }

    /// What the controllers have to be told.
    pub(crate) fn take_news(&mut self) -> Vec<Wake> {
        std::mem::take(&mut self.news)
    }

    /// How often anything has changed in it.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    pub(crate) fn stored(&self, name: &dyn Name) -> Option<&Arc<Stored>> {
        self.objects.get(name).and_then(|known| known.object.as_ref())
    }

    /// A digest of what an apply can change, of the object or of its status.
    pub(crate) fn fingerprint(&mut self, name: &dyn Name, of_status: bool) -> Option<u64> {
        let Known { object: Some(object), fingerprints, .. } = self.objects.get_mut(name)? else { return None };
        let fingerprint = || if of_status { object.status_fingerprint() } else { object.fingerprint() };
        Some(*fingerprints[usize::from(of_status)].get_or_insert_with(fingerprint))
    }

    pub(crate) fn get(&mut self, name: &dyn Name, fields: &[String]) -> Result<Option<Seen>, ReadError> {
        self.objects.get_mut(name).map_or(Ok(None), |known| known.view(fields))
    }

    pub(crate) fn select(&mut self, selection: &Selection) -> Result<Listed, ReadError> {
        let found = self.objects.iter_mut().filter(|(key, known)| {
            key.kind == selection.kind.kind
                && key.api_version == selection.kind.api_version
                && (selection.namespace.is_empty() || key.namespace == selection.namespace)
                && known.object.as_ref().is_some_and(|object| matches(&selection.labels, &object.header.labels))
        });
        let mut found: Vec<_> = found.collect();
        found.sort_unstable_by_key(|(key, _)| *key);
        let objects = found.into_iter().filter_map(|(_, known)| known.view(&selection.fields).transpose()).collect::<Result<_, _>>()?;
        Ok(Listed { objects, next: None })
    }

    pub(crate) fn secret(&mut self, namespace: &str, name: &str) -> Option<Vec<SecretDigest>> {
        let Known { object: Some(object), digests, .. } = self.objects.get_mut(&key("v1", "Secret", namespace, name))? else { return None };
        let digest = |value: &Value| hash(("digest", value.as_str().unwrap_or_default()));
        let all = || {
            let values = object.body["data"].as_object().into_iter().flatten();
            values.map(|(key, value)| SecretDigest { key: key.clone(), digest: digest(value) }).collect()
        };
        Some(digests.get_or_insert_with(all).clone())
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
