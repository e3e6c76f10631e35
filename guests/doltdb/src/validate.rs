//! What stands in the way before anything is built: mistakes in the spec, changes that would do harm, things that the user has to provide.

use crds::{FieldError, names};
use dolt::Obstacle;

use crate::{form::Form, observe::Observed, target::Target};

/// What is missing, and how far the children may nevertheless go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Nothing is in the way.
    Open,
    /// All children but the StatefulSet may be there.
    NoPods(Obstacle),
    /// The children stay as they are.
    Closed(Obstacle),
}

impl Gate {
    pub(crate) fn obstacle(&self) -> Option<&Obstacle> {
        match self {
            Self::Open => None,
            Self::NoPods(obstacle) | Self::Closed(obstacle) => Some(obstacle),
        }
    }
}

pub(crate) fn gate(target: &Target, observed: &Observed) -> Gate {
    if let Some(obstacle) = invalid_spec(&target.spec.mistakes()) {
        return Gate::Closed(obstacle);
    }
    if let Some(obstacle) = taken_name(target, observed).or_else(|| refused_change(target)) {
        return Gate::Closed(obstacle);
    }
    let obstacle = credentials(target, observed)
        .or_else(|| refused(target, observed))
        .or_else(|| storage_class(target, observed))
        .or_else(|| observed.restore.obstacle.clone());
    if let Some(obstacle) = obstacle {
        return Gate::NoPods(obstacle);
    }
    Gate::Open
}

fn invalid_spec(mistakes: &[FieldError]) -> Option<Obstacle> {
    if mistakes.is_empty() {
        return None;
    }
    let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    Some(Obstacle::new("InvalidSpec", format!("Invalid spec: {}", mistakes.join("; "))))
}

fn taken_name(target: &Target, observed: &Observed) -> Option<Obstacle> {
    let owner = observed.stateful_set.as_ref()?.body.metadata.controller().filter(|owner| owner.uid != target.header.uid)?;
    let message = format!("StatefulSet \"{}\" belongs to {} \"{}\": give this DoltDB another name", target.name(), owner.kind, owner.name);
    Some(Obstacle::new("NameTaken", message))
}

/// Changes of a running cluster that would take data away.
fn refused_change(target: &Target) -> Option<Obstacle> {
    match &target.form {
        Form::Refused(obstacle) => Some(obstacle.clone()),
        Form::Settled | Form::TurningOff | Form::TurningOn => None,
    }
}

fn credentials(target: &Target, observed: &Observed) -> Option<Obstacle> {
    let secret = names::credentials_secret(target.name());
    let (user, password) = (names::ADMIN_USER_KEY, names::ADMIN_PASSWORD_KEY);
    let message = match &observed.missing_credentials {
        Some(missing) if missing.is_empty() => return None,
        Some(missing) => format!("Secret \"{secret}\" has no key \"{}\": add it", missing.join("\" and no key \"")),
        None => format!(
            "there is no Secret \"{secret}\": create it in namespace \"{}\" with the keys \"{user}\" and \"{password}\"",
            target.namespace()
        ),
    };
    Some(Obstacle::new("CredentialsMissing", message))
}

/// The servers know another account or password than the Secret says.
fn refused(target: &Target, observed: &Observed) -> Option<Obstacle> {
    let ordinal = observed.refusing.first()?;
    let (secret, key) = (names::credentials_secret(target.name()), names::ADMIN_PREVIOUS_PASSWORD_KEY);
    let message = format!(
        "{} does not let the account of Secret \"{secret}\" in: if \"{}\" was changed, set it back, an administrator cannot be renamed; \
         if \"{}\" was changed, put the former one into its key \"{key}\", and the new one is set on all servers",
        target.pod(*ordinal),
        names::ADMIN_USER_KEY,
        names::ADMIN_PASSWORD_KEY
    );
    Some(Obstacle::new("CredentialsRefused", message))
}

fn storage_class(target: &Target, observed: &Observed) -> Option<Obstacle> {
    let others = observed.other_storage_classes.as_ref()?;
    let wanted = target.spec.storage.storage_class_name.as_deref().unwrap_or_default();
    let others = if others.is_empty() { "there are none".to_owned() } else { format!("there are: {}", others.join(", ")) };
    let message = format!(
        "spec.storage.storageClassName: there is no StorageClass \"{wanted}\" ({others}): create it, or delete this DoltDB and name another class"
    );
    Some(Obstacle::new("StorageClassMissing", message))
}
