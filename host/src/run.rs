//! Puts the rooms together: what is started in which order, what ends the process.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use kube::Client;
use tokio::{
    sync::{mpsc::UnboundedReceiver, oneshot, watch},
    task::JoinSet,
};

use crate::{
    admin::{AdminError, Server, Status},
    cluster::{Change, Cluster, DigestKey, DigestKeyError, SecretValues},
    contract::{Failure, Plan, Request},
    controller::{Controller, Decide, Journals, Reconcile, Shared, Wake, follow},
    figures::Figures,
    gateway::{Fence, Live, SharedGateway, Subject},
    leader::{self, LeaderError, Leadership},
    metrics::Metrics,
    module::{Active, Admission, Compiler, Fared, ModuleError, Modules},
    plan::{Events, Performer},
    runtime::{CallError, Runtime, RuntimeError},
    settings::{Reconciler, Resource, Settings},
    sql::{Sql, SqlLimits},
    swap::{ConfigMapSource, Exchange, Stage},
    tasks::{TaskLimits, Tasks},
};

/// Between two tries to watch a kind that cannot be watched.
const WATCH_RETRY: Duration = Duration::from_secs(2);
/// How long a start waits for modules from outside of the image to be what they were before.
const SETTLE: Duration = Duration::from_secs(30);
/// Between two looks at the size of the cache.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

/// What the command line says beside the settings.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where health, metrics, modules and journals are served.
    pub admin: SocketAddr,
    /// This process's name in the lease and in events.
    pub identity: String,
}

/// Why the host ended, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to the API server.
    #[error("cannot reach a cluster: {0}")]
    Cluster(String),
    /// The engine cannot be set up.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A module cannot be used.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// There is no key for digests of Secrets.
    #[error(transparent)]
    DigestKey(#[from] DigestKeyError),
    /// Leader election cannot go on.
    #[error(transparent)]
    Leader(#[from] LeaderError),
    /// Another process may lead: this one must not write any more.
    #[error("leadership was lost")]
    Deposed,
    /// The admin server cannot run.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A part that never ends has ended.
    #[error("{0} ended")]
    Ended(&'static str),
}

/// Runs the host until `shutdown`.
///
/// # Errors
/// When it cannot start, or must not go on. The process should end then: its successor starts from a fresh observation.
pub async fn run(settings: Settings, options: Options, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
    let started = Instant::now();
    let since = move || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let metrics = Metrics::new(&settings.product);
    let status = Arc::new(Status::default());
    let journals = Arc::new(Journals::default());
    let server = Server::bind(options.admin, metrics.clone(), status.clone(), journals.clone()).await?;
    let runtime = Arc::new(Runtime::new(&settings.limits)?);
    let client = Client::try_default().await.map_err(|e| Error::Cluster(e.to_string()))?;
    let (leadership, mandate) = match settings.leader_election {
        Some(_) => {
            let (leadership, mandate) = Leadership::contested();
            (leadership, Some(mandate))
        }
        None => (Leadership::always(), None),
    };
    let (stop, stopped) = watch::channel(false);
    let mut serving = tokio::spawn(server.run(stopping(stopped.clone())));
    // Only who could reconcile stands for election.
    let (eligible, stands) = oneshot::channel();
    let contest = settings.leader_election.clone().zip(mandate);
    let mut campaigning = tokio::spawn({
        let (client, identity, stopped) = (client.clone(), options.identity.clone(), stopping(stopped.clone()));
        async move {
            match (contest, stands.await) {
                (Some((election, mandate)), Ok(())) => leader::campaign(client, &election, identity, mandate, stopped).await,
                _ => {
                    stopped.await;
                    Ok(())
                }
            }
        }
    });
    let (tasks, ended_tasks) = Tasks::new(TaskLimits::from(&settings.limits), metrics.clone());
    let tasks = Arc::new(tasks);
    let working = async {
        let admission = Arc::new(Admission::new(&settings, runtime, Compiler::own_program()?)?);
        let modules = Arc::new(Modules::load(&admission).await);
        for (slot, active) in settings.reconcilers.keys().filter_map(|slot| Some((slot, modules.active(slot)?))) {
            metrics.module(slot, &active.digest);
        }
        let exchange = settings.modules.config_maps.as_ref().map(|from| {
            let source = ConfigMapSource::start(client.clone(), &from.namespace, &settings, &options.identity);
            Exchange::start(admission, modules.clone(), &metrics, Arc::new(source))
        });
        if let Some(exchange) = &exchange
            && !exchange.settled(SETTLE).await
        {
            tracing::warn!("modules of ConfigMaps are not looked at yet: those of the image run until then");
        }
        status.modules_loaded(modules.clone());
        tracing::info!(ms = since(), "modules are loaded");
        // The campaign listens as long as this process does.
        let _ = eligible.send(());
        leadership.acquired().await;
        metrics.leading(true);
        status.leading();
        tracing::info!(identity = %options.identity, ms = since(), "leading");
        let host = Host {
            settings: &settings,
            identity: &options.identity,
            client,
            leadership: leadership.clone(),
            journals,
            metrics,
            status,
            tasks: tasks.clone(),
            started,
        };
        let leadership = &leadership;
        tokio::select! {
            ended = host.reconcile(modules, exchange, ended_tasks) => ended,
            () = leadership.lost() => Err(Error::Deposed),
        }
    };
    let result = tokio::select! {
        () = shutdown => Ok(()),
        ended = working => ended,
        ended = &mut serving => ended.map_or(Err(Error::Ended("the admin server")), |served| Ok(served?)),
        ended = &mut campaigning => ended.map_or(Err(Error::Ended("the campaign")), |campaigned| Ok(campaigned?)),
    };
    // A statement of this process must not run on under another one's leadership.
    tasks.close().await;
    // Nothing reconciles any more: the lease can be given back, so that a successor need not wait for its end.
    stop.send_replace(true);
    if !campaigning.is_finished() {
        let _ = campaigning.await;
    }
    result
}

async fn stopping(mut stopped: watch::Receiver<bool>) {
    drop(stopped.wait_for(|stop| *stop).await);
}

/// A slot's reconciler: whatever module is active when a decision is due.
struct Slot {
    name: String,
    modules: Arc<Modules>,
}

impl Reconcile for Slot {
    fn active(&self) -> Option<Arc<dyn Decide>> {
        self.modules.active(&self.name).map(|active| active as Arc<dyn Decide>)
    }
}

#[async_trait]
impl Decide for Active {
    fn digest(&self) -> &str {
        &self.digest
    }

    async fn decide(&self, subject: &Subject, gateway: SharedGateway, request: &Request) -> Result<Result<Plan, Failure>, CallError> {
        self.guest.reconcile(subject, gateway, request).await
    }

    fn fared(&self, fared: &Fared) {
        Self::fared(self, fared);
    }
}

/// What a leading process is made of.
struct Host<'a> {
    settings: &'a Settings,
    identity: &'a str,
    client: Client,
    leadership: Leadership,
    journals: Arc<Journals>,
    metrics: Metrics,
    status: Arc<Status>,
    tasks: Arc<Tasks>,
    started: Instant,
}

impl Host<'_> {
    /// Reconciles as long as the future is polled; when it is dropped, every worker ends.
    async fn reconcile(
        self,
        modules: Arc<Modules>,
        mut exchange: Option<Exchange>,
        ended_tasks: UnboundedReceiver<Subject>,
    ) -> Result<(), Error> {
        let Self { settings, identity, client, leadership, journals, metrics, status, tasks: long, started } = self;
        let digest_key = match &settings.digest_key {
            Some(place) => DigestKey::kept(client.clone(), place).await?,
            None => DigestKey::random()?,
        };
        let (cluster, changes) = Cluster::new(client.clone(), kinds(settings), settings.namespaces.clone(), digest_key);
        let cluster = Arc::new(cluster);
        let kinds = settings.reconcilers.values().map(|slot| (slot.reconciles.clone(), slot.metrics.clone()));
        let cached = cluster.clone();
        metrics.show(Figures::new(&settings.product, kinds, Arc::new(move |kind| cached.all(kind))));
        let values = Arc::new(SecretValues::new(client.clone(), cluster.clone()));
        let fence: Fence = Arc::new(move || leadership.is_held());
        let sql = Sql::new(values, SqlLimits { rows: settings.limits.rows, ..SqlLimits::default() }).fenced_by(fence.clone());
        let performer = Performer::new(client.clone(), cluster.clone(), &settings.product, &settings.predecessors);
        let events = Events::new(client, &settings.product, identity);
        let world: SharedGateway = Arc::new(Live::new(cluster.clone(), sql, long, performer, events, fence));
        let stage = Stage { world: world.clone(), journals: journals.clone(), limits: settings.limits.clone() };
        let shared = Shared { world, index: Arc::default(), journals, limits: settings.limits.clone(), metrics: metrics.clone() };

        let mut controllers = HashMap::new();
        for (name, slot) in &settings.reconcilers {
            let reconciler = Arc::new(Slot { name: name.clone(), modules: modules.clone() });
            controllers.insert(name.clone(), Arc::new(Controller::new(name, slot.clone(), reconciler, shared.clone())));
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(ended_tasks, controllers.clone()));
        tasks.spawn(dispatch(changes, controllers.clone(), shared));
        for (slot, controller) in controllers {
            if let Some(promotions) = modules.follow(&slot) {
                tasks.spawn(look_again(promotions, controller.clone()));
            }
            tasks.spawn(controller.run());
        }
        if let Some(exchange) = &exchange {
            exchange.lead(&stage);
        }
        let watched = async {
            // A kind that cannot be watched yet (its definition is missing, say) does not stop the others.
            futures::future::join_all(settings.reconcilers.values().map(|slot| watch_on(&cluster, &slot.reconciles))).await;
            status.reconciling();
            tracing::info!(ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX), "ready");
            loop {
                cluster.sizes().into_iter().for_each(|(kind, objects)| metrics.cached(&kind, objects));
                tokio::time::sleep(MEASURE_EVERY).await;
            }
        };
        tokio::select! {
            _ = tasks.join_next() => Err(Error::Ended("a controller")),
            () = swapping(&mut exchange) => Err(Error::Ended("the exchange of modules")),
            () = watched => Err(Error::Ended("the measuring")),
        }
    }
}

async fn swapping(exchange: &mut Option<Exchange>) {
    match exchange {
        Some(exchange) => exchange.ended().await,
        None => std::future::pending().await,
    }
}

/// After each promotion every object is looked at again: the new module may decide otherwise.
async fn look_again(mut promotions: watch::Receiver<Option<Arc<Active>>>, controller: Arc<Controller>) {
    while promotions.changed().await.is_ok() {
        controller.wake_all().await;
    }
    // Without a table of modules the host is shutting down.
    std::future::pending().await
}

async fn watch_on(cluster: &Cluster, kind: &Resource) {
    while let Err(error) = cluster.watch(kind).await {
        tracing::warn!(kind = %kind.kind, %error, "the kind cannot be watched yet");
        tokio::time::sleep(WATCH_RETRY).await;
    }
}

/// From changes in the cluster to the objects that they concern.
async fn dispatch(mut changes: UnboundedReceiver<Change>, controllers: HashMap<String, Arc<Controller>>, shared: Shared) {
    while let Some(change) = changes.recv().await {
        controllers.values().filter(|c| c.reconciles(&change.object)).for_each(|c| c.wake(&change.object, Wake::Change));
        let concerned = shared.index.lock().expect("no holder of the lock can panic").concerned(&change);
        for (slot, object) in concerned {
            if let Some(controller) = controllers.get(&slot) {
                controller.wake(&object, Wake::Change);
            }
        }
    }
}

/// Every kind that the settings name, and Secrets.
fn kinds(settings: &Settings) -> BTreeSet<Resource> {
    let secrets = Resource {
        api_version: "v1".into(),
        kind: "Secret".into(),
        resource: "secrets".into(),
        cluster_scoped: false,
        namespaces: Vec::new(),
    };
    settings.reconcilers.values().flat_map(Reconciler::kinds).cloned().chain([secrets]).collect()
}
