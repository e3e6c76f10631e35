//! `doltdb-operator module …`: what an author of reconcilers does before there is a cluster. Nothing here speaks to one.
//! Only [`push`] speaks to anybody, a registry.
//!
//! Modules are compiled in this process: it ends afterwards, and takes the memory with it.

mod push;

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand, ValueEnum};
use host::{
    contract::Description,
    gateway::{Ending, Journal},
    module::{Admission, Compiler, Parcel, Source, component, digest, pack, sign},
    runtime::{Guest, Runtime},
    settings::{Limits, Settings},
    swap::{differences, replay},
};
use serde_json::json;

/// The domain of label and annotations, as the chart has it in the host's settings.
const DOMAIN: &str = "k8s.dolthub.com";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What to do with a module.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Show what a module is: digest, size, and what it says of itself
    Inspect {
        /// The component, as it is or as zstd
        module: PathBuf,
    },
    /// Hold a module against the operator's settings, as the operator does before it runs one
    Verify(Verify),
    /// Sign a module, and print the signature; or a ConfigMap that carries both
    Sign(Sign),
    /// Push a module into a registry, and print the name by which a ConfigMap refers to it
    Push(push::Push),
    /// Compare the decisions of two modules, by journals of the past
    Diff {
        /// The one that runs
        old: PathBuf,
        /// The one that should
        new: PathBuf,
        /// What the operator serves at /journals/SLOT
        #[arg(long, value_name = "FILE")]
        journals: PathBuf,
    },
    /// Let a module decide again what is in journals, and compare it with what was decided
    Replay {
        /// The component
        module: PathBuf,
        /// What the operator serves at /journals/SLOT
        #[arg(long, value_name = "FILE")]
        journals: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The component, as it is or as zstd
    module: PathBuf,
    /// The operator's settings, as in its Secret: grants, keys, the reconcilers' own settings
    #[arg(long, value_name = "FILE")]
    settings: PathBuf,
    /// For which slot; the module's own name if absent
    #[arg(long)]
    slot: Option<String>,
    /// A signature as base64
    #[arg(long)]
    signature: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// The component, as it is or as zstd
    module: PathBuf,
    /// A private ed25519 key (PEM): openssl genpkey -algorithm ed25519
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t = Form::Signature)]
    output: Form,
    /// The ConfigMap's name; module-SLOT if absent
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Signature and public key
    Signature,
    /// A manifest for kubectl apply --server-side; without a key it is unsigned
    ConfigMap,
}

/// Does it, and gives what to print. Whether all is well is the second value.
pub(crate) async fn perform(task: Task) -> Result<(String, bool)> {
    match task {
        Task::Inspect { module } => inspect(&module).await,
        Task::Verify(verify) => self::verify(verify).await,
        Task::Sign(sign) => self::sign_module(sign).await,
        Task::Push(push) => push::push(push).await,
        Task::Diff { old, new, journals } => diff(&old, &new, &journals).await,
        Task::Replay { module, journals } => replayed(&module, &journals).await,
    }
}

/// A module's file, unpacked, and loaded into an engine of its own.
struct Opened {
    wasm: Vec<u8>,
    guest: Guest,
}

impl Opened {
    fn read(file: &Path) -> Result<Vec<u8>> {
        let bytes = fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        Ok(component(&bytes).map_err(|refusal| format!("{} {refusal}", file.display()))?.into_owned())
    }

    fn open(file: &Path) -> Result<Self> {
        let wasm = Self::read(file)?;
        let said = |error: host::runtime::RuntimeError| format!("{}: {error}", file.display());
        let runtime = Runtime::new(&Limits::default())?;
        let folder = tempfile::tempdir()?;
        let code = folder.path().join("code.cwasm");
        fs::write(&code, runtime.compile(&wasm).map_err(said)?)?;
        Ok(Self { guest: runtime.load(&code).map_err(said)?, wasm })
    }
}

async fn inspect(file: &Path) -> Result<(String, bool)> {
    let Opened { wasm, guest } = Opened::open(file)?;
    let Description { name, version, reconciles, permissions, settings_schema } = guest.describe().await?;
    let permissions: Vec<String> = permissions.iter().map(permission).collect();
    let schema: serde_json::Value = serde_json::from_str(&settings_schema).unwrap_or_else(|_| settings_schema.into());
    let shown = json!({
        "name": name,
        "version": version,
        "world": format!("controller:reconciler@{}", guest.world()),
        "reconciles": format!("{} {}", reconciles.api_version, reconciles.kind),
        "digest": digest(&wasm),
        "bytes": wasm.len(),
        "packedBytes": pack(&wasm)?.len(),
        "imports": guest.imports(),
        "needsWasi": guest.imports_wasi(),
        "permissions": permissions,
        "settingsSchema": schema,
    });
    Ok((serde_json::to_string_pretty(&shown)?, true))
}

fn permission(permission: &host::contract::Permission) -> String {
    use host::contract::Permission;
    let kind = |verb: &str, kind: &host::contract::Kind| format!("{verb} {} {}", kind.api_version, kind.kind);
    match permission {
        Permission::Read(k) => kind("read", k),
        Permission::Apply(k) => kind("apply", k),
        Permission::Delete(k) => kind("delete", k),
        Permission::Label(k) => kind("label", k),
        Permission::Secret(name) => format!("secret {name}"),
        Permission::Authority(name) => format!("authority {name}"),
        Permission::GenerateSecret(name) => format!("generate secret {name}"),
        Permission::SqlRead(name) => format!("query {name}"),
        Permission::SqlWrite(name) => format!("write on {name}"),
    }
}

async fn verify(Verify { module, settings, slot, signature }: Verify) -> Result<(String, bool)> {
    let mut settings = Settings::load(&settings)?;
    // The operator's own cache is not touched.
    let folder = tempfile::tempdir()?;
    settings.modules.cache = folder.path().join("cache");
    let slot = match slot {
        Some(slot) => slot,
        None => Opened::open(&module)?.guest.describe().await?.name,
    };
    let runtime = Arc::new(Runtime::new(&settings.limits)?);
    let admission = Admission::new(&settings, runtime, Compiler::own_program()?)?;
    let bytes = fs::read(&module).map_err(|error| format!("cannot read {}: {error}", module.display()))?;
    let parcel = Parcel { bytes: bytes.as_slice().into(), announced: None, signature };
    let name = module.display().to_string();
    match admission.from_outside(&slot, Source::Folder { file: module }, &parcel).await {
        Ok(admitted) => {
            let warning = admitted.warning.map(|warning| format!("; but {warning}")).unwrap_or_default();
            Ok((format!("{name}: version {} may run in slot {slot}{warning}", admitted.description.version), true))
        }
        Err(refusal) => Ok((format!("{name}: {}: {refusal}", refusal.reason()), false)),
    }
}

async fn sign_module(Sign { module, key, output, name }: Sign) -> Result<(String, bool)> {
    let key = key.map(|key| fs::read_to_string(&key).map_err(|error| format!("cannot read {}: {error}", key.display()))).transpose()?;
    let wasm = Opened::read(&module)?;
    let digest = digest(&wasm);
    let signed = key.map(|key| sign(&digest, &key)).transpose()?;
    if output == Form::Signature {
        let signed = signed.ok_or("a signature takes a key: --key FILE")?;
        return Ok((format!("digest: {digest}\nsignature: {}\npublic key: {}", signed.signature, signed.public_key), true));
    }
    let slot = Opened::open(&module)?.guest.describe().await?.name;
    let mut manifest = config_map(&slot, name, &digest, signed.map(|signed| signed.signature));
    manifest["binaryData"] = json!({ "module.wasm.zst": base64(&pack(&wasm)?) });
    Ok((serde_json::to_string_pretty(&manifest)?, true))
}

/// The ConfigMap that offers a module, without its content.
fn config_map(slot: &str, name: Option<String>, digest: &str, signature: Option<String>) -> serde_json::Value {
    let mut annotations = json!({ format!("{DOMAIN}/module-sha256"): digest });
    if let Some(signature) = signature {
        annotations[format!("{DOMAIN}/module-signature")] = signature.into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name.unwrap_or_else(|| format!("module-{slot}")),
            "labels": { format!("{DOMAIN}/module"): slot },
            "annotations": annotations,
        },
    })
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

fn journals(file: &Path) -> Result<Vec<Journal>> {
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{} holds no journals: {error}", file.display()))?)
}

async fn diff(old: &Path, new: &Path, file: &Path) -> Result<(String, bool)> {
    let (old, new) = (Opened::open(old)?.guest, Opened::open(new)?.guest);
    let mut report = Report::default();
    for journal in journals(file)? {
        match (replay(&old, &journal).await, replay(&new, &journal).await) {
            // The journal is not of the old one: it says nothing of either.
            (Err(divergence), _) => report.skip(&journal, &format!("the old module asks otherwise: {divergence}")),
            (Ok(_), Err(divergence)) => report.differs(&journal, &[divergence.to_string()]),
            (Ok(old), Ok(new)) => report.compare(&journal, &old, &new),
        }
    }
    Ok(report.finish())
}

async fn replayed(module: &Path, file: &Path) -> Result<(String, bool)> {
    let guest = Opened::open(module)?.guest;
    let mut report = Report::default();
    for journal in journals(file)? {
        match replay(&guest, &journal).await {
            Err(divergence) => report.differs(&journal, &[divergence.to_string()]),
            Ok(ending) => report.compare(&journal, &journal.ending, &ending),
        }
    }
    Ok(report.finish())
}

/// Decisions that were compared, for a person to read.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    same: usize,
    different: usize,
}

impl Report {
    fn compare(&mut self, journal: &Journal, old: &Ending, new: &Ending) {
        match differences(old, new) {
            lines if lines.is_empty() => self.same += 1,
            lines => self.differs(journal, &lines),
        }
    }

    fn differs(&mut self, journal: &Journal, lines: &[String]) {
        self.different += 1;
        self.lines.push(journal.subject.object.to_string());
        self.lines.extend(lines.iter().map(|line| format!("  {line}")));
    }

    fn skip(&mut self, journal: &Journal, why: &str) {
        self.lines.push(format!("{}: not compared: {why}", journal.subject.object));
    }

    fn finish(mut self) -> (String, bool) {
        self.lines.push(format!("{} decisions are the same, {} are not", self.same, self.different));
        (self.lines.join("\n"), self.different == 0)
    }
}
