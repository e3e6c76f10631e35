//! The envelope that all kinds share: metadata, spec, status. Owns the few metadata fields that a reconciler reads;
//! everything else in `metadata` is the API server's business and is dropped on decode.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::{API_VERSION, Condition};

/// What tells one kind from another. Implemented by the spec types.
pub trait Kind: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned {
    /// `kind` as written in a manifest.
    const KIND: &'static str;
    /// Plural resource name, the last part of its URL.
    const PLURAL: &'static str;
    /// Singular resource name.
    const SINGULAR: &'static str;
    /// Type of `status`.
    type Status: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned;
}

/// A custom resource: `DoltDB` is `Object<DoltDBSpec>`, and so on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, bound = "")]
pub struct Object<K: Kind> {
    /// Name, namespace and the like.
    pub metadata: ObjectMeta,
    /// What the user wants.
    pub spec: K,
    /// What was last observed.
    pub status: K::Status,
}

impl<K: Kind> Object<K> {
    /// `kind` as written in a manifest.
    pub const KIND: &'static str = K::KIND;
    /// Plural resource name.
    pub const PLURAL: &'static str = K::PLURAL;

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// `metadata.namespace`. All kinds are namespaced.
    pub fn namespace(&self) -> &str {
        &self.metadata.namespace
    }

    /// True once deletion was asked for and finalizers are what keeps the object.
    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// True when the object carries `finalizer`.
    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        self.metadata.finalizers.iter().any(|f| f == finalizer)
    }

    /// Reference by which a child in the same namespace names this object as its controller.
    pub fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: API_VERSION.into(),
            kind: K::KIND.into(),
            name: self.metadata.name.clone(),
            uid: self.metadata.uid.clone(),
            controller: true,
            block_owner_deletion: true,
        }
    }
}

impl<K: Kind> Serialize for Object<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Object", 5)?;
        object.serialize_field("apiVersion", API_VERSION)?;
        object.serialize_field("kind", K::KIND)?;
        object.serialize_field("metadata", &self.metadata)?;
        object.serialize_field("spec", &self.spec)?;
        object.serialize_field("status", &self.status)?;
        object.end()
    }
}

/// The part of `metadata` that reconcilers read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectMeta {
    /// Unique in the namespace for its kind.
    pub name: String,
    /// Empty only in a manifest that leaves the choice to the client.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Unique in time: a recreated object has another one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Opaque version of the whole object, status included.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Counts changes of the spec.
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What must be done before the object may go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<String>,
    /// RFC 3339; set once deletion was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<String>,
}

/// `metadata.ownerReferences[]` of a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerReference {
    /// `apiVersion` of the owner.
    pub api_version: String,
    /// `kind` of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Uid of the owner.
    pub uid: String,
    /// At most one owner is the controller.
    pub controller: bool,
    /// Foreground deletion of the owner waits for the child.
    pub block_owner_deletion: bool,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Finds the condition of a type.
pub(crate) fn condition<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}
