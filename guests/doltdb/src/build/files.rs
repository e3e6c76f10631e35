//! Files that a server gets from Secrets of the user's: certificates for the servers among themselves and for clients, and what AWS asks of who
//! makes backups.

use crds::names;
use sdk::{Fields, Json, object};

use super::{
    env::{Variable, literal},
    form::Form,
};
use crate::target::Target;

/// Where the certificates are.
pub(super) const TLS_FOLDER: &str = "/etc/doltdb-tls";
/// Where the certificate for clients is, with its authority.
pub(super) const LISTENER_TLS_FOLDER: &str = "/etc/doltdb-listener-tls";
/// The volume with it.
const LISTENER_TLS: &str = "listener-tls";
/// Where the files of AWS are. A server looks into them at each backup, and the kubelet keeps them up to date without a restart.
const AWS_FOLDER: &str = "/etc/doltdb-aws";

/// A Secret as a volume, and its place.
struct Files<'a> {
    volume: &'static str,
    secret: Fields<'a>,
    folder: &'static str,
}

fn files(target: &Target, form: Form) -> impl Iterator<Item = Files<'_>> {
    let remotes_api = target.spec.server.cluster.remotes_api.tls.as_ref().filter(|_| target.replication.enabled).map(|tls| Files {
        volume: "remotesapi-tls",
        secret: object! { "secretName": &tls.secret_name },
        folder: TLS_FOLDER,
    });
    let listener = target.listener_tls.as_ref().map(|tls| Files {
        volume: LISTENER_TLS,
        secret: object! { "secretName": &tls.secret },
        folder: LISTENER_TLS_FOLDER,
    });
    let aws = (form == Form::AwsFiles).then(|| Files {
        volume: "aws",
        secret: object! { "secretName": names::aws_secret(target.name()), "optional": true },
        folder: AWS_FOLDER,
    });
    remotes_api.into_iter().chain(listener).chain(aws)
}

/// The volumes of the pod.
pub(super) fn volumes(target: &Target, form: Form) -> impl Iterator<Item = Json<'_>> {
    files(target, form).map(|files| object! { "name": files.volume, "secret": files.secret }.into())
}

/// Their places in the server's container.
pub(super) fn mounts(target: &Target, form: Form) -> impl Iterator<Item = Json<'_>> {
    files(target, form).map(mount)
}

/// The places in the container that prepares the volume: of the files that it takes to ask the other servers.
pub(super) fn mounts_to_prepare(target: &Target, form: Form) -> impl Iterator<Item = Json<'_>> {
    files(target, form).filter(|files| files.volume == LISTENER_TLS).map(mount)
}

fn mount(files: Files<'_>) -> Json<'_> {
    object! { "name": files.volume, "mountPath": files.folder, "readOnly": true }.into()
}

/// Variables of the server that name them. A file that is not there is no mistake for AWS.
pub(super) fn env(form: Form) -> Vec<Variable<'static>> {
    if form != Form::AwsFiles {
        return Vec::new();
    }
    let files = [("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config")];
    files.map(|(variable, file)| literal(variable, format!("{AWS_FOLDER}/{file}"))).into()
}
