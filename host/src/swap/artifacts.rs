//! Artifacts that offers refer to. Each is fetched by a task of its own, again and again until it is here, and is kept on the disk then, so
//! that a restart does not need the registry. It knows nothing of how an offer stands.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    module::{Bytes, Refusal, Trouble},
    registry::{Login, Logins, Pinned, Registry, RegistryError, Store},
    settings::Registries,
};

/// Before the second try. Each pause is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Between two tries at last.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Where a Secret of the type below has its logins.
const LOGINS: &str = ".dockerconfigjson";
const SECRET_TYPE: &str = "kubernetes.io/dockerconfigjson";

/// An artifact, and the Secret with the login for its registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) artifact: Pinned,
    pub(super) pull_secret: Option<String>,
}

/// Where artifacts come from, and where they are kept.
#[derive(Clone)]
pub(super) struct Depot {
    pub(super) registry: Registry,
    pub(super) store: Store,
    /// Those of the host's namespace.
    pub(super) secrets: Api<Secret>,
    pub(super) settings: Registries,
}

/// All artifacts that are referred to.
pub(super) struct Artifacts {
    depot: Depot,
    known: BTreeMap<Wanted, State>,
    news: (mpsc::UnboundedSender<News>, mpsc::UnboundedReceiver<News>),
}

type News = (Wanted, Result<(PathBuf, String), Failure>);

enum State {
    /// Why the last try came to nothing; the task ends with this value.
    Fetching {
        last: Option<Trouble>,
        _task: JoinSet<()>,
    },
    Refused(Trouble),
    Here(PathBuf, String),
}

/// A try that came to nothing.
struct Failure {
    trouble: Trouble,
    is_final: bool,
}

impl Artifacts {
    pub(super) fn new(depot: Depot) -> Self {
        Self { depot, known: BTreeMap::new(), news: mpsc::unbounded_channel() }
    }

    /// The module of an artifact with its digest, or how far it has come. The first to ask has it fetched.
    pub(super) fn content(&mut self, wanted: &Wanted) -> Result<(String, Bytes), Refusal> {
        let Self { depot, known, news } = self;
        let state = known.entry(wanted.clone()).or_insert_with(|| match depot.store.find(wanted.artifact.digest()) {
            Some((path, digest)) => State::Here(path, digest),
            None => {
                let mut task = JoinSet::new();
                task.spawn(fetch(depot.clone(), wanted.clone(), news.0.clone()));
                State::Fetching { last: None, _task: task }
            }
        });
        match state {
            State::Here(path, digest) => Ok((digest.clone(), Bytes::File(path.clone()))),
            State::Refused(trouble) => Err(Refusal::Artifact(trouble.clone())),
            State::Fetching { last, .. } => Err(Refusal::Fetching { artifact: wanted.artifact.to_string(), trouble: last.clone() }),
        }
    }

    /// Forgets what nobody refers to any more, on the disk too.
    pub(super) fn tidy<'a>(&mut self, wanted: impl Iterator<Item = &'a Wanted>) {
        let wanted: Vec<&Wanted> = wanted.collect();
        self.known.retain(|known, _| wanted.contains(&known));
        self.depot.store.tidy(&wanted.iter().map(|wanted| wanted.artifact.digest()).collect::<Vec<_>>());
    }

    /// Ready when one has come, or a try for one has failed.
    pub(super) async fn changed(&mut self) {
        // This value holds a sender.
        let Some((wanted, outcome)) = self.news.1.recv().await else { return std::future::pending().await };
        let Some(state) = self.known.get_mut(&wanted) else { return };
        match (outcome, &mut *state) {
            (Ok((path, digest)), _) => *state = State::Here(path, digest),
            (Err(Failure { trouble, is_final: true }), _) => *state = State::Refused(trouble),
            (Err(Failure { trouble, .. }), State::Fetching { last, .. }) => *last = Some(trouble),
            (Err(_), _) => {}
        }
    }
}

async fn fetch(depot: Depot, wanted: Wanted, news: mpsc::UnboundedSender<News>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let outcome = depot.fetch(&wanted).await;
        let artifact = wanted.artifact.to_string();
        let again = match &outcome {
            Ok((_, digest)) => {
                tracing::info!(artifact, digest, "a module was pulled");
                false
            }
            Err(Failure { trouble, is_final }) => {
                tracing::warn!(artifact, reason = trouble.reason, message = trouble.message, is_final, "a module cannot be pulled");
                !is_final
            }
        };
        if news.send((wanted.clone(), outcome)).is_err() || !again {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

impl Depot {
    async fn fetch(&self, wanted: &Wanted) -> Result<(PathBuf, String), Failure> {
        let login = match &wanted.pull_secret {
            Some(secret) => Some(self.login(secret, wanted.artifact.registry()).await?),
            None => None,
        };
        let wasm = self.registry.pull(&wanted.artifact, login.as_ref()).await?;
        Ok(self.store.keep(wanted.artifact.digest(), &wasm).map_err(RegistryError::from)?)
    }

    async fn login(&self, name: &str, registry: &str) -> Result<Login, Failure> {
        let wrong = |reason, message: String, is_final| Failure { trouble: Trouble { reason, message }, is_final };
        if !self.settings.pull_secrets.iter().any(|granted| granted == name) {
            let granted = self.settings.pull_secrets.join(", ");
            let granted = if granted.is_empty() { "none" } else { &granted };
            let message =
                format!("names the pull Secret {name}, which is not among modules.registries.pullSecrets of the settings ({granted})");
            return Err(wrong("PullSecretNotGranted", message, true));
        }
        let secret =
            self.secrets.get_opt(name).await.map_err(|e| wrong("PullSecret", format!("Secret {name} cannot be read: {e}"), false))?;
        let missing = |what: &str| wrong("PullSecret", format!("Secret {name} {what}"), false);
        let secret = secret.ok_or_else(|| missing("does not exist"))?;
        if secret.type_.as_deref() != Some(SECRET_TYPE) {
            return Err(missing(&format!("is not of type {SECRET_TYPE}")));
        }
        let data = secret.data.as_ref().and_then(|data| data.get(LOGINS)).ok_or_else(|| missing(&format!("has no {LOGINS}")))?;
        let logins = Logins::parse(&data.0).map_err(|error| missing(&format!("is {error}")))?;
        logins.of(registry).cloned().ok_or_else(|| missing(&format!("has no login for {registry}")))
    }
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let is_final = error.is_final();
        let message = if is_final { format!("cannot be fetched: {error}") } else { error.to_string() };
        Self { trouble: Trouble { reason: error.reason(), message }, is_final }
    }
}
