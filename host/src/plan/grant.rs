//! What a reconciler may reach: its grant as a set of questions, and a gateway that answers only what the grant allows.

use std::sync::Arc;

use async_trait::async_trait;
use memchr::memmem;

use crate::{
    contract::{
        Argument, Effect, EffectFailure, Endpoint, Event, ObjectRef, Query, ReadError, SecretDigest, SecretRef, Selection, SqlError,
        SqlErrorKind, Statement, TaskState, Timestamp, Value,
    },
    gateway::{Answers, Applied, Gateway, Listed, Queries, Seen, SharedGateway, Subject},
    settings::{Reconciler, Resource},
};

/// A grant, asked. Deny is the default.
#[derive(Debug, Clone)]
pub struct Reach {
    slot: Arc<Reconciler>,
}

impl Reach {
    /// The reach of a slot.
    pub fn new(slot: Arc<Reconciler>) -> Self {
        Self { slot }
    }

    /// Whether it may read objects of a kind.
    pub fn reads(&self, api_version: &str, kind: &str) -> bool {
        named(&self.slot.grant.read, api_version, kind) || named(std::slice::from_ref(&self.slot.reconciles), api_version, kind)
    }

    /// Whether it may apply objects of a kind.
    pub fn applies(&self, api_version: &str, kind: &str) -> bool {
        named(&self.slot.grant.apply, api_version, kind)
    }

    /// Whether it may delete objects of a kind.
    pub fn deletes(&self, api_version: &str, kind: &str) -> bool {
        named(&self.slot.grant.delete, api_version, kind)
    }

    /// Whether it may patch labels of objects of a kind.
    pub fn labels(&self, api_version: &str, kind: &str) -> bool {
        named(&self.slot.grant.label, api_version, kind)
    }

    /// Whether a subject's reconcile may reach into a namespace. Cluster-scoped objects have none.
    pub fn namespace(&self, subject: &Subject, namespace: &str, cluster_scoped: bool) -> bool {
        let own = if cluster_scoped { namespace.is_empty() } else { !namespace.is_empty() && namespace == subject.object.namespace };
        own || self.slot.grant.namespaces.iter().any(|pattern| fits(pattern, namespace))
    }

    /// Whether it may read objects of a kind in a namespace, wherever the subject is; empty: in every namespace.
    pub fn reads_in(&self, api_version: &str, kind: &str, namespace: &str) -> bool {
        let kinds = self.slot.grant.read.iter().filter(|r| is_of(r, api_version, kind));
        kinds.flat_map(|r| &r.namespaces).any(|pattern| fits(pattern, namespace))
    }

    /// Whether it may use a Secret.
    pub fn secret(&self, subject: &Subject, namespace: &str, name: &str) -> bool {
        self.covers(&self.slot.grant.secrets, subject, namespace, name)
    }

    /// Whether it may know a server by the certificates in a Secret.
    pub fn authority(&self, subject: &Subject, namespace: &str, name: &str) -> bool {
        self.covers(&self.slot.grant.authorities, subject, namespace, name) || self.secret(subject, namespace, name)
    }

    fn covers(&self, patterns: &[String], subject: &Subject, namespace: &str, name: &str) -> bool {
        patterns.iter().any(|pattern| match pattern.split_once('/') {
            Some((place, pattern)) => fits(place, namespace) && fits(pattern, name),
            None => self.namespace(subject, namespace, false) && fits(pattern, name),
        })
    }

    /// Whether it may have a Secret generated.
    pub fn generates(&self, subject: &Subject, namespace: &str, name: &str) -> bool {
        self.namespace(subject, namespace, false) && self.slot.grant.generate_secrets.iter().any(|pattern| fits(pattern, name))
    }

    /// Whether it may query a host.
    pub fn queries(&self, host: &str) -> bool {
        self.slot.grant.sql.read.iter().any(|pattern| fits(pattern, host))
    }

    /// Whether it may write on a host.
    pub fn writes(&self, host: &str) -> bool {
        self.slot.grant.sql.write.iter().any(|pattern| fits(pattern, host))
    }

    /// Whether a kind that the slot names has no namespace.
    pub fn cluster_scoped(&self, api_version: &str, kind: &str) -> bool {
        self.slot.kinds().any(|r| r.cluster_scoped && is_of(r, api_version, kind))
    }

    /// The first Secret of an endpoint or an argument that it may not use.
    pub fn foreign_secret(&self, subject: &Subject, endpoint: &Endpoint, statements: &[Statement]) -> Option<String> {
        let account = &endpoint.credentials;
        let mut used = vec![(account.namespace.as_str(), account.secret.as_str())];
        for argument in statements.iter().flat_map(|s| &s.arguments) {
            if let Argument::Value(Value::Secret(SecretRef { namespace, name, .. })) = argument {
                used.push((namespace, name));
            }
        }
        let foreign = used.into_iter().find(|(namespace, name)| !self.secret(subject, namespace, name));
        let authority = endpoint.tls.as_ref().map(|tls| (account.namespace.as_str(), tls.secret.as_str()));
        let foreign = foreign.or(authority.filter(|(namespace, name)| !self.authority(subject, namespace, name)));
        foreign.map(|(namespace, name)| format!("{namespace}/{name}"))
    }
}

fn named(resources: &[Resource], api_version: &str, kind: &str) -> bool {
    resources.iter().any(|r| is_of(r, api_version, kind))
}

/// Kinds differ more often than what they are of.
fn is_of(resource: &Resource, api_version: &str, kind: &str) -> bool {
    resource.kind == kind && resource.api_version == api_version
}

/// Whether a name fits a pattern in which `*` stands for any run of characters. A `*` in the name is an ordinary character there, so a
/// pattern that fits another pattern covers whatever that one covers.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, parts)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let (between, last) = parts.rsplit_once('*').map_or((None, parts), |(between, last)| (Some(between), last));
    for part in between.into_iter().flat_map(|between| between.split('*')) {
        match memmem::find(rest.as_bytes(), part.as_bytes()) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A gateway that answers only what the grant allows.
pub struct Granted {
    inner: SharedGateway,
    reach: Reach,
}

impl Granted {
    /// Answers from `inner` within `reach`.
    pub fn new(inner: SharedGateway, reach: Reach) -> Self {
        Self { inner, reach }
    }

    fn may_read(&self, subject: &Subject, api_version: &str, kind: &str, namespace: &str) -> Result<(), ReadError> {
        if api_version == "v1" && kind == "Secret" {
            return Err(ReadError::Denied("a Secret's body is not to be had; ask for its digests".into()));
        }
        if !self.reach.reads(api_version, kind) {
            return Err(ReadError::Denied(format!("reading {api_version} {kind} is not granted")));
        }
        let near = self.reach.namespace(subject, namespace, self.reach.cluster_scoped(api_version, kind));
        if !near && !self.reach.reads_in(api_version, kind, namespace) {
            return Err(ReadError::Denied(format!("reading in namespace {namespace:?} is not granted")));
        }
        Ok(())
    }

    fn may_query(&self, subject: &Subject, query: &Query) -> Result<(), SqlError> {
        let denied = |message| SqlError { kind: SqlErrorKind::Denied, code: 0, state: String::new(), message };
        if !self.reach.queries(&query.endpoint.host) {
            return Err(denied(format!("querying host {} is not granted", query.endpoint.host)));
        }
        match self.reach.foreign_secret(subject, &query.endpoint, &query.statements) {
            Some(secret) => Err(denied(format!("using Secret {secret} is not granted"))),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Gateway for Granted {
    async fn get(&self, subject: &Subject, object: &ObjectRef, fields: &[String]) -> Result<Option<Seen>, ReadError> {
        self.may_read(subject, &object.api_version, &object.kind, &object.namespace)?;
        self.inner.get(subject, object, fields).await
    }

    async fn select(&self, subject: &Subject, selection: &Selection) -> Result<Listed, ReadError> {
        self.may_read(subject, &selection.kind.api_version, &selection.kind.kind, &selection.namespace)?;
        self.inner.select(subject, selection).await
    }

    async fn secret(&self, subject: &Subject, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        if !self.reach.secret(subject, namespace, name) {
            return Err(ReadError::Denied(format!("using Secret {namespace}/{name} is not granted")));
        }
        self.inner.secret(subject, namespace, name).await
    }

    async fn query(&self, subject: &Subject, queries: &Queries) -> Answers {
        let verdicts: Vec<Result<(), SqlError>> = queries.iter().map(|q| self.may_query(subject, q)).collect();
        if verdicts.iter().all(Result::is_ok) {
            return self.inner.query(subject, queries).await;
        }
        let allowed: Vec<Query> = queries.iter().zip(&verdicts).filter(|(_, v)| v.is_ok()).map(|(q, _)| q.clone()).collect();
        let mut answers = self.inner.query(subject, &allowed.into()).await.into_inner().into_iter();
        let lost = || SqlError { kind: SqlErrorKind::Lost, code: 0, state: String::new(), message: "the query was not answered".into() };
        let answers: Vec<_> =
            verdicts.into_iter().map(|verdict| verdict.and_then(|()| answers.next().unwrap_or_else(|| Err(lost())))).collect();
        answers.into()
    }

    async fn tasks(&self, subject: &Subject) -> Vec<TaskState> {
        self.inner.tasks(subject).await
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    async fn apply(&self, subject: &Subject, effect: &Effect) -> Result<Applied, EffectFailure> {
        self.inner.apply(subject, effect).await
    }

    async fn event(&self, subject: &Subject, event: &Event) {
        self.inner.event(subject, event).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        let object = crate::gateway::ObjectKey::new("example.com/v1", "Widget", "own", "w");
        Subject { reconciler: "widget".into(), object, uid: "u".into() }
    }

    fn reach() -> Reach {
        let slot = serde_json::json!({
            "reconciles": {"apiVersion": "example.com/v1", "kind": "Widget", "resource": "widgets"},
            "grant": {
                "read": [
                    {"apiVersion": "example.com/v1", "kind": "Server", "resource": "servers", "namespaces": ["shared-*"]},
                    {"apiVersion": "v1", "kind": "Pod", "resource": "pods"},
                ],
                "secrets": ["*", "*/*-credentials"],
                "authorities": ["shared/*"],
            },
        });
        Reach::new(Arc::new(serde_json::from_value(slot).unwrap()))
    }

    #[rstest::rstest]
    #[case("own", "password", true)]
    #[case("other", "password", false)]
    #[case("other", "a-credentials", true)]
    fn a_secret_of_another_namespace_takes_a_pattern_that_names_it(#[case] namespace: &str, #[case] name: &str, #[case] expected: bool) {
        assert_eq!(reach().secret(&subject(), namespace, name), expected);
    }

    /// An account of a Secret, and an authority of a Secret beside it: one is not the other.
    #[rstest::rstest]
    #[case::both_are_granted("shared", "a-credentials", Some("certificates"), None)]
    #[case::no_authority("shared", "a-credentials", None, None)]
    #[case::a_secret_that_may_be_used("own", "any", Some("certificates"), None)]
    #[case::an_authority_of_another_namespace("other", "a-credentials", Some("certificates"), Some("other/certificates"))]
    #[case::an_authority_is_no_account("shared", "certificates", Some("certificates"), Some("shared/certificates"))]
    fn an_endpoint_takes_a_grant_of_each_of_its_secrets(
        #[case] namespace: &str,
        #[case] account: &str,
        #[case] authority: Option<&str>,
        #[case] foreign: Option<&str>,
    ) {
        let credentials = crate::contract::Credentials {
            namespace: namespace.into(),
            secret: account.into(),
            user_key: "user".into(),
            password_key: "password".into(),
        };
        let tls = authority.map(|secret| crate::contract::Tls { secret: secret.into(), key: "ca.crt".into(), plaintext: true });
        let endpoint = Endpoint { host: "db".into(), port: 3306, credentials, tls };
        assert_eq!(reach().foreign_secret(&subject(), &endpoint, &[]).as_deref(), foreign);
        let value =
            Argument::Value(Value::Secret(SecretRef { namespace: "shared".into(), name: "certificates".into(), key: "tls.key".into() }));
        let statement = Statement { text: "SET x = ?".into(), arguments: vec![value] };
        assert!(reach().foreign_secret(&subject(), &endpoint, &[statement]).is_some(), "what only may be trusted is not written anywhere");
    }

    #[rstest::rstest]
    #[case("Server", "shared-1", true)]
    #[case("Server", "other", false)]
    #[case("Server", "", false)]
    #[case("Pod", "shared-1", false)]
    fn a_kind_is_read_where_its_grant_says(#[case] kind: &str, #[case] namespace: &str, #[case] expected: bool) {
        let api_version = if kind == "Pod" { "v1" } else { "example.com/v1" };
        assert_eq!(reach().reads_in(api_version, kind, namespace), expected);
    }

    #[rstest::rstest]
    #[case("a", "a", true)]
    #[case("a", "ab", false)]
    #[case("*", "", true)]
    #[case("*", "anything", true)]
    #[case("*-credentials", "my-credentials", true)]
    #[case("*-credentials", "my-credentials-2", false)]
    #[case("*.svc.*", "db-0.db.ns.svc.cluster.local", true)]
    #[case("*.svc.*", "db-0.db.ns.cluster.local", false)]
    #[case("a*b*c", "a-b-c", true)]
    #[case("a*b*c", "a-c-b", false)]
    #[case("aa*aa", "aaa", false)]
    fn a_pattern_fits(#[case] pattern: &str, #[case] name: &str, #[case] expected: bool) {
        assert_eq!(fits(pattern, name), expected);
    }
}
