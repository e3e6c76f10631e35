//! An object as the cache keeps it: the body pruned of what no reconciler decides by, the header taken out once.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;
use kube::core::{ApiResource, DynamicObject};
use serde_json::Value;

use super::{mask::Mask, secret};
use crate::{
    contract::{Header, Object, ReadError},
    gateway::ObjectKey,
};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object in the cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Its metadata, typed.
    pub header: Header,
    /// All of it, pruned. Of a Secret: digests in the place of values.
    pub body: Value,
}

impl Stored {
    /// Its name as a key.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::from(&self.header)
    }

    /// The place of this version among the object's versions. The API server's versions are numbers that grow.
    pub fn version(&self) -> u64 {
        self.header.resource_version.parse().unwrap_or(0)
    }

    /// As it crosses to a reconciler. A masked object's header keeps nothing that changes with what is masked out.
    ///
    /// # Errors
    /// When a field is not a JSON pointer.
    pub fn to_object(&self, fields: &[String]) -> Result<Object, ReadError> {
        let body = Mask::of(fields)?.written(&self.body);
        let mut header = self.header.clone();
        if !fields.is_empty() {
            header.resource_version.clear();
        }
        Ok(Object { header, body })
    }

    /// A digest of what an apply can change: everything but status and the server's bookkeeping.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = FixedState::default().build_hasher();
        if let Value::Object(fields) = &self.body {
            for (name, value) in fields.iter().filter(|(name, _)| *name != "status") {
                name.hash(&mut hasher);
                match value {
                    Value::Object(metadata) if name == "metadata" => {
                        metadata
                            .iter()
                            .filter(|(k, _)| !matches!(k.as_str(), "resourceVersion" | "generation"))
                            .for_each(|entry| entry.hash(&mut hasher));
                    }
                    _ => value.hash(&mut hasher),
                }
            }
        }
        hasher.finish()
    }

    /// A digest of the status.
    pub fn status_fingerprint(&self) -> u64 {
        FixedState::default().hash_one(self.body.get("status"))
    }
}

/// Takes in an object from the API server. `kind` fills what items of a list leave out.
pub fn from_dynamic(object: DynamicObject, kind: &ApiResource) -> Stored {
    let DynamicObject { mut metadata, data, .. } = object;
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
    let header = Header {
        api_version: kind.api_version.clone(),
        kind: kind.kind.clone(),
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        generation: metadata.generation.and_then(|g| u64::try_from(g).ok()).unwrap_or(0),
        deleting: metadata.deletion_timestamp.is_some(),
        labels: metadata.labels.clone().unwrap_or_default().into_iter().collect(),
    };
    let mut body = match data {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    if kind.kind == "Secret" && kind.api_version == "v1" {
        secret::redact(&mut body, &header.uid);
    }
    body.insert("apiVersion".into(), kind.api_version.clone().into());
    body.insert("kind".into(), kind.kind.clone().into());
    body.insert("metadata".into(), serde_json::to_value(&metadata).unwrap_or_default());
    Stored { header, body: Value::Object(body) }
}
