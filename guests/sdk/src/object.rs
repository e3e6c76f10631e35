//! Objects: bodies as Rust types, references to them, owner references.

use std::borrow::Cow;

use memchr::memmem;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{Failure, Header, Json, Object, ObjectRef, Request, object};

/// An object with its body as a Rust type. The type names the fields that the reader wants; the rest is ignored.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed<T> {
    /// Name, uid, labels and so on.
    pub header: Header,
    /// The body.
    pub body: T,
}

impl<T: DeserializeOwned> TryFrom<Object> for Typed<T> {
    type Error = Failure;

    fn try_from(object: Object) -> Result<Self, Failure> {
        let body = body(&object)?;
        Ok(Self { header: object.header, body })
    }
}

impl<T: DeserializeOwned> TryFrom<&Object> for Typed<T> {
    type Error = Failure;

    fn try_from(object: &Object) -> Result<Self, Failure> {
        Ok(Self { header: object.header.clone(), body: body(object)? })
    }
}

fn body<T: DeserializeOwned>(object: &Object) -> Result<T, Failure> {
    without_nulls(&object.body).and_then(|body| serde_json::from_str(&body)).map_err(|error| {
        // Where it stands in a text that nobody sees helps nobody.
        let error = error.to_string();
        let why = error.rsplit_once(" at line ").map_or(error.as_str(), |(why, _)| why);
        Failure {
            reason: "UnreadableObject".to_owned(),
            message: format!("cannot read {} {}: {why}", object.header.kind, object.header.qualified_name()),
        }
    })
}

/// In Kubernetes a field that is null is a field that is not there. Types with defaults see no difference then. Most bodies have none.
fn without_nulls(body: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    if memmem::find(body.as_bytes(), b"null").is_none() {
        return Ok(body.into());
    }
    Ok(serde_json::to_string(&pruned(serde_json::from_str(body)?))?.into())
}

fn pruned(body: Value) -> Value {
    match body {
        Value::Object(fields) => {
            fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key, pruned(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(pruned).collect(),
        other => other,
    }
}

impl Header {
    /// `namespace/name`, or the name of a cluster-scoped object.
    pub fn qualified_name(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// A reference to the object.
    pub fn reference(&self) -> ObjectRef {
        reference(&self.api_version, &self.kind, &self.namespace, &self.name)
    }
}

impl Request {
    /// The reconciled object as a Rust type.
    ///
    /// # Errors
    /// When its body does not fit the type.
    pub fn object_as<T: DeserializeOwned>(&self) -> Result<Typed<T>, Failure> {
        (&self.object).try_into()
    }

    /// The reconciler's settings as a Rust type.
    ///
    /// # Errors
    /// When they do not fit the type.
    pub fn settings_as<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.settings)
            .map_err(|error| Failure { reason: "InvalidSettings".to_owned(), message: format!("the settings are wrong: {error}") })
    }
}

/// A reference to an object by what stands in its manifest. `namespace` is empty for a cluster-scoped object.
pub fn reference(api_version: &str, kind: &str, namespace: &str, name: &str) -> ObjectRef {
    ObjectRef { api_version: api_version.to_owned(), kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
}

/// The entry of `metadata.ownerReferences` by which an object belongs to `owner` and is deleted with it.
pub fn owner_reference(owner: &Header) -> OwnerReference<'_> {
    OwnerReference {
        api_version: &owner.api_version,
        block_owner_deletion: true,
        controller: true,
        kind: &owner.kind,
        name: &owner.name,
        uid: &owner.uid,
    }
}

/// An entry of `metadata.ownerReferences` that is to be written.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerReference<'a> {
    api_version: &'a str,
    block_owner_deletion: bool,
    controller: bool,
    kind: &'a str,
    name: &'a str,
    uid: &'a str,
}

impl Json for OwnerReference<'_> {
    fn write(self, out: &mut String) {
        let Self { api_version, block_owner_deletion, controller, kind, name, uid } = self;
        let reference = object! {
            "apiVersion": api_version,
            "blockOwnerDeletion": block_owner_deletion,
            "controller": controller,
            "kind": kind,
            "name": name,
            "uid": uid,
        };
        reference.write(out);
    }
}

/// `metadata.ownerReferences` of an object, as far as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Owners(Vec<Owner>);

/// An owner of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Owner {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Whether it controls the object. At most one does.
    pub controller: bool,
}

impl Owners {
    /// Whether an object is one of them.
    pub fn include(&self, owner: &Header) -> bool {
        self.0.iter().any(|one| one.uid == owner.uid)
    }

    /// The one that controls the object.
    pub fn controller(&self) -> Option<&Owner> {
        self.0.iter().find(|owner| owner.controller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct Body {
        spec: Spec,
    }

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default)]
    struct Spec {
        replicas: i32,
    }

    #[test]
    fn a_field_that_is_null_is_a_field_that_is_not_there() {
        let header = Header {
            api_version: "v1".to_owned(),
            kind: "Thing".to_owned(),
            namespace: "a".to_owned(),
            name: "b".to_owned(),
            uid: String::new(),
            resource_version: String::new(),
            generation: 0,
            deleting: false,
            labels: Vec::new(),
        };
        let read = |body: &str| Typed::<Body>::try_from(&Object { header: header.clone(), body: body.to_owned() });
        assert_eq!(read(r#"{"spec": null}"#).map(|typed| typed.body).ok(), Some(Body::default()));
        let failure = read(r#"{"spec": {"replicas": "two"}}"#).err().map(|failure| failure.message).unwrap_or_default();
        assert!(failure.starts_with("cannot read Thing a/b: "), "{failure}");
    }
}
