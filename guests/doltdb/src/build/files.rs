//! Files that a server gets from Secrets of the user's: certificates for the servers among themselves and for clients, and what AWS asks of who
//! makes backups.

use crds::names;
use serde_json::{Value, json};

use super::{form::Form, pod::literal};
use crate::target::Target;

/// Where the certificates are.
pub(super) const TLS_FOLDER: &str = "/etc/doltdb-tls";
/// Where the certificate for clients is, with its authority.
pub(super) const LISTENER_TLS_FOLDER: &str = "/etc/doltdb-listener-tls";
/// The volume with it.
const LISTENER_TLS: &str = "listener-tls";
/// Where the files of AWS are. A server looks into them at each backup, and the kubelet keeps them up to date without a restart.
const AWS_FOLDER: &str = "/etc/doltdb-aws";

/// The Secrets as volumes, each with its place.
fn secrets(target: &Target, form: Form) -> Vec<(Value, &'static str)> {
    let mut secrets = Vec::new();
    if let Some(tls) = target.spec.server.cluster.remotes_api.tls.as_ref().filter(|_| target.replication.enabled) {
        secrets.push((json!({ "name": "remotesapi-tls", "secret": { "secretName": tls.secret_name } }), TLS_FOLDER));
    }
    if let Some(tls) = &target.listener_tls {
        secrets.push((json!({ "name": LISTENER_TLS, "secret": { "secretName": tls.secret } }), LISTENER_TLS_FOLDER));
    }
    if form == Form::AwsFiles {
        let secret = json!({ "secretName": names::aws_secret(target.name()), "optional": true });
        secrets.push((json!({ "name": "aws", "secret": secret }), AWS_FOLDER));
    }
    secrets
}

/// The volumes of the pod.
pub(super) fn volumes(target: &Target, form: Form) -> impl Iterator<Item = Value> {
    secrets(target, form).into_iter().map(|(volume, _)| volume)
}

/// Their places in the server's container.
pub(super) fn mounts(target: &Target, form: Form) -> impl Iterator<Item = Value> {
    secrets(target, form).into_iter().map(|(volume, folder)| json!({ "name": volume["name"], "mountPath": folder, "readOnly": true }))
}

/// The places in the container that prepares the volume: of the files that it takes to ask the other servers.
pub(super) fn mounts_to_prepare(target: &Target, form: Form) -> impl Iterator<Item = Value> {
    mounts(target, form).filter(|mount| mount["name"] == LISTENER_TLS)
}

/// Variables of the server that name them. A file that is not there is no mistake for AWS.
pub(super) fn env(form: Form) -> Vec<Value> {
    if form != Form::AwsFiles {
        return Vec::new();
    }
    let files = [("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config")];
    files.map(|(variable, file)| literal(variable, &format!("{AWS_FOLDER}/{file}"))).to_vec()
}
