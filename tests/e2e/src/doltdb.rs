//! Manifests of small DoltDBs and of what belongs to them.

use std::env;

use serde_json::{Value, json};

/// The admin account of every DoltDB here.
pub const ADMIN: &str = "admin";

/// Its password. It looks like nothing else, so that it would be found wherever it doesn't belong.
pub const PASSWORD: &str = "Xq7-quartz-Lantern-93";

/// Repository and tag of the image with Dolt that the cluster has.
#[must_use]
pub fn image() -> (String, String) {
    let image = env::var("DOLT_IMAGE").unwrap_or_else(|_| "docker.io/dolthub/dolt:1.83.2".to_owned());
    let (repository, tag) = image.rsplit_once(':').unwrap_or((&image, "1.83.2"));
    (repository.to_owned(), tag.to_owned())
}

/// The version of Dolt that the cluster has.
#[must_use]
pub fn engine_version() -> String {
    image().1
}

/// One server.
#[must_use]
pub fn standalone(name: &str) -> Value {
    let (image, version) = image();
    json!({
        "apiVersion": "k8s.dolthub.com/v1alpha",
        "kind": "DoltDB",
        "metadata": {"name": name},
        "spec": {
            "engineVersion": version,
            "image": image,
            "replicas": 1,
            "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
            "storage": {"size": "256Mi"},
        },
    })
}

/// A primary and a standby.
#[must_use]
pub fn replicated(name: &str) -> Value {
    with(standalone(name), json!({"spec": {"replicas": 2, "replication": {"enabled": true}}}))
}

/// The Secret that a DoltDB needs.
#[must_use]
pub fn credentials(doltdb: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": format!("{doltdb}-credentials")},
        "stringData": {"admin-user": ADMIN, "admin-password": PASSWORD},
    })
}

/// A Database object of a DoltDB in the same namespace.
#[must_use]
pub fn database(name: &str, doltdb: &str, database: &str) -> Value {
    json!({
        "apiVersion": "k8s.dolthub.com/v1alpha",
        "kind": "Database",
        "metadata": {"name": name},
        "spec": {"doltDBRef": {"name": doltdb}, "name": database},
    })
}

/// A Secret with a password under the key `password`.
#[must_use]
pub fn password(name: &str, password: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"password": password}})
}

/// A User object for an account on a DoltDB in the same namespace, with the password in a Secret as [`password`] makes it.
#[must_use]
pub fn user(name: &str, doltdb: &str, account: &str, secret: &str) -> Value {
    json!({
        "apiVersion": "k8s.dolthub.com/v1alpha",
        "kind": "User",
        "metadata": {"name": name},
        "spec": {"doltDBRef": {"name": doltdb}, "name": account, "passwordSecretKeyRef": {"name": secret, "key": "password"}},
    })
}

/// A Grant object for an account on a DoltDB in the same namespace, for everything on the server.
#[must_use]
pub fn grant(name: &str, doltdb: &str, account: &str, privileges: &[&str]) -> Value {
    json!({
        "apiVersion": "k8s.dolthub.com/v1alpha",
        "kind": "Grant",
        "metadata": {"name": name},
        "spec": {"doltDBRef": {"name": doltdb}, "username": account, "privileges": privileges},
    })
}

/// A manifest with changes: a JSON merge patch, so null takes a field away.
#[must_use]
pub fn with(mut manifest: Value, changes: Value) -> Value {
    merge(&mut manifest, changes);
    manifest
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().and_then(|fields| fields.remove(&key));
        } else {
            merge(&mut target[key], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_merge_and_null_takes_away() {
        let changed = with(json!({"a": {"b": 1, "c": 2}, "d": [1]}), json!({"a": {"b": null, "e": {"f": 3}}, "d": [2]}));
        assert_eq!(changed, json!({"a": {"c": 2, "e": {"f": 3}}, "d": [2]}));
    }
}
