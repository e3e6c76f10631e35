//! Secrets: digests for reconcilers, values for the rooms that fill them in. The cache never holds a value.

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{DigestKey, Stored};
use crate::{
    contract::SecretDigest,
    sql::{SecretError, Secrets},
};

const DIGESTS: &str = "digests";

/// Puts digests in the place of values, an empty one in the place of an empty value. These stay in the cache: they are not keyed. The uid of the
/// Secret is mixed in, so that equal values of two Secrets have different digests.
pub(super) fn redact(body: &mut Map<String, Value>, uid: &str) {
    let data = body.remove("data");
    body.remove("stringData");
    let mut digests = Map::new();
    for (key, value) in data.as_ref().and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let mut hasher = Sha256::new();
        for part in [uid, "/", key.as_str(), "/", value] {
            hasher.update(part);
        }
        let digest = if value.is_empty() { String::new() } else { hex::encode(hasher.finalize()) };
        digests.insert(key.clone(), digest.into());
    }
    body.insert(DIGESTS.into(), Value::Object(digests));
}

/// The digests of a redacted Secret, keyed. An empty value has an empty one, whatever the key is.
pub(super) fn digests(stored: &Stored, key: &DigestKey) -> Vec<SecretDigest> {
    let digests = stored.body.get(DIGESTS).and_then(Value::as_object).into_iter().flatten();
    let keyed = |digest: &str| if digest.is_empty() { String::new() } else { key.digest(digest) };
    digests.map(|(name, digest)| SecretDigest { key: name.clone(), digest: keyed(digest.as_str().unwrap_or_default()) }).collect()
}

type Values = std::collections::BTreeMap<String, Vec<u8>>;

/// Values of Secrets, read when they are needed and kept as long as the Secret's version stays.
pub struct SecretValues {
    client: Client,
    cluster: std::sync::Arc<super::Cluster>,
    known: Mutex<HashMap<(String, String), (String, Values)>>,
}

impl SecretValues {
    /// Reads with `client`; `cluster` tells when a Secret has changed.
    pub fn new(client: Client, cluster: std::sync::Arc<super::Cluster>) -> Self {
        Self { client, cluster, known: Mutex::default() }
    }
}

#[async_trait]
impl Secrets for SecretValues {
    async fn value(&self, namespace: &str, name: &str, key: &str) -> Result<Option<Vec<u8>>, SecretError> {
        let failed = |message: String| SecretError { namespace: namespace.into(), name: name.into(), message };
        let reference =
            crate::contract::ObjectRef { api_version: "v1".into(), kind: "Secret".into(), namespace: namespace.into(), name: name.into() };
        let place = (namespace.to_owned(), name.to_owned());
        let Some(stored) = self.cluster.stored(&reference).await.map_err(|e| failed(e.to_string()))? else {
            self.known.lock().expect("no holder of the lock can panic").remove(&place);
            return Ok(None);
        };
        let version = stored.header.resource_version.clone();
        if let Some((known, values)) = self.known.lock().expect("no holder of the lock can panic").get(&place)
            && *known == version
        {
            return Ok(values.get(key).cloned());
        }
        let secret = Api::<Secret>::namespaced(self.client.clone(), namespace).get_opt(name).await.map_err(|e| failed(e.to_string()))?;
        let Some(secret) = secret else { return Ok(None) };
        let values: Values = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
        let value = values.get(key).cloned();
        let version = secret.metadata.resource_version.unwrap_or_default();
        self.known.lock().expect("no holder of the lock can panic").insert(place, (version, values));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use kube::core::{ApiResource, GroupVersionKind};
    use serde_json::json;

    use super::{super::from_dynamic, *};

    fn secret(uid: &str, password: &str) -> Stored {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret"));
        let object = json!({"metadata": {"name": "s", "namespace": "ns", "uid": uid}, "data": {"password": password}});
        from_dynamic(serde_json::from_value(object).unwrap(), &kind)
    }

    #[test]
    fn no_value_is_kept() {
        assert!(!secret("u", "aHVudGVyMg==").body.to_string().contains("aHVudGVyMg"));
    }

    #[test]
    fn what_the_cache_holds_is_not_what_is_shown() {
        let stored = secret("u", "YQ==");
        let shown = digests(&stored, &DigestKey::random().unwrap());
        assert!(!stored.body.to_string().contains(&shown[0].digest), "whoever knows the value could make it");
        assert_ne!(shown, digests(&stored, &DigestKey::random().unwrap()), "the key counts");
    }

    #[test]
    fn an_empty_value_has_an_empty_digest() {
        assert_eq!(digests(&secret("u", ""), &DigestKey::random().unwrap())[0].digest, "");
    }

    #[test]
    fn a_digest_changes_with_the_value_and_only_with_it() {
        let key = DigestKey::random().unwrap();
        let digests = |uid, password| digests(&secret(uid, password), &key);
        assert_eq!(digests("u", "YQ=="), digests("u", "YQ=="));
        assert_ne!(digests("u", "YQ=="), digests("u", "Yg=="));
        assert_ne!(digests("u", "YQ=="), digests("v", "YQ=="), "digests of two Secrets tell nothing of each other");
    }
}
