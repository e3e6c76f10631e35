//! Where the servers of a DoltDB are, by which account they are asked, and by whose certificates they are known.

use std::collections::BTreeMap;

use crds::{DoltDBSpec, DoltDBStatus, names};
use sdk::{Credentials, Endpoint, Tls};

/// Time for reading from a server, connecting included, in milliseconds. A server that takes longer counts as not there.
pub const READ_DEADLINE: u64 = 3_000;
/// Time for writing to a server, connecting included, in milliseconds.
pub const WRITE_DEADLINE: u64 = 10_000;

/// The servers of one DoltDB.
#[derive(Debug, Clone, PartialEq)]
pub struct Servers {
    namespace: String,
    name: String,
    port: u16,
    domain: String,
    password_key: &'static str,
    tls: Option<Tls>,
    pods: BTreeMap<i32, Option<Tls>>,
}

impl Servers {
    /// The servers of the DoltDB of this name. `domain` is the cluster's DNS domain.
    pub fn new(namespace: &str, name: &str, spec: &DoltDBSpec, status: &DoltDBStatus, domain: &str) -> Self {
        let port = u16::try_from(spec.server.listener.port).unwrap_or_default();
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            port,
            domain: domain.to_owned(),
            password_key: names::ADMIN_PASSWORD_KEY,
            tls: tls(spec, status),
            pods: BTreeMap::new(),
        }
    }

    /// The same servers, of which it is known by what Secret each of these pods offers TLS, if it does.
    #[must_use]
    pub fn with_certificates(self, pods: impl IntoIterator<Item = (i32, Option<String>)>) -> Self {
        let pods = pods.into_iter().map(|(ordinal, secret)| (ordinal, secret.map(|secret| known_by(&secret, false)))).collect();
        Self { pods, ..self }
    }

    /// The same servers, to be entered with the password that the account had before.
    #[must_use]
    pub fn with_previous_password(&self) -> Self {
        Self { password_key: names::ADMIN_PREVIOUS_PASSWORD_KEY, ..self.clone() }
    }

    /// The cluster's DNS domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The server in the pod of this ordinal.
    pub fn pod(&self, ordinal: i32) -> Endpoint {
        let tls = self.pods.get(&ordinal).unwrap_or(&self.tls).clone();
        self.endpoint(names::pod_host(&self.name, ordinal, &self.namespace, &self.domain), tls)
    }

    /// The server that takes writes, by the Service that leads to it.
    pub fn primary(&self) -> Endpoint {
        let host = names::service_host(&names::primary_service(&self.name), &self.namespace, &self.domain);
        self.endpoint(host, self.tls.clone())
    }

    fn endpoint(&self, host: String, tls: Option<Tls>) -> Endpoint {
        let credentials = Credentials {
            namespace: self.namespace.clone(),
            secret: names::credentials_secret(&self.name),
            user_key: names::ADMIN_USER_KEY.to_owned(),
            password_key: self.password_key.to_owned(),
        };
        Endpoint { host, port: self.port, credentials, tls }
    }
}

/// By what the servers are known, whichever of them it is. What they do at the moment counts before what they should do: while pods are
/// replaced, some offer TLS and some do not.
fn tls(spec: &DoltDBSpec, status: &DoltDBStatus) -> Option<Tls> {
    let wanted = spec.server.listener.tls.as_ref();
    match (&status.listener_tls, wanted) {
        (Some(now), _) => Some(known_by(&now.secret_name, !now.every_server)),
        (None, Some(wanted)) => Some(known_by(&wanted.secret_name, !wanted.required)),
        (None, None) => None,
    }
}

fn known_by(secret: &str, plaintext: bool) -> Tls {
    Tls { secret: secret.to_owned(), key: names::CA_CERTIFICATE_KEY.to_owned(), plaintext }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value as Json, json};

    use super::*;

    #[rstest]
    #[case::neither(json!({}), json!({}), None)]
    #[case::wanted(json!({"secretName": "new"}), json!({}), Some(("new", true)))]
    #[case::required_from_the_beginning(json!({"secretName": "new", "required": true}), json!({}), Some(("new", false)))]
    #[case::some_offer_it(json!({"secretName": "new"}), json!({"secretName": "new", "everyServer": false}), Some(("new", true)))]
    #[case::all_offer_it(json!({"secretName": "new"}), json!({"secretName": "new", "everyServer": true}), Some(("new", false)))]
    #[case::some_still_offer_it(json!({}), json!({"secretName": "old", "everyServer": false}), Some(("old", true)))]
    #[case::another_certificate(json!({"secretName": "new"}), json!({"secretName": "old", "everyServer": true}), Some(("old", false)))]
    fn what_servers_do_counts_before_what_they_should_do(#[case] wanted: Json, #[case] now: Json, #[case] expected: Option<(&str, bool)>) {
        let given = |tls: &Json| tls.get("secretName").is_some();
        let spec = if given(&wanted) { json!({"server": {"listener": {"tls": wanted}}}) } else { json!({}) };
        let status = if given(&now) { json!({"listenerTLS": now}) } else { json!({}) };
        let (spec, status) = (serde_json::from_value(spec).unwrap(), serde_json::from_value(status).unwrap());
        let endpoint = Servers::new("ns", "demo", &spec, &status, "cluster.local").primary();
        let tls = endpoint.tls.as_ref().map(|tls| (tls.secret.as_str(), tls.plaintext));
        assert_eq!(tls, expected);
        assert!(endpoint.tls.is_none_or(|tls| tls.key == "ca.crt"));
    }

    #[test]
    fn a_pod_that_says_what_it_does_is_taken_at_its_word() {
        let spec = serde_json::from_value(json!({"server": {"listener": {"tls": {"secretName": "new"}}}})).unwrap();
        let servers = Servers::new("ns", "demo", &spec, &DoltDBStatus::default(), "cluster.local");
        let servers = servers.with_certificates([(0, None), (1, Some("old".to_owned()))]);
        let tls = |ordinal| servers.pod(ordinal).tls.map(|tls| (tls.secret, tls.plaintext));
        assert_eq!(tls(0), None);
        assert_eq!(tls(1), Some(("old".to_owned(), false)));
        assert_eq!(tls(2), Some(("new".to_owned(), true)));
    }
}
