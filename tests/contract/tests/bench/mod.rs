//! A host in small: a controller with its module table and exchange, a world in memory, and a source of offers that the test holds.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use contract::components;
use host::{
    contract::*,
    controller::{Controller, Decide, Journals, Reconcile, Shared, Wake},
    gateway::{Answers, Applied, Ending, Gateway, Listed, ObjectKey, Queries, Seen, SharedGateway, Subject},
    metrics::Metrics,
    module::{Active, Admission, Compiler, Modules, Parcel},
    runtime::Runtime,
    settings::Settings,
    swap::{Content, Exchange, Offer, Past, Source, Stage, Standing, Wishes},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet};

/// For whatever should happen within a second or two on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const SLOT: &str = "hostile";

/// The hostile component, built once.
pub(crate) fn hostile() -> &'static [u8] {
    components::hostile(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap())
}

pub(crate) fn own_compiler() -> Compiler {
    Compiler::new(env!("CARGO_BIN_EXE_compile-module"), [""; 0])
}

/// A compiler that must not be needed.
pub(crate) fn no_compiler() -> Compiler {
    Compiler::new("/nonexistent/compiler", [""; 0])
}

/// A compiler that does not come to its end in a test's time.
pub(crate) fn slow_compiler() -> Compiler {
    program("sleep 50")
}

pub(crate) fn program(script: &str) -> Compiler {
    Compiler::new("/bin/sh", ["-c", script])
}

/// An ed25519 key as openssl writes it.
pub(crate) fn private_key() -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let head = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    let der = [head.as_slice(), &[42; 32]].concat();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
}

/// Settings without folders.
pub(crate) fn settings() -> Value {
    let kind = |api_version: &str, kind: &str, resource: &str| json!({"apiVersion": api_version, "kind": kind, "resource": resource});
    json!({
        "product": "test",
        "domain": "example.com",
        "limits": {"memoryMib": 32, "cpuMs": 300},
        "modules": {"signatures": {"mode": "off"}},
        "reconcilers": {SLOT: {
            "reconciles": kind("example.com/v1", "Widget", "widgets"),
            "settings": {"do": "echo"},
            "grant": {
                "read": [kind("v1", "Pod", "pods")],
                "apply": [kind("v1", "ConfigMap", "configmaps")],
                "secrets": ["widget-*"],
                "sql": {"read": ["*.svc"]},
            },
        }},
    })
}

/// What a test offers.
#[derive(Clone)]
pub(crate) struct Offering {
    pub(crate) name: String,
    pub(crate) slot: String,
    pub(crate) wasm: Vec<u8>,
    pub(crate) announced: Option<String>,
    pub(crate) signature: Option<String>,
    pub(crate) wishes: Wishes,
    pub(crate) past: Option<Past>,
    pub(crate) created: i64,
}

impl Offering {
    pub(crate) fn of(wasm: &[u8]) -> Self {
        let (announced, signature, past) = (None, None, None);
        Self { name: "m".into(), slot: SLOT.into(), wasm: wasm.into(), announced, signature, wishes: Wishes::default(), past, created: 0 }
    }

    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    pub(crate) fn created(self, created: i64) -> Self {
        Self { created, ..self }
    }

    pub(crate) fn after(self, past: &Past) -> Self {
        Self { past: Some(past.clone()), ..self }
    }

    pub(crate) fn digest(&self) -> String {
        use sha2::Digest;
        hex::encode(sha2::Sha256::digest(&self.wasm))
    }

    fn offer(&self) -> Offer {
        let parcel = Parcel { bytes: self.wasm.as_slice().into(), announced: self.announced.clone(), signature: self.signature.clone() };
        Offer {
            name: self.name.clone(),
            uid: format!("uid-of-{}", self.name),
            slot: self.slot.clone(),
            created: jiff::Timestamp::from_second(self.created).unwrap(),
            content: Ok(Content { digest: self.digest(), parcel }),
            wishes: self.wishes.clone(),
            past: self.past.clone(),
        }
    }
}

/// The source: offers go in, standings come out.
struct Shelf {
    offers: tokio::sync::Mutex<watch::Receiver<Vec<Offer>>>,
    told: watch::Sender<Vec<(String, Standing)>>,
}

#[async_trait]
impl Source for Shelf {
    async fn offers(&self) -> Option<Vec<Offer>> {
        let mut offers = self.offers.lock().await;
        offers.changed().await.ok()?;
        Some(offers.borrow_and_update().clone())
    }

    async fn tell(&self, offer: &Offer, standing: &Standing) {
        self.told.send_modify(|told| told.push((offer.name.clone(), standing.clone())));
    }
}

/// Widgets, and what was done to them. Every change is told.
#[derive(Default)]
struct World {
    widgets: Mutex<Vec<String>>,
    applied: Mutex<Vec<String>>,
    events: Mutex<Vec<String>>,
}

fn widget(name: &str) -> Object {
    let header = Header {
        api_version: "example.com/v1".into(),
        kind: "Widget".into(),
        namespace: "default".into(),
        name: name.into(),
        uid: format!("uid-of-{name}"),
        resource_version: "1".into(),
        generation: 1,
        deleting: false,
        labels: vec![],
    };
    Object { header, body: "{}".into() }
}

#[async_trait]
impl Gateway for World {
    async fn get(&self, _: &Subject, object: &ObjectRef, _: &[String]) -> Result<Option<Seen>, ReadError> {
        let known = object.kind == "Widget" && self.widgets.lock().unwrap().contains(&object.name);
        Ok(known.then(|| widget(&object.name).into()))
    }

    async fn select(&self, _: &Subject, _: &Selection) -> Result<Listed, ReadError> {
        Ok(Listed { objects: self.widgets.lock().unwrap().iter().map(|name| widget(name).into()).collect(), next: None })
    }

    async fn secret(&self, _: &Subject, _: &str, _: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        Ok(None)
    }

    async fn query(&self, _: &Subject, queries: &Queries) -> Answers {
        queries.iter().map(|_| Ok(vec![])).collect::<Vec<_>>().into()
    }

    fn now(&self) -> Timestamp {
        1_772_366_400_000
    }

    async fn apply(&self, _: &Subject, effect: &Effect) -> Result<Applied, EffectFailure> {
        let what = if matches!(effect, Effect::Status(_)) { "status" } else { "other" };
        self.applied.lock().unwrap().push(what.into());
        Ok(Applied::Unchanged)
    }

    async fn event(&self, _: &Subject, event: &Event) {
        self.events.lock().unwrap().push(event.reason.clone());
    }
}

struct Slot(Arc<Modules>);

impl Reconcile for Slot {
    fn active(&self) -> Option<Arc<dyn Decide>> {
        self.0.active(SLOT).map(|active| active as Arc<dyn Decide>)
    }
}

/// The host in small.
pub(crate) struct Bench {
    pub(crate) modules: Arc<Modules>,
    place: Arc<TempDir>,
    settings: Value,
    world: Arc<World>,
    journals: Arc<Journals>,
    metrics: Metrics,
    controller: Arc<Controller>,
    exchange: Exchange,
    stage: Stage,
    offers: watch::Sender<Vec<Offer>>,
    shelf: Arc<Shelf>,
    _tasks: JoinSet<()>,
}

impl Bench {
    /// One that leads, with the hostile component as the image's.
    pub(crate) async fn start() -> Self {
        Self::with(settings(), own_compiler()).await
    }

    pub(crate) async fn with(settings: Value, compiler: Compiler) -> Self {
        let bench = Self::assemble(Self::place(), settings, compiler).await;
        bench.lead();
        bench
    }

    /// One that does not lead yet.
    pub(crate) async fn followers() -> Self {
        Self::assemble(Self::place(), settings(), own_compiler()).await
    }

    /// Another process with the same folders, which does not lead yet.
    pub(crate) async fn restarted(former: &Self, compiler: Compiler) -> Self {
        Self::assemble(former.place.clone(), former.settings.clone(), compiler).await
    }

    fn place() -> Arc<TempDir> {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("modules")).unwrap();
        std::fs::write(place.path().join("modules/hostile.wasm"), hostile()).unwrap();
        Arc::new(place)
    }

    async fn assemble(place: Arc<TempDir>, settings: Value, compiler: Compiler) -> Self {
        let mut with_folders = settings.clone();
        with_folders["modules"]["folder"] = json!(place.path().join("modules"));
        with_folders["modules"]["cache"] = json!(place.path().join("cache"));
        let parsed: Settings = serde_json::from_value(with_folders).unwrap();
        let runtime = Arc::new(Runtime::new(&parsed.limits).unwrap());
        let admission = Arc::new(Admission::new(&parsed, runtime, compiler).unwrap());
        let modules = Arc::new(Modules::load(&admission).await);
        let metrics = Metrics::new("test");
        let (offers, offered) = watch::channel(vec![]);
        let shelf = Arc::new(Shelf { offers: tokio::sync::Mutex::new(offered), told: watch::Sender::default() });
        let exchange = Exchange::start(admission, modules.clone(), &metrics, shelf.clone());
        let (world, journals) = (Arc::new(World::default()), Arc::new(Journals::default()));
        let shared = Shared {
            world: world.clone(),
            index: Arc::default(),
            journals: journals.clone(),
            limits: parsed.limits.clone(),
            metrics: metrics.clone(),
        };
        let stage = Stage { world: world.clone() as SharedGateway, journals: journals.clone(), limits: parsed.limits.clone() };
        let slot = parsed.reconcilers[SLOT].clone();
        let controller = Arc::new(Controller::new(SLOT, slot, Arc::new(Slot(modules.clone())), shared));
        let mut tasks = JoinSet::new();
        tasks.spawn(controller.clone().run());
        let (mut promotions, again) = (modules.follow(SLOT).unwrap(), controller.clone());
        tasks.spawn(async move {
            while promotions.changed().await.is_ok() {
                again.wake_all().await;
            }
        });
        Self { modules, place, settings, world, journals, metrics, controller, exchange, stage, offers, shelf, _tasks: tasks }
    }

    pub(crate) fn lead(&self) {
        self.exchange.lead(&self.stage);
    }

    /// Puts this on offer, and nothing else.
    pub(crate) async fn offer(&self, offering: Offering) {
        self.offers.send_replace(vec![offering.offer()]);
    }

    pub(crate) async fn offer_both(&self, one: Offering, other: Offering) {
        self.offers.send_replace(vec![one.offer(), other.offer()]);
    }

    /// Puts this on offer and waits until nothing more happens by itself.
    pub(crate) async fn offer_before_leading(&self, offering: Offering) {
        self.offer(offering).await;
        assert!(self.exchange.settled(PATIENCE).await, "not settled in time");
    }

    pub(crate) async fn withdraw(&self) {
        self.offers.send_replace(vec![]);
    }

    /// The last standing that was told of an offer, when it is this one.
    pub(crate) async fn stands(&self, name: &str, state: &str) -> Standing {
        let mut told = self.shelf.told.subscribe();
        let last = |told: &Vec<(String, Standing)>| told.iter().rfind(|(of, _)| of == name).map(|(_, standing)| standing.clone());
        let reached =
            tokio::time::timeout(PATIENCE, told.wait_for(|told| last(told).is_some_and(|standing| standing.state == state))).await;
        match reached {
            Ok(told) => last(&told.unwrap()).unwrap(),
            Err(_) => panic!("{name} is not {state}: {:#?}", self.told()),
        }
    }

    pub(crate) fn told(&self) -> Vec<(String, Standing)> {
        self.shelf.told.borrow().clone()
    }

    /// What another process would read of an offer.
    pub(crate) fn past(&self, name: &str) -> Past {
        let told = self.told();
        let (_, standing) = told.iter().rfind(|(of, _)| of == name).unwrap();
        Past { digest: standing.digest.clone(), state: standing.state.into(), message: standing.message.clone() }
    }

    pub(crate) fn digest(&self) -> String {
        self.modules.active(SLOT).unwrap().digest.clone()
    }

    /// The digest of the image's module.
    pub(crate) fn image(&self) -> String {
        self.modules.image(SLOT).unwrap().digest.clone()
    }

    pub(crate) async fn is_active(&self, digest: &str) {
        let mut promotions = self.modules.follow(SLOT).unwrap();
        let is = |active: &Option<Arc<Active>>| active.as_ref().is_some_and(|active| active.digest == digest);
        let reached = tokio::time::timeout(PATIENCE, promotions.wait_for(is)).await.is_ok();
        assert!(reached, "{digest} is not active: {:#?}", self.told());
    }

    /// Makes a widget and waits until it has been decided about.
    pub(crate) async fn create(&self, name: &str) {
        self.create_and_go(name);
        let digest = self.digest();
        self.decided(name, &digest).await;
    }

    pub(crate) fn create_and_go(&self, name: &str) {
        self.world.widgets.lock().unwrap().push(name.into());
        let object = ObjectKey::new("example.com/v1", "Widget", "default", name);
        self.controller.wake(&object, Wake::Change);
    }

    /// Waits until this module was the last that has made a plan for a widget.
    pub(crate) async fn decided(&self, name: &str, digest: &str) {
        let decided = async {
            loop {
                let journals = self.journals.of(SLOT);
                let last = journals.iter().rfind(|journal| journal.subject.object.name == name);
                if last.is_some_and(|journal| journal.module == digest && matches!(journal.ending, Ending::Plan(_))) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, decided).await.unwrap_or_else(|_| panic!("{digest} has not decided about {name}"));
    }

    /// Waits until an event of some object has this reason.
    pub(crate) async fn happens(&self, reason: &str) {
        let happened = async {
            while !self.world.events.lock().unwrap().iter().any(|event| event == reason) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, happened).await.unwrap_or_else(|_| panic!("no event {reason}"));
    }

    /// Digests of those who have decided, in order.
    pub(crate) fn deciders(&self) -> Vec<String> {
        self.journals.of(SLOT).iter().map(|journal| journal.module.clone()).collect()
    }

    pub(crate) fn applied(&self) -> Vec<String> {
        self.world.applied.lock().unwrap().clone()
    }

    pub(crate) fn metrics(&self) -> String {
        self.metrics.encode()
    }
}
