//! The cluster's certificate authority, its certificates, and the key that signs service accounts' tokens.
//! All are made anew for each start and live in the cluster's folder only.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::config::{API_IP, NODE_IP};
use crate::run::output;

/// The user of people and of the control plane.
pub(super) const ADMIN: &str = "admin";
/// The user of the node, and the kubelet's server.
pub(super) const KUBELET: &str = "kubelet";

/// Makes everything that isn't there yet.
///
/// # Errors
/// When openssl fails.
pub(super) fn write(folder: &Path, node: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    // Without a configuration of our own openssl would make every self-made certificate an authority.
    fs::write(folder.join("openssl.cnf"), "[req]\ndistinguished_name = none\n[none]\n")?;
    let openssl = |arguments: &[&str]| output(Command::new("openssl").current_dir(folder).args(arguments)).map(drop);
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650", "-config", "openssl.cnf"];
    let certificate = |name: &str, subject: &str, extensions: &[&str], signed: &[&str]| {
        let (key_file, certificate_file) = (format!("{name}.key"), format!("{name}.crt"));
        let mut arguments = vec!["req", "-x509", "-keyout", &key_file, "-out", &certificate_file, "-subj", subject];
        arguments.extend(key);
        for extension in extensions {
            arguments.extend(["-addext", extension]);
        }
        arguments.extend(signed);
        openssl(&arguments)
    };
    let authority = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];
    certificate("ca", "/CN=doltdb-dev", &authority, &[])?;
    let leaf = |name: &str, subject: &str, names: &str| {
        let names = format!("subjectAltName={names}");
        let extensions = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=clientAuth,serverAuth", &names];
        certificate(name, subject, &extensions, &["-CA", "ca.crt", "-CAkey", "ca.key"])
    };
    let service = "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local";
    leaf("apiserver", "/CN=kube-apiserver", &format!("DNS:localhost,{service},IP:127.0.0.1,IP:{API_IP},IP:{NODE_IP}"))?;
    leaf(ADMIN, "/O=system:masters/CN=admin", "DNS:admin")?;
    leaf(KUBELET, &format!("/O=system:nodes/CN=system:node:{node}"), &format!("DNS:{node},IP:{NODE_IP}"))?;
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "sa.key"])?;
    openssl(&["pkey", "-in", "sa.key", "-pubout", "-out", "sa.pub"])
}
