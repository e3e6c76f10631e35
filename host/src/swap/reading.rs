//! What a ConfigMap with a module says: label, annotations, and the module itself or the name of an artifact. It knows nothing of watching
//! or of writing them.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;

use super::{
    artifacts::{Artifacts, Wanted},
    offer::{Content, Offer, Past, Policy, Wishes},
};
use crate::{
    module::{Bytes, Parcel, Refusal, Trouble, digest, held_component},
    registry::Pinned,
};

/// Keys of `data`.
const REFERENCE: &str = "reference";
const PULL_SECRET: &str = "pullSecret";

/// Names of label and annotations below the settings' domain.
pub(super) mod key {
    pub(in crate::swap) const SLOT: &str = "module";
    pub(in crate::swap) const POLICY: &str = "module-policy";
    pub(in crate::swap) const APPROVED: &str = "module-approved";
    pub(in crate::swap) const ROLLBACK: &str = "module-rollback";
    pub(in crate::swap) const ANNOUNCED: &str = "module-sha256";
    pub(in crate::swap) const SIGNATURE: &str = "module-signature";
    pub(in crate::swap) const STATE: &str = "module-state";
    pub(in crate::swap) const REASON: &str = "module-reason";
    pub(in crate::swap) const MESSAGE: &str = "module-message";
    pub(in crate::swap) const DIGEST: &str = "module-digest";
    pub(in crate::swap) const COMPARISON: &str = "module-comparison";
}

/// A ConfigMap as it was read.
pub(super) struct Draft {
    /// All but the content.
    offer: Offer,
    content: Result<Load, Arc<Refusal>>,
    announced: Option<String>,
    signature: Option<String>,
}

/// Where the module is.
enum Load {
    Inside { digest: String, bytes: Arc<[u8]> },
    Elsewhere(Wanted),
}

impl Draft {
    /// Reads an object. A module that is known already is not unpacked again.
    pub(super) fn read(object: &ConfigMap, domain: &str, known: Option<&BTreeMap<String, Self>>) -> Self {
        let metadata = &object.metadata;
        let name = metadata.name.clone().unwrap_or_default();
        let annotation = |key: &str| metadata.annotations.as_ref().and_then(|all| all.get(&format!("{domain}/{key}"))).cloned();
        let slot = metadata.labels.as_ref().and_then(|all| all.get(&format!("{domain}/{}", key::SLOT))).cloned().unwrap_or_default();
        let policy = annotation(key::POLICY).map_or(Ok(Policy::default()), |policy| Policy::named(&policy));
        let (policy, content) = match policy {
            Ok(policy) => (policy, load(object, known.and_then(|known| known.get(&name)))),
            Err(refusal) => (Policy::Approve, Err(refusal)),
        };
        let wishes = Wishes { policy, approved: annotation(key::APPROVED), rollback: annotation(key::ROLLBACK) };
        let past = annotation(key::STATE).map(|state| Past {
            digest: annotation(key::DIGEST).unwrap_or_default(),
            state,
            message: annotation(key::MESSAGE).unwrap_or_default(),
        });
        let created =
            metadata.creation_timestamp.as_ref().and_then(|time| time.0.to_string().parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
        let uid = metadata.uid.clone().unwrap_or_default();
        let nothing = Err(Arc::new(Refusal::Content("has not been looked at".into())));
        Self {
            offer: Offer { name, uid, slot, created, content: nothing, wishes, past },
            content: content.map_err(Arc::new),
            announced: annotation(key::ANNOUNCED),
            signature: annotation(key::SIGNATURE),
        }
    }

    /// The object's name.
    pub(super) fn name(&self) -> &str {
        &self.offer.name
    }

    /// What it refers to.
    pub(super) fn artifact(&self) -> Option<&Wanted> {
        match &self.content {
            Ok(Load::Elsewhere(wanted)) => Some(wanted),
            _ => None,
        }
    }

    /// The offer that it is now.
    pub(super) fn offer(&self, artifacts: &mut Artifacts) -> Offer {
        let content = match &self.content {
            Ok(Load::Inside { digest, bytes }) => Ok((digest.clone(), Bytes::Held(bytes.clone()))),
            Ok(Load::Elsewhere(wanted)) => artifacts.content(wanted).map_err(Arc::new),
            Err(refusal) => Err(refusal.clone()),
        };
        let content = content.map(|(digest, bytes)| Content {
            digest,
            parcel: Parcel { bytes, announced: self.announced.clone(), signature: self.signature.clone() },
        });
        Offer { content, ..self.offer.clone() }
    }
}

/// The one module in an object with its digest, or what the object refers to.
fn load(object: &ConfigMap, known: Option<&Draft>) -> Result<Load, Refusal> {
    let entries = object.binary_data.iter().flatten().collect::<Vec<_>>();
    let data = |key: &str| object.data.as_ref().and_then(|data| data.get(key)).map(|text| text.trim().to_owned());
    let bytes = match (entries.as_slice(), data(REFERENCE)) {
        ([(_, bytes)], None) => &bytes.0,
        ([], Some(reference)) => {
            let artifact: Pinned = reference.parse().map_err(|error: crate::registry::PinError| {
                Refusal::Artifact(Trouble { reason: error.reason(), message: error.to_string() })
            })?;
            return Ok(Load::Elsewhere(Wanted { artifact, pull_secret: data(PULL_SECRET) }));
        }
        (_, Some(_)) => {
            return Err(Refusal::Content(format!("has a module in binaryData and {REFERENCE} in data, where only one can count")));
        }
        (entries, None) => {
            let entries = entries.len();
            let message = format!("has {entries} entries in binaryData, where exactly one is the module, and no {REFERENCE} in data");
            return Err(Refusal::Content(message));
        }
    };
    if let Some(Draft { content: Ok(Load::Inside { digest, bytes: known }), .. }) = known
        && **known == **bytes
    {
        return Ok(Load::Inside { digest: digest.clone(), bytes: known.clone() });
    }
    Ok(Load::Inside { digest: digest(&held_component(bytes)?), bytes: bytes.as_slice().into() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::module::pack;

    const DOMAIN: &str = "example.com";

    fn object(annotations: serde_json::Value, data: serde_json::Value) -> ConfigMap {
        let labels = json!({"example.com/module": "widget"});
        let metadata = json!({
            "name": "m", "namespace": "ns", "uid": "u", "creationTimestamp": "2026-03-01T12:00:00Z",
            "labels": labels, "annotations": annotations,
        });
        let mut object = json!({"metadata": metadata});
        for (key, value) in data.as_object().unwrap() {
            let place = if [REFERENCE, PULL_SECRET].contains(&key.as_str()) { "data" } else { "binaryData" };
            object[place][key] = value.clone();
        }
        serde_json::from_value(object).unwrap()
    }

    fn read(object: &ConfigMap) -> Draft {
        Draft::read(object, DOMAIN, None)
    }

    fn inside(draft: Draft) -> String {
        match draft.content {
            Ok(Load::Inside { digest, .. }) => digest,
            _ => panic!("there is no module inside"),
        }
    }

    fn encoded(bytes: &[u8]) -> serde_json::Value {
        serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec())).unwrap()
    }

    #[test]
    fn an_offer_is_read_from_label_data_and_annotations() {
        let annotations = json!({
            "example.com/module-policy": "approve", "example.com/module-approved": "0123456789ab", "example.com/module-sha256": "00",
            "example.com/module-signature": "c2ln", "example.com/module-state": "Waiting", "example.com/module-digest": "ff",
            "example.com/module-message": "it waits",
        });
        let draft = read(&object(annotations, json!({"module.wasm": encoded(b"\0asm")})));
        let offer = &draft.offer;
        assert_eq!((offer.name.as_str(), offer.uid.as_str(), offer.slot.as_str()), ("m", "u", "widget"));
        assert_eq!(offer.created.to_string(), "2026-03-01T12:00:00Z");
        assert_eq!((draft.announced.as_deref(), draft.signature.as_deref()), (Some("00"), Some("c2ln")));
        assert_eq!(offer.wishes, Wishes { policy: Policy::Approve, approved: Some("0123456789ab".into()), rollback: None });
        assert_eq!(offer.past, Some(Past { digest: "ff".into(), state: "Waiting".into(), message: "it waits".into() }));
        assert_eq!(inside(draft), digest(b"\0asm"));
    }

    #[test]
    fn a_reference_takes_the_place_of_the_module() {
        let name = format!("r.example:5000/widget@sha256:{}", "a".repeat(64));
        let draft = read(&object(json!({}), json!({"reference": format!("{name}\n"), "pullSecret": "login"})));
        let wanted = draft.artifact().unwrap();
        assert_eq!((wanted.artifact.to_string(), wanted.pull_secret.as_deref()), (name, Some("login")));
    }

    #[test]
    fn packed_or_not_it_is_the_same_module() {
        let of = |bytes: &[u8]| inside(read(&object(json!({}), json!({"m": encoded(bytes)}))));
        assert_eq!(of(&pack(b"\0asm and more").unwrap()), of(b"\0asm and more"));
    }

    #[rstest::rstest]
    #[case::none(json!({}), json!({}), "NoModule", "has 0 entries in binaryData")]
    #[case::two(json!({}), json!({"a": "AA==", "b": "AA=="}), "NoModule", "has 2 entries in binaryData")]
    #[case::both(json!({}), json!({"a": "AA==", "reference": "r/a"}), "NoModule", "only one can count")]
    #[case::tag(json!({}), json!({"reference": "r.example/a:1"}), "NoDigest", "without a digest")]
    #[case::no_reference(json!({}), json!({"reference": "A b"}), "MalformedReference", "is not of the form registry/repository@sha256")]
    #[case::damaged(json!({}), json!({"a": encoded(&[0x28, 0xb5, 0x2f, 0xfd, 1])}), "NotUnpackable", "cannot be unpacked")]
    #[case::bomb(json!({}), json!({"a": encoded(&pack(&vec![0; 17 << 20]).unwrap())}), "TooLong", "is longer than 16 MiB")]
    #[case::policy(json!({"example.com/module-policy": "yes"}), json!({"a": "AA=="}), "UnknownPolicy", "\"yes\", which is none of")]
    fn what_holds_no_module_says_why(
        #[case] annotations: serde_json::Value,
        #[case] data: serde_json::Value,
        #[case] reason: &str,
        #[case] message: &str,
    ) {
        let refusal = read(&object(annotations, data)).content.err().unwrap();
        assert_eq!(refusal.reason(), reason);
        assert!(refusal.to_string().contains(message), "{refusal}");
    }
}
