//! `module push`: a module becomes an artifact of a registry, with the login that `docker login` left.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use clap::{Args, ValueEnum};
use host::{
    module::{digest, sign},
    registry::{Interface, Login, Logins, Registry, Target},
    settings::Registries,
};
use serde::Deserialize;
use serde_json::json;

use super::{Opened, Result, config_map};

#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The component, as it is or as zstd
    module: PathBuf,
    /// Where to: REGISTRY/REPOSITORY[:TAG]; the module's version if there is no tag
    target: String,
    /// What to print
    #[arg(long, value_enum, default_value_t = Form::Reference)]
    output: Form,
    /// A private ed25519 key (PEM), by which the ConfigMap is signed
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The ConfigMap's name; module-SLOT if absent
    #[arg(long)]
    name: Option<String>,
    /// The Secret with the login by which the operator pulls, for the ConfigMap
    #[arg(long, value_name = "NAME")]
    pull_secret: Option<String>,
    /// Speak to the registry without TLS
    #[arg(long)]
    plain_http: bool,
    /// Trust these certificates (PEM) beside those of the system
    #[arg(long, value_name = "FILE")]
    certificate_authorities: Option<PathBuf>,
    /// Docker's configuration with logins; $DOCKER_CONFIG/config.json or ~/.docker/config.json if absent
    #[arg(long, value_name = "FILE")]
    docker_config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The artifact's name with its digest
    Reference,
    /// A manifest for kubectl apply --server-side that refers to it
    ConfigMap,
}

pub(super) async fn push(push: Push) -> Result<(String, bool)> {
    let Opened { wasm, guest } = Opened::open(&push.module)?;
    let description = guest.describe().await?;
    let target = Target::named(&push.target, &description.version)?;
    let own = |file: &PathBuf| fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()));
    let registry = Registry::new(&Registries {
        plain_http: if push.plain_http { vec![target.registry().to_owned()] } else { Vec::new() },
        certificate_authorities: push.certificate_authorities.as_ref().map(own).transpose()?.unwrap_or_default(),
        ..Registries::default()
    });
    let login = login(push.docker_config.as_deref(), target.registry())?;
    let interface = Interface { imports: guest.imports(), exports: vec!["describe".into(), "reconcile".into()] };
    let pinned = registry.push(&target, login.as_ref(), &wasm, &interface).await?;
    if push.output == Form::Reference {
        return Ok((pinned.to_string(), true));
    }
    let digest = digest(&wasm);
    let signed = push.key.as_ref().map(own).transpose()?.map(|key| sign(&digest, &key)).transpose()?;
    let mut manifest = config_map(&description.name, push.name, &digest, signed.map(|signed| signed.signature));
    manifest["data"] = json!({"reference": pinned.to_string()});
    if let Some(secret) = push.pull_secret {
        manifest["data"]["pullSecret"] = secret.into();
    }
    Ok((serde_json::to_string_pretty(&manifest)?, true))
}

/// Who keeps which login, in docker's configuration.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Helpers {
    creds_store: String,
    cred_helpers: std::collections::BTreeMap<String, String>,
}

/// The login for a registry: in the file itself, or with the helper that it names.
fn login(file: Option<&Path>, registry: &str) -> Result<Option<Login>> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let usual = || Some(folder.or_else(|| Some(std::env::home_dir()?.join(".docker")))?.join("config.json"));
    let text = match file.map(Path::to_owned) {
        Some(file) => fs::read(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?,
        None => match usual().and_then(|file| fs::read(file).ok()) {
            Some(text) => text,
            None => return Ok(None),
        },
    };
    let logins = Logins::parse(&text).map_err(|error| format!("docker's configuration is {error}"))?;
    if let Some(login) = logins.of(registry) {
        return Ok(Some(login.clone()));
    }
    let helpers: Helpers = serde_json::from_slice(&text).unwrap_or_default();
    let helper = helpers.cred_helpers.get(registry).cloned().unwrap_or(helpers.creds_store);
    if helper.is_empty() { Ok(None) } else { ask(&helper, registry) }
}

/// Asks a credential helper, by docker's protocol: the registry on its input, JSON on its output.
fn ask(helper: &str, registry: &str) -> Result<Option<Login>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: String,
    }
    let program = format!("docker-credential-{helper}");
    let failed = |error: std::io::Error| format!("cannot ask {program}: {error}");
    let mut child = Command::new(&program).arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        std::io::Write::write_all(&mut input, registry.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        // It has none for this registry.
        return Ok(None);
    }
    let Answer { username, secret } =
        serde_json::from_slice(&output.stdout).map_err(|_| format!("{program} answers otherwise than it should"))?;
    Ok(Some(Login { user: username, password: secret }))
}
