//! ConfigMaps as a source of modules: `<domain>/module: <slot>` as a label in the host's own namespace, the module in `binaryData`. What
//! its author wants, and what became of it, are annotations. Those of other namespaces are never looked at. In the place of the module there
//! may be the name of an artifact; that it comes is news as well.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::StreamExt;
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
    artifacts::{Artifacts, Depot},
    offer::{Offer, Past, Standing, short},
    reading::{Draft, key},
};
use crate::{
    contract::{Event, Severity},
    gateway::{ObjectKey, Subject},
    plan::Events,
    registry::{Registry, Store},
    settings::Settings,
};

/// ConfigMaps in one page of a list: each may have a MiB.
const PAGE: u32 = 8;
/// Characters of an annotation's value that are for people.
const LENGTH: usize = 2_000;

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
    /// Watches the labelled ConfigMaps of `namespace`. Annotations are written in the name of the settings' product.
    pub fn start(client: Client, namespace: &str, settings: &Settings, instance: &str) -> Self {
        let (sender, offers) = watch::channel(None);
        let api = Api::namespaced(client.clone(), namespace);
        let modules = &settings.modules;
        let artifacts = Artifacts::new(Depot {
            registry: Registry::new(&modules.registries),
            store: Store::in_cache(&modules.cache),
            secrets: Api::namespaced(client.clone(), namespace),
            settings: modules.registries.clone(),
        });
        let mut watching = JoinSet::new();
        watching.spawn(follow(api.clone(), settings.domain.clone(), artifacts, sender));
        let events = Events::new(client, &settings.product, instance);
        let (domain, manager) = (settings.domain.clone(), settings.product.clone());
        Self { api, domain, manager, events, offers: Mutex::new(offers), _watching: watching }
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
        let object = ObjectKey::new("v1", "ConfigMap", namespace, &offer.name);
        Subject { reconciler: offer.slot.clone(), object, uid: offer.uid.clone() }
    }
}

/// The event that goes with a standing.
fn event(standing: &Standing, message: String) -> Option<Event> {
    let (severity, reason) = match (standing.state, standing.reason) {
        (Standing::CHECKING, _) | (Standing::FETCHING, None) => return None,
        (Standing::FETCHING, Some(reason)) => (Severity::Warning, reason),
        (Standing::REFUSED, reason) => (Severity::Warning, reason.unwrap_or(Standing::REFUSED)),
        (Standing::ROLLED_BACK, _) => (Severity::Warning, Standing::ROLLED_BACK),
        (Standing::PROBATION, Some(reason)) => (Severity::Warning, reason),
        (Standing::PROBATION, None) => (Severity::Normal, "Promoted"),
        (state, _) => (Severity::Normal, state),
    };
    Some(Event { severity, reason: reason.into(), action: "SwapModule".into(), message })
}

/// Follows the ConfigMaps, and what they refer to, as long as it is polled.
async fn follow(api: Api<ConfigMap>, domain: String, mut artifacts: Artifacts, offers: watch::Sender<Option<Vec<Offer>>>) {
    let label = format!("{domain}/{}", key::SLOT);
    let config = watcher::Config::default().labels(&label).page_size(PAGE);
    let mut events = watcher(api, config).default_backoff().boxed();
    let mut known: Option<BTreeMap<String, Draft>> = None;
    let mut listed: BTreeMap<String, Draft> = BTreeMap::new();
    loop {
        let event = tokio::select! {
            event = events.next() => match event {
                Some(event) => Some(event),
                None => return,
            },
            () = artifacts.changed() => None,
        };
        match event {
            Some(Ok(watcher::Event::Init)) => {
                listed = BTreeMap::new();
                continue;
            }
            Some(Ok(watcher::Event::InitApply(object))) => {
                let draft = Draft::read(&object, &domain, known.as_ref());
                listed.insert(draft.name().to_owned(), draft);
                continue;
            }
            Some(Ok(watcher::Event::InitDone)) => known = Some(std::mem::take(&mut listed)),
            Some(Ok(watcher::Event::Apply(object))) => {
                let draft = Draft::read(&object, &domain, known.as_ref());
                known.get_or_insert_default().insert(draft.name().to_owned(), draft);
            }
            Some(Ok(watcher::Event::Delete(object))) => {
                known.get_or_insert_default().remove(object.metadata.name.as_deref().unwrap_or_default());
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "ConfigMaps with modules cannot be watched; it will be tried again");
                continue;
            }
            None => {}
        }
        // Until there is a whole list, nobody knows what is not on it.
        let Some(known) = &known else { continue };
        artifacts.tidy(known.values().filter_map(Draft::artifact));
        offers.send_replace(Some(known.values().map(|draft| draft.offer(&mut artifacts)).collect()));
    }
}

fn cut(text: &str) -> &str {
    text.char_indices().nth(LENGTH).map_or(text, |(end, _)| &text[..end])
}
