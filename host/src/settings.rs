//! The host's settings: one YAML file that the chart renders. What is particular to a product (label domain, names, kinds) stands there
//! and nowhere in this crate.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::figures::Figure;

/// The settings file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// The product's name: prefix of field managers (`<product>-<reconciler>`), source of events.
    pub product: String,
    /// The domain of the labels, annotations and condition types that the host itself writes.
    pub domain: String,
    /// Field managers of programs that did this work before. What they wrote of an object becomes its reconciler's at the first apply, so that
    /// what is not wanted any more goes; while one of them is seen to write on, nothing is written against it.
    #[serde(default)]
    pub predecessors: Vec<String>,
    /// Namespaces to watch; empty: all.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Leader election; absent: this process leads at once.
    #[serde(default)]
    pub leader_election: Option<LeaderElection>,
    /// Where the key is kept with which digests of Secrets are made; absent: a new one in each process.
    #[serde(default)]
    pub digest_key: Option<DigestKey>,
    /// Where modules come from.
    pub modules: Modules,
    /// Limits of every call into a reconciler.
    #[serde(default)]
    pub limits: Limits,
    /// The reconcilers by slot name.
    pub reconcilers: BTreeMap<String, Reconciler>,
}

/// The Lease by which one of several replicas leads.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaderElection {
    /// The Lease's name.
    pub name: String,
    /// The Lease's namespace.
    pub namespace: String,
    /// How long a lease counts without renewal, in seconds.
    #[serde(default = "lease_duration")]
    pub lease_duration_seconds: u32,
    /// After how long without renewal the holder stops to write, in seconds. Less than the lease's duration.
    #[serde(default = "renew_deadline")]
    pub renew_deadline_seconds: u32,
    /// Between two tries, in seconds.
    #[serde(default = "retry_period")]
    pub retry_period_seconds: u32,
}

fn lease_duration() -> u32 {
    15
}
fn renew_deadline() -> u32 {
    10
}
fn retry_period() -> u32 {
    2
}

/// The Secret with the key for digests. The host makes it where it is missing.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DigestKey {
    /// The Secret's name.
    pub name: String,
    /// The Secret's namespace.
    pub namespace: String,
}

/// Where modules come from and where their machine code is kept.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Modules {
    /// The folder with `<slot>.wasm` of each reconciler, in the image.
    pub folder: PathBuf,
    /// A private folder for compiled code, keyed by digest and engine. Never filled from outside.
    pub cache: PathBuf,
    /// ConfigMaps that replace modules of the folder; absent: they don't.
    #[serde(default)]
    pub config_maps: Option<ConfigMaps>,
    /// Registries from which a ConfigMap may name a module.
    #[serde(default)]
    pub registries: Registries,
    /// Which modules from outside of the folder have to be signed, and by whom.
    #[serde(default)]
    pub signatures: Signatures,
    /// For how long a new module is watched closely after its promotion, in seconds.
    #[serde(default = "probation")]
    pub probation_seconds: u32,
}

fn probation() -> u32 {
    120
}

/// ConfigMaps as a source of modules. They carry the label `<domain>/module: <slot>`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMaps {
    /// Where they are looked for: the host's own namespace, and nowhere else.
    pub namespace: String,
}

/// Registries with modules as OCI artifacts. What is not listed is not spoken to.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Registries {
    /// Hosts, with their port where they have one; `*` stands for any run of characters.
    pub allowed: Vec<String>,
    /// Hosts, with their port where they have one, that are spoken to without TLS.
    pub plain_http: Vec<String>,
    /// Names of Secrets (`kubernetes.io/dockerconfigjson`) in the host's namespace that a ConfigMap may name.
    pub pull_secrets: Vec<String>,
    /// Certificates in PEM that are trusted beside those of the system.
    pub certificate_authorities: String,
}

/// Signatures of modules that come from outside of the folder.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Signatures {
    /// What is done about a module without a valid signature.
    pub mode: SignatureMode,
    /// Public keys (ed25519) by a name for people: PEM, or the 32 bytes as base64.
    pub keys: BTreeMap<String, String>,
}

/// What is done about a module without a valid signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SignatureMode {
    /// It is refused.
    Required,
    /// It may run, and an event says so.
    #[default]
    Warn,
    /// Nobody looks.
    Off,
}

/// What a call into a reconciler may use. Passing a limit ends the call.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Linear memory of an instance, in MiB.
    pub memory_mib: u32,
    /// Time on the CPU without a host call in between, in milliseconds.
    pub cpu_ms: u32,
    /// A whole call, waiting for reads included, in milliseconds.
    pub wall_ms: u32,
    /// Reads in one reconcile.
    pub reads: u32,
    /// Effects in one plan.
    pub effects: u32,
    /// Rows that one statement may return, whatever it asks for.
    pub rows: u32,
    /// Bytes of one log line, and of what a call may make the host allocate is a multiple of it.
    pub log_bytes: u32,
    /// Rounds of one object in a minute. An object that passes it waits for the minute to end.
    pub rounds_per_minute: u32,
    /// Tasks of one object, those included that have ended and are not forgotten.
    pub tasks_per_object: u32,
    /// Tasks that run at the same time, of all objects.
    pub tasks: u32,
    /// How long one task may take, whatever it asks for, in seconds.
    pub task_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_mib: 64,
            cpu_ms: 1_000,
            wall_ms: 60_000,
            reads: 1_000,
            effects: 200,
            rows: 10_000,
            log_bytes: 8_192,
            rounds_per_minute: 240,
            tasks_per_object: 8,
            tasks: 64,
            task_seconds: 86_400,
        }
    }
}

impl Limits {
    /// The time of a whole call.
    pub fn wall(&self) -> Duration {
        Duration::from_millis(self.wall_ms.into())
    }
}

/// One slot: a kind, the module that reconciles it, and what it may do.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reconciler {
    /// The kind that it reconciles.
    pub reconciles: Resource,
    /// Objects reconciled at the same time.
    #[serde(default = "workers")]
    pub workers: usize,
    /// Whether the image has its module. Otherwise the slot is empty until a module is offered, and nobody misses one.
    #[serde(default = "in_image")]
    pub in_image: bool,
    /// Whether its module may import `wasi:*`, as components of Python or JavaScript do. There is nothing behind it: no files, no network, no
    /// environment, a clock that stands still.
    #[serde(default)]
    pub wasi: bool,
    /// The reconciler's own settings, by the schema in its description.
    #[serde(default)]
    pub settings: serde_json::Value,
    /// What it may read and write beside its own object. Deny by default.
    #[serde(default)]
    pub grant: Grant,
    /// Metrics that are made of its kind's objects.
    #[serde(default)]
    pub metrics: Vec<Figure>,
}

fn in_image() -> bool {
    true
}
fn workers() -> usize {
    4
}

impl Reconciler {
    /// Every kind that the slot names: its own and those of its grant.
    pub fn kinds(&self) -> impl Iterator<Item = &Resource> {
        let Grant { read, apply, delete, label, .. } = &self.grant;
        [read, apply, delete, label].into_iter().flatten().chain([&self.reconciles])
    }
}

/// A kind with the plural name by which the API server serves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resource {
    /// As in a manifest: `apps/v1`.
    pub api_version: String,
    /// In upper camel case.
    pub kind: String,
    /// Lower case plural.
    pub resource: String,
    /// Whether objects of the kind live in no namespace.
    #[serde(default)]
    pub cluster_scoped: bool,
    /// Namespaces besides the reconciled object's own where objects of the kind may be read; `*` for all. Other verbs don't go there.
    #[serde(default)]
    pub namespaces: Vec<String>,
}

/// What a reconciler may do. Absent means no.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Grant {
    /// Kinds that it may get and select.
    pub read: Vec<Resource>,
    /// Kinds that it may apply.
    pub apply: Vec<Resource>,
    /// Kinds that it may delete.
    pub delete: Vec<Resource>,
    /// Kinds whose labels it may patch.
    pub label: Vec<Resource>,
    /// Names of Secrets whose digests it may read and whose values it may refer to; `*` stands for any run of characters. A name is of the
    /// reconciled object's own namespace, `namespace/name` of that one.
    pub secrets: Vec<String>,
    /// Names of Secrets, as above, with the certificates of authorities by which it may have servers known. Those that it may use are among them.
    pub authorities: Vec<String>,
    /// Names of Secrets that it may have generated.
    pub generate_secrets: Vec<String>,
    /// Databases.
    pub sql: SqlGrant,
    /// Namespaces besides the object's own that it may reach; `*` for all.
    pub namespaces: Vec<String>,
}

/// Which database servers a reconciler may reach.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SqlGrant {
    /// Host names that it may query; `*` stands for any run of characters.
    pub read: Vec<String>,
    /// Host names where its statements may write.
    pub write: Vec<String>,
}

/// The settings file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read settings {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what is expected.
    #[error("settings {path} are wrong: {message}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Field and value.
        message: String,
    },
}

impl Settings {
    /// Reads the settings file.
    ///
    /// # Errors
    /// When the file cannot be read, is not YAML, or has an unknown or missing field.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.into(), source })?;
        let wrong = |message: String| SettingsError::Wrong { path: path.into(), message };
        let settings: Self = serde_saphyr::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        for (slot, reconciler) in &settings.reconcilers {
            if let Some(mistake) = reconciler.metrics.iter().find_map(Figure::mistake) {
                return Err(wrong(format!("reconcilers.{slot}.metrics: {mistake}")));
            }
        }
        Ok(settings)
    }
}
