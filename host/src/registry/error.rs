//! Why an artifact was not pulled or pushed, by what a person would do about it.

use std::{error::Error, io};

use hyper::StatusCode;
use serde::Deserialize;

/// A registry did not do as it was asked, or what it has is no module.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The settings do not name the registry.
    #[error("registry {registry} is not among modules.registries.allowed of the settings ({})", if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") })]
    NotAllowed {
        /// Host, and port where it has one.
        registry: String,
        /// Patterns of the settings.
        allowed: Vec<String>,
    },
    /// There is no way to the registry.
    #[error("registry {registry} cannot be reached: {message}")]
    Unreachable {
        /// Host, and port where it has one.
        registry: String,
        /// What happened.
        message: String,
    },
    /// It takes too long.
    #[error("registry {registry} takes longer than {seconds} s")]
    TooSlow {
        /// Host, and port where it has one.
        registry: String,
        /// The limit.
        seconds: u64,
    },
    /// It refuses the login, or wants one.
    #[error("registry {registry} does not let {who} in: {message}")]
    NotAuthorized {
        /// Host, and port where it has one.
        registry: String,
        /// By which account.
        who: String,
        /// What it said.
        message: String,
    },
    /// It has no such artifact.
    #[error("registry {registry} has no such artifact: {message}")]
    NotFound {
        /// Host, and port where it has one.
        registry: String,
        /// What it said.
        message: String,
    },
    /// It answered with another error, or with something else than was asked for.
    #[error("registry {registry} answered with an error: {message}")]
    Failed {
        /// Host, and port where it has one.
        registry: String,
        /// What it said.
        message: String,
    },
    /// The artifact is something else.
    #[error("the artifact is no module: {0}")]
    NotAModule(String),
    /// The module in it is too long.
    #[error("the module is longer than {limit_mib} MiB")]
    TooLong {
        /// How long a module may be.
        limit_mib: u64,
    },
    /// What is trusted cannot be set up.
    #[error("cannot set up the way to registries: {0}")]
    Client(String),
    /// The own disk.
    #[error("cannot keep the artifact: {0}")]
    Disk(#[from] io::Error),
}

impl RegistryError {
    /// A name for the case in upper camel case, for an annotation, an event, a metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } => "RegistryNotAllowed",
            Self::Unreachable { .. } => "RegistryUnreachable",
            Self::TooSlow { .. } => "RegistryTooSlow",
            Self::NotAuthorized { .. } => "NotAuthorized",
            Self::NotFound { .. } => "ArtifactNotFound",
            Self::Failed { .. } => "RegistryFailed",
            Self::NotAModule(_) => "NotAModule",
            Self::TooLong { .. } => "TooLong",
            Self::Client(_) => "RegistryClient",
            Self::Disk(_) => "CacheFailed",
        }
    }

    /// Whether another try cannot come to anything else: what a digest names does not change, and settings are read once.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::NotAllowed { .. } | Self::NotAModule(_) | Self::TooLong { .. })
    }

    /// There was no answer.
    pub(super) fn unreachable(registry: &str, error: &dyn Error) -> Self {
        Self::Unreachable { registry: registry.into(), message: causes(error) }
    }

    /// The answer was another than was asked for. Registries say why in a list of errors.
    pub(super) fn answered(registry: &str, who: &str, status: StatusCode, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Envelope {
            errors: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        let said = match serde_json::from_slice::<Envelope>(body) {
            Ok(envelope) => {
                envelope.errors.into_iter().map(|e| if e.message.is_empty() { e.code } else { e.message }).collect::<Vec<_>>().join("; ")
            }
            Err(_) => String::new(),
        };
        let message = if said.is_empty() { format!("status {status}") } else { cut(&said) };
        let (registry, who) = (registry.to_owned(), who.to_owned());
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::NotAuthorized { registry, who, message },
            StatusCode::NOT_FOUND => Self::NotFound { registry, message },
            _ => Self::Failed { registry, message },
        }
    }
}

/// The innermost cause says what happened; what is around it, only which library was told so.
fn causes(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    cut(&innermost.to_string())
}

/// Whatever a registry says, it is not to fill an annotation.
fn cut(text: &str) -> String {
    text.trim().chars().take(300).collect()
}
