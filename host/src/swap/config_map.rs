//! ConfigMaps as a source of modules: `<domain>/module: <slot>` as a label in the host's own namespace, the module in `binaryData`. What
//! its author wants, and what became of it, are annotations. Those of other namespaces are never looked at.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
};

use super::{
    Source,
    offer::{Content, Offer, Past, Policy, Standing, Wishes, short},
};
use crate::{
    contract::{Event, Severity},
    gateway::{ObjectKey, Subject},
    module::{Parcel, Refusal, component, digest},
    plan::Events,
};

/// ConfigMaps in one page of a list: each may have a MiB.
const PAGE: u32 = 8;
/// Characters of an annotation's value that are for people.
const LENGTH: usize = 2_000;

/// Names of label and annotations below the settings' domain.
mod key {
    pub(super) const SLOT: &str = "module";
    pub(super) const POLICY: &str = "module-policy";
    pub(super) const APPROVED: &str = "module-approved";
    pub(super) const ROLLBACK: &str = "module-rollback";
    pub(super) const ANNOUNCED: &str = "module-sha256";
    pub(super) const SIGNATURE: &str = "module-signature";
    pub(super) const STATE: &str = "module-state";
    pub(super) const REASON: &str = "module-reason";
    pub(super) const MESSAGE: &str = "module-message";
    pub(super) const DIGEST: &str = "module-digest";
    pub(super) const COMPARISON: &str = "module-comparison";
}

/// The ConfigMaps of a namespace.
pub struct ConfigMapSource {
    api: Api<ConfigMap>,
    domain: String,
    manager: String,
    events: Events,
    offers: Mutex<watch::Receiver<Option<Vec<Offer>>>>,
    _watching: JoinSet<()>,
}

impl ConfigMapSource {
    /// Watches the labelled ConfigMaps of `namespace`. Annotations are written as `product`.
    pub fn start(client: Client, namespace: &str, domain: &str, product: &str, instance: &str) -> Self {
        let (sender, offers) = watch::channel(None);
        let api = Api::namespaced(client.clone(), namespace);
        let mut watching = JoinSet::new();
        watching.spawn(follow(api.clone(), domain.to_owned(), sender));
        let events = Events::new(client, product, instance);
        Self { api, domain: domain.into(), manager: product.into(), events, offers: Mutex::new(offers), _watching: watching }
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.domain)
    }

    /// Annotations that show a standing. `null` takes one away.
    fn annotations(&self, standing: &Standing, message: &str) -> serde_json::Value {
        json!({
            self.key(key::STATE): standing.state,
            self.key(key::REASON): standing.reason,
            self.key(key::MESSAGE): cut(message),
            self.key(key::DIGEST): Some(&standing.digest).filter(|digest| !digest.is_empty()),
            self.key(key::COMPARISON): standing.summary.as_deref().map(cut),
        })
    }
}

#[async_trait]
impl Source for ConfigMapSource {
    async fn offers(&self) -> Option<Vec<Offer>> {
        let mut offers = self.offers.lock().await;
        offers.changed().await.ok()?;
        let list = offers.borrow_and_update().clone();
        list.or_else(|| Some(Vec::new()))
    }

    async fn tell(&self, offer: &Offer, standing: &Standing) {
        let mut message = standing.message.clone();
        if standing.state == Standing::WAITING {
            let (name, approved) = (&offer.name, self.key(key::APPROVED));
            message = format!("{message}: kubectl annotate configmap {name} {approved}={} --overwrite", short(&standing.digest));
        }
        let told = Past { digest: standing.digest.clone(), state: standing.state.into(), message: cut(&message).into() };
        if offer.past.as_ref() == Some(&told) {
            return;
        }
        let patch = json!({"metadata": {"uid": offer.uid, "annotations": self.annotations(standing, &message)}});
        let params = PatchParams { field_manager: Some(self.manager.clone()), ..PatchParams::default() };
        match self.api.patch_metadata(&offer.name, &params, &Patch::Merge(&patch)).await {
            Ok(_) => {}
            // Another one of its name, or none: nobody wants to know.
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => return,
            Err(error) => {
                tracing::warn!(config_map = offer.name, state = standing.state, %error, "what became of a module cannot be annotated")
            }
        }
        if let Some(event) = event(standing, message) {
            self.events.write(&self.subject(offer), &event).await;
        }
    }
}

impl ConfigMapSource {
    fn subject(&self, offer: &Offer) -> Subject {
        let namespace = self.api.namespace().unwrap_or_default().to_owned();
        let object = ObjectKey { api_version: "v1".into(), kind: "ConfigMap".into(), namespace, name: offer.name.clone() };
        Subject { reconciler: offer.slot.clone(), object, uid: offer.uid.clone() }
    }
}

/// The event that goes with a standing.
fn event(standing: &Standing, message: String) -> Option<Event> {
    let (severity, reason) = match (standing.state, standing.reason) {
        (Standing::CHECKING, _) => return None,
        (Standing::REFUSED, reason) => (Severity::Warning, reason.unwrap_or(Standing::REFUSED)),
        (Standing::ROLLED_BACK, _) => (Severity::Warning, Standing::ROLLED_BACK),
        (Standing::PROBATION, Some(reason)) => (Severity::Warning, reason),
        (Standing::PROBATION, None) => (Severity::Normal, "Promoted"),
        (state, _) => (Severity::Normal, state),
    };
    Some(Event { severity, reason: reason.into(), action: "SwapModule".into(), message })
}

/// Follows the ConfigMaps as long as it is polled.
async fn follow(api: Api<ConfigMap>, domain: String, offers: watch::Sender<Option<Vec<Offer>>>) {
    let label = format!("{domain}/{}", key::SLOT);
    let config = watcher::Config::default().labels(&label).page_size(PAGE);
    let mut events = watcher(api, config).default_backoff().boxed();
    let mut known: BTreeMap<String, Offer> = BTreeMap::new();
    let mut listed: Option<BTreeMap<String, Offer>> = None;
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => {
                listed = Some(BTreeMap::new());
                continue;
            }
            Ok(watcher::Event::InitApply(object)) => {
                let offer = read(&object, &domain, &known);
                listed.get_or_insert_default().insert(offer.name.clone(), offer);
                continue;
            }
            Ok(watcher::Event::InitDone) => known = listed.take().unwrap_or_default(),
            Ok(watcher::Event::Apply(object)) => {
                let offer = read(&object, &domain, &known);
                known.insert(offer.name.clone(), offer);
            }
            Ok(watcher::Event::Delete(object)) => {
                known.remove(object.metadata.name.as_deref().unwrap_or_default());
            }
            Err(error) => {
                tracing::warn!(%error, "ConfigMaps with modules cannot be watched; it will be tried again");
                continue;
            }
        }
        offers.send_replace(Some(known.values().cloned().collect()));
    }
}

/// An offer from an object. A module that is known already is not unpacked again.
fn read(object: &ConfigMap, domain: &str, known: &BTreeMap<String, Offer>) -> Offer {
    let metadata = &object.metadata;
    let name = metadata.name.clone().unwrap_or_default();
    let annotation = |key: &str| metadata.annotations.as_ref().and_then(|all| all.get(&format!("{domain}/{key}"))).cloned();
    let slot = metadata.labels.as_ref().and_then(|all| all.get(&format!("{domain}/{}", key::SLOT))).cloned().unwrap_or_default();
    let policy = annotation(key::POLICY).map_or(Ok(Policy::default()), |policy| Policy::named(&policy));
    let content = module(object, known.get(&name)).map(|(digest, bytes)| {
        let parcel = Parcel { bytes, announced: annotation(key::ANNOUNCED), signature: annotation(key::SIGNATURE) };
        Content { digest, parcel }
    });
    let (policy, content) = match (policy, content) {
        (Ok(policy), content) => (policy, content),
        (Err(refusal), _) => (Policy::Approve, Err(refusal)),
    };
    let wishes = Wishes { policy, approved: annotation(key::APPROVED), rollback: annotation(key::ROLLBACK) };
    let past = annotation(key::STATE).map(|state| Past {
        digest: annotation(key::DIGEST).unwrap_or_default(),
        state,
        message: annotation(key::MESSAGE).unwrap_or_default(),
    });
    let created = metadata.creation_timestamp.as_ref().and_then(|time| time.0.to_string().parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    Offer { name, uid: metadata.uid.clone().unwrap_or_default(), slot, created, content: content.map_err(Arc::new), wishes, past }
}

/// The one module in an object, with its digest.
fn module(object: &ConfigMap, known: Option<&Offer>) -> Result<(String, Arc<[u8]>), Refusal> {
    let entries = object.binary_data.iter().flatten().collect::<Vec<_>>();
    let [(_, bytes)] = entries.as_slice() else {
        return Err(Refusal::Content(format!("has {} entries in binaryData, where exactly one is the module", entries.len())));
    };
    if let Some(Ok(content)) = known.map(|offer| &offer.content)
        && *content.parcel.bytes == *bytes.0
    {
        return Ok((content.digest.clone(), content.parcel.bytes.clone()));
    }
    Ok((digest(&component(&bytes.0)?), bytes.0.as_slice().into()))
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(LENGTH).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::pack;

    const DOMAIN: &str = "example.com";

    fn object(annotations: serde_json::Value, data: serde_json::Value) -> ConfigMap {
        let labels = json!({"example.com/module": "widget"});
        let metadata = json!({
            "name": "m", "namespace": "ns", "uid": "u", "creationTimestamp": "2026-03-01T12:00:00Z",
            "labels": labels, "annotations": annotations,
        });
        serde_json::from_value(json!({"metadata": metadata, "binaryData": data})).unwrap()
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
        let offer = read(&object(annotations, json!({"module.wasm": encoded(b"\0asm")})), DOMAIN, &BTreeMap::new());
        assert_eq!((offer.name.as_str(), offer.uid.as_str(), offer.slot.as_str()), ("m", "u", "widget"));
        assert_eq!(offer.created.to_string(), "2026-03-01T12:00:00Z");
        let content = offer.content.unwrap();
        assert_eq!(content.digest, digest(b"\0asm"));
        assert_eq!((content.parcel.announced.as_deref(), content.parcel.signature.as_deref()), (Some("00"), Some("c2ln")));
        assert_eq!(offer.wishes, Wishes { policy: Policy::Approve, approved: Some("0123456789ab".into()), rollback: None });
        assert_eq!(offer.past, Some(Past { digest: "ff".into(), state: "Waiting".into(), message: "it waits".into() }));
    }

    #[test]
    fn packed_or_not_it_is_the_same_module() {
        let of = |bytes: &[u8]| read(&object(json!({}), json!({"m": encoded(bytes)})), DOMAIN, &BTreeMap::new()).content.unwrap().digest;
        assert_eq!(of(&pack(b"\0asm and more").unwrap()), of(b"\0asm and more"));
    }

    #[rstest::rstest]
    #[case::none(json!({}), json!({}), "NoModule", "has 0 entries in binaryData")]
    #[case::two(json!({}), json!({"a": "AA==", "b": "AA=="}), "NoModule", "has 2 entries in binaryData")]
    #[case::damaged(json!({}), json!({"a": encoded(&[0x28, 0xb5, 0x2f, 0xfd, 1])}), "NotUnpackable", "cannot be unpacked")]
    #[case::bomb(json!({}), json!({"a": encoded(&pack(&vec![0; 17 << 20]).unwrap())}), "TooLong", "is longer than 16 MiB")]
    #[case::policy(json!({"example.com/module-policy": "yes"}), json!({"a": "AA=="}), "UnknownPolicy", "\"yes\", which is none of")]
    fn what_holds_no_module_says_why(
        #[case] annotations: serde_json::Value,
        #[case] data: serde_json::Value,
        #[case] reason: &str,
        #[case] message: &str,
    ) {
        let refusal = read(&object(annotations, data), DOMAIN, &BTreeMap::new()).content.unwrap_err();
        assert_eq!(refusal.reason(), reason);
        assert!(refusal.to_string().contains(message), "{refusal}");
    }
}
