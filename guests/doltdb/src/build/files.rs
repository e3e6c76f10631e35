//! Files that a server gets from Secrets of the user's: certificates for the servers among themselves and for clients, and what AWS asks of who
//! makes backups.

use std::borrow::Cow;

use crds::names;
use sdk::{Json, object};

use super::{
    env::{Variable, literal},
    form::Form,
};
use crate::target::Target;

/// Where the certificates are.
pub(super) const TLS_FOLDER: &str = "/etc/doltdb-tls";
/// Where the certificate for clients is, with its authority.
pub(super) const LISTENER_TLS_FOLDER: &str = "/etc/doltdb-listener-tls";
/// Where the files of AWS are. A server looks into them at each backup, and the kubelet keeps them up to date without a restart.
const AWS_FOLDER: &str = "/etc/doltdb-aws";
const AWS_CREDENTIALS: &str = "/etc/doltdb-aws/credentials";
const AWS_CONFIG: &str = "/etc/doltdb-aws/config";

/// A Secret as a volume, and its place.
struct Files<'a> {
    volume: &'static str,
    secret: Cow<'a, str>,
    /// Whether the pod starts without it.
    optional: bool,
    folder: &'static str,
}

/// For the servers among themselves.
fn remotes_api(target: &Target) -> Option<Files<'_>> {
    let tls = target.spec.server.cluster.remotes_api.tls.as_ref().filter(|_| target.replication.enabled)?;
    Some(Files { volume: "remotesapi-tls", secret: (&tls.secret_name).into(), optional: false, folder: TLS_FOLDER })
}

/// For clients.
fn listener(target: &Target) -> Option<Files<'_>> {
    let tls = target.listener_tls.as_ref()?;
    Some(Files { volume: "listener-tls", secret: (&tls.secret).into(), optional: false, folder: LISTENER_TLS_FOLDER })
}

fn aws(target: &Target, form: Form) -> Option<Files<'_>> {
    let secret = || names::aws_secret(target.name()).into();
    (form >= Form::AwsFiles).then(|| Files { volume: "aws", secret: secret(), optional: true, folder: AWS_FOLDER })
}

fn files(target: &Target, form: Form) -> impl Iterator<Item = Files<'_>> {
    remotes_api(target).into_iter().chain(listener(target)).chain(aws(target, form))
}

/// The volumes of the pod.
pub(super) fn volumes(target: &Target, form: Form) -> impl Iterator<Item = impl Json> {
    files(target, form).map(|Files { volume, secret, optional, .. }| {
        object! { "name": volume, "secret": object! { "optional": optional.then_some(true), "secretName": &secret } }
    })
}

/// Their places in the server's container.
pub(super) fn mounts(target: &Target, form: Form) -> impl Iterator<Item = impl Json> {
    files(target, form).map(mount)
}

/// The places in the container that prepares the volume: of the files that it takes to ask the other servers.
pub(super) fn mounts_to_prepare(target: &Target) -> impl Iterator<Item = impl Json> {
    listener(target).map(mount).into_iter()
}

fn mount(files: Files<'_>) -> impl Json {
    object! { "mountPath": files.folder, "name": files.volume, "readOnly": true }
}

/// Variables of the server that name them. A file that is not there is no mistake for AWS.
pub(super) fn env(form: Form) -> impl Iterator<Item = Variable<'static>> {
    let files = [("AWS_SHARED_CREDENTIALS_FILE", AWS_CREDENTIALS), ("AWS_CONFIG_FILE", AWS_CONFIG)];
    files.into_iter().filter(move |_| form >= Form::AwsFiles).map(|(variable, file)| literal(variable, file))
}
