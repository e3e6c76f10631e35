//! A world in a file: the reconciled object, what else is in the cluster, what the databases answer.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{
    mask::mask,
    permissions,
    render::{unless, value_from_json, value_to_json},
};
use crate::{
    Argument, Header, Level, Object, ObjectRef, Operator, Outcome, Page, Permission, Query, ReadError, Request, Requirement, Rows,
    SecretDigest, Selection, SqlError, SqlErrorKind, Statement, TaskProgress, TaskState, Timestamp, World, kind, parse_rfc3339,
};

/// A fixture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a fixture.
    #[error("{path} is no fixture: {message}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
}

/// A world in which a reconciler runs once. It answers every read, and remembers that it was asked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fixture {
    /// The reconciled object, as a manifest.
    pub object: Json,
    /// The reconciler's settings.
    #[serde(default = "empty")]
    pub settings: Json,
    /// How the last plan ended, if that is known.
    #[serde(default)]
    pub last: Option<Outcome>,
    /// What else is in the cluster, as manifests.
    #[serde(default)]
    pub objects: Vec<Json>,
    /// The Secrets that are there.
    #[serde(default)]
    pub secrets: Vec<FixtureSecret>,
    /// The time, RFC 3339.
    #[serde(default = "new_year")]
    pub now: String,
    /// What the databases answer. The first entry that fits counts.
    #[serde(default)]
    pub sql: Vec<SqlAnswer>,
    /// The tasks of the object that were started and not forgotten.
    #[serde(default)]
    pub tasks: Vec<FixtureTask>,
    /// Whether a snapshot shows applied objects by name only. For cases that are about something else.
    #[serde(default)]
    pub brief: bool,
    /// Objects in one page of a selection, at most; 0: all.
    #[serde(default)]
    pub page_size: usize,
    #[serde(skip)]
    reads: Mutex<Vec<String>>,
    #[serde(skip)]
    used: Mutex<Vec<Permission>>,
}

/// A Secret. Its digests are `digest of <value>`, and empty for an empty value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixtureSecret {
    /// Where it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Keys and values.
    pub data: Map<String, Json>,
}

/// A task: it runs, unless one of `done`, `failed` and `guarded` says how it ended.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixtureTask {
    /// Which of the object's tasks it is.
    pub name: String,
    /// When it was started, RFC 3339.
    pub started: String,
    /// When it is ended, RFC 3339.
    pub deadline: String,
    /// It came to its end: what each statement answered.
    #[serde(default)]
    pub done: Option<Vec<FixtureRows>>,
    /// It failed.
    #[serde(default)]
    pub failed: Option<SqlFailure>,
    /// Its guard did not hold: what was found.
    #[serde(default)]
    pub guarded: Option<String>,
}

/// What a statement answered.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixtureRows {
    /// The names of the columns; absent: `c0`, `c1` and so on.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The rows.
    #[serde(default)]
    pub rows: Vec<Vec<Json>>,
}

impl FixtureRows {
    fn answer(&self) -> Rows {
        let width = self.rows.first().map_or(self.columns.len(), Vec::len);
        let columns = if self.columns.is_empty() { (0..width).map(|i| format!("c{i}")).collect() } else { self.columns.clone() };
        Rows { columns, rows: self.rows.iter().map(|row| row.iter().map(value_from_json).collect()).collect() }
    }
}

impl FixtureTask {
    fn state(&self) -> Result<TaskState, String> {
        let time = |text: &str| parse_rfc3339(text).ok_or_else(|| format!("task {}: {text} is no time", self.name));
        let progress = match (&self.done, &self.failed, &self.guarded) {
            (None, None, None) => TaskProgress::Running,
            (Some(done), None, None) => TaskProgress::Done(done.iter().map(FixtureRows::answer).collect()),
            (None, Some(failure), None) => TaskProgress::Failed(failure.error()),
            (None, None, Some(found)) => TaskProgress::Guarded(found.clone()),
            _ => return Err(format!("task {} has more than one end", self.name)),
        };
        Ok(TaskState { name: self.name.clone(), started: time(&self.started)?, deadline: time(&self.deadline)?, progress })
    }
}

/// What a server answers to a statement.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SqlAnswer {
    /// The host that is asked.
    pub host: String,
    /// The text of the statement; absent: whatever it is asked.
    #[serde(default)]
    pub statement: Option<String>,
    /// The statement's arguments, values and identifiers alike; absent: whatever they are.
    #[serde(default)]
    pub arguments: Option<Vec<Json>>,
    /// The key of the password with which it is asked; absent: whichever it is.
    #[serde(default)]
    pub password_key: Option<String>,
    /// The names of the columns; absent: `c0`, `c1` and so on.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The rows.
    #[serde(default)]
    pub rows: Vec<Vec<Json>>,
    /// Instead of rows.
    #[serde(default)]
    pub error: Option<SqlFailure>,
}

impl SqlAnswer {
    /// The rows, or the error in their place.
    ///
    /// # Errors
    /// That error.
    pub fn answer(&self) -> Result<Rows, SqlError> {
        match &self.error {
            Some(error) => Err(error.error()),
            None => Ok(FixtureRows { columns: self.columns.clone(), rows: self.rows.clone() }.answer()),
        }
    }
}

/// An error that a server or the host answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlFailure {
    kind: SqlErrorKind,
    #[serde(default)]
    code: u16,
    #[serde(default)]
    state: String,
    message: String,
}

impl SqlFailure {
    fn error(&self) -> SqlError {
        SqlError { kind: self.kind, code: self.code, state: self.state.clone(), message: self.message.clone() }
    }
}

fn empty() -> Json {
    Json::Object(Map::new())
}

fn new_year() -> String {
    "2026-01-01T00:00:00Z".to_owned()
}

impl Fixture {
    /// Reads a fixture from a file.
    ///
    /// # Errors
    /// When the file cannot be read or is no fixture.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, FixtureError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| FixtureError::Read { path: path.into(), source })?;
        Self::parse(&text).map_err(|message| FixtureError::Wrong { path: path.into(), message })
    }

    /// Reads a fixture from its text.
    ///
    /// # Errors
    /// Where and why the text is no fixture.
    pub fn parse(text: &str) -> Result<Self, String> {
        // As Kubernetes reads YAML: `n` and `off` are strings.
        let options = serde_saphyr::options! { strict_booleans: true };
        let fixture: Self = serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
        fixture.now.parse::<jiff::Timestamp>().map_err(|error| format!("now: {error}"))?;
        fixture.tasks.iter().try_for_each(|task| task.state().map(drop))?;
        Ok(fixture)
    }

    /// The request with which the reconciler is called.
    pub fn request(&self) -> Request {
        Request { object: object(&self.object, &[]), settings: self.settings.to_string(), last: self.last.clone() }
    }

    /// The reads so far, one a line, in order.
    pub fn reads(&self) -> Vec<String> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The permissions that the reads so far needed.
    pub fn used(&self) -> Vec<Permission> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The namespace of the reconciled object.
    pub(super) fn namespace(&self) -> String {
        header(&self.object).namespace
    }

    fn needs(&self, permission: Permission) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).push(permission);
    }

    fn read(&self, line: String) {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// # Panics
    /// Where the fixture has no answer: a guess would prove nothing.
    fn answer(&self, query: &Query, statement: &Statement) -> Result<Rows, SqlError> {
        let host = &query.endpoint.host;
        let arguments: Vec<Json> = statement.arguments.iter().map(argument_to_json).collect();
        let answer = self.sql.iter().find(|answer| {
            answer.host == *host
                && answer.password_key.as_ref().is_none_or(|key| *key == query.endpoint.credentials.password_key)
                && answer.statement.as_ref().is_none_or(|text| *text == statement.text)
                && answer.arguments.as_ref().is_none_or(|expected| *expected == arguments)
        });
        let Some(answer) = answer else {
            panic!("the fixture has no answer of {host} to {:?} with {}", statement.text, Json::from(arguments))
        };
        let rows = answer.answer()?;
        if rows.rows.len() > usize::try_from(query.max_rows).unwrap_or(usize::MAX) {
            let message = format!("more than {} rows", query.max_rows);
            return Err(SqlError { kind: SqlErrorKind::TooLarge, code: 0, state: String::new(), message });
        }
        Ok(rows)
    }
}

impl World for Fixture {
    fn get(&self, wanted: &ObjectRef, fields: &[&str]) -> Result<Option<Object>, ReadError> {
        self.needs(Permission::Read(kind(&wanted.api_version, &wanted.kind)));
        let name = if wanted.namespace.is_empty() { wanted.name.clone() } else { format!("{}/{}", wanted.namespace, wanted.name) };
        self.read(format!("get {} {} {name} {}", wanted.api_version, wanted.kind, fields.join(",")).trim_end().to_owned());
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        Ok(self.objects.iter().find(|body| header(body).reference() == *wanted).map(|body| object(body, &fields)))
    }

    fn select(&self, selection: &Selection) -> Result<Page, ReadError> {
        self.needs(Permission::Read(selection.kind.clone()));
        let labels: Vec<String> =
            selection.labels.iter().map(|r| format!("{} {} {}", r.key, operator(r.operator), r.values.join(","))).collect();
        self.read(
            format!(
                "select {} {} in {:?} where [{}] {}",
                selection.kind.api_version,
                selection.kind.kind,
                selection.namespace,
                labels.join("; "),
                selection.fields.join(",")
            )
            .trim_end()
            .to_owned(),
        );
        let mut objects: Vec<Object> = self
            .objects
            .iter()
            .filter(|body| {
                let header = header(body);
                header.api_version == selection.kind.api_version
                    && header.kind == selection.kind.kind
                    && (selection.namespace.is_empty() || header.namespace == selection.namespace)
                    && selection.labels.iter().all(|requirement| holds(requirement, &header))
            })
            .map(|body| object(body, &selection.fields))
            .collect();
        objects.sort_by(|a, b| (&a.header.namespace, &a.header.name).cmp(&(&b.header.namespace, &b.header.name)));
        let start = match &selection.page {
            Some(page) => page.parse().map_err(|_| ReadError::Invalid(format!("no such page: {page}")))?,
            None => 0,
        };
        let size = if self.page_size == 0 { objects.len().max(1) } else { self.page_size };
        let next = (start + size < objects.len()).then(|| (start + size).to_string());
        Ok(Page { objects: objects.into_iter().skip(start).take(size).collect(), next })
    }

    fn secret(&self, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        self.needs(permissions::secret(&self.namespace(), namespace, name));
        self.read(format!("secret {namespace}/{name}"));
        let secret = self.secrets.iter().find(|secret| secret.namespace == namespace && secret.name == name);
        Ok(secret.map(|secret| {
            let digest = |value: &Json| match value.as_str() {
                Some("") => String::new(),
                Some(text) => format!("digest of {text}"),
                None => format!("digest of {value}"),
            };
            secret.data.iter().map(|(key, value)| SecretDigest { key: key.clone(), digest: digest(value) }).collect()
        }))
    }

    fn query(&self, queries: &[Query]) -> Vec<Result<Vec<Rows>, SqlError>> {
        for query in queries {
            self.needs(Permission::SqlRead(query.endpoint.host.clone()));
            permissions::secrets(&query.endpoint, &query.statements, &self.namespace()).into_iter().for_each(|secret| self.needs(secret));
            for statement in &query.statements {
                let arguments: Vec<Json> = statement.arguments.iter().map(argument_to_json).collect();
                let arguments = if arguments.is_empty() { String::new() } else { format!(" {}", Json::from(arguments)) };
                let crate::Endpoint { host, port, tls, .. } = &query.endpoint;
                let known_by = tls.as_ref().map(|tls| format!(" by {} of {}{}", tls.key, tls.secret, unless(tls))).unwrap_or_default();
                self.read(format!("query {host}:{port}{known_by} {}{arguments}", statement.text));
            }
        }
        queries.iter().map(|query| query.statements.iter().map(|statement| self.answer(query, statement)).collect()).collect()
    }

    fn tasks(&self) -> Vec<TaskState> {
        self.read("tasks".to_owned());
        let mut tasks: Vec<_> = self.tasks.iter().map(|task| task.state().expect("the fixture was checked when it was read")).collect();
        tasks.sort_by(|a, b| a.name.cmp(&b.name));
        tasks
    }

    fn now(&self) -> Timestamp {
        self.read("now".to_owned());
        let now: jiff::Timestamp = self.now.parse().expect("the fixture was checked when it was read");
        u64::try_from(now.as_millisecond()).unwrap_or_default()
    }

    fn log(&self, _: Level, _: &str, _: &[(&str, String)]) {}
}

fn argument_to_json(argument: &Argument) -> Json {
    match argument {
        Argument::Identifier(name) => Json::from(name.as_str()),
        Argument::Value(value) => value_to_json(value),
    }
}

fn object(manifest: &Json, fields: &[String]) -> Object {
    Object { header: header(manifest), body: mask(manifest, fields).to_string() }
}

/// The header of a manifest. A uid that is not given is made of kind and name.
fn header(manifest: &Json) -> Header {
    let text = |pointer: &str| manifest.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let uid = Some(text("/metadata/uid")).filter(|uid| !uid.is_empty()).unwrap_or_else(|| format!("{}-{name}-uid", kind.to_lowercase()));
    let labels = manifest
        .pointer("/metadata/labels")
        .and_then(Json::as_object)
        .map(|labels| labels.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect::<Vec<_>>());
    let mut labels = labels.unwrap_or_default();
    labels.sort();
    Header {
        api_version: text("/apiVersion"),
        kind,
        namespace: text("/metadata/namespace"),
        name,
        uid,
        resource_version: "1".to_owned(),
        generation: manifest.pointer("/metadata/generation").and_then(Json::as_u64).unwrap_or_default(),
        deleting: manifest.pointer("/metadata/deletionTimestamp").is_some(),
        labels,
    }
}

fn operator(operator: Operator) -> &'static str {
    match operator {
        Operator::In => "in",
        Operator::NotIn => "not in",
        Operator::Exists => "exists",
        Operator::DoesNotExist => "does not exist",
    }
}

fn holds(requirement: &Requirement, header: &Header) -> bool {
    let value = header.label(&requirement.key);
    let among = value.is_some_and(|value| requirement.values.iter().any(|v| v == value));
    match requirement.operator {
        Operator::In => among,
        Operator::NotIn => !among,
        Operator::Exists => value.is_some(),
        Operator::DoesNotExist => value.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Credentials, Endpoint, Failure, Selector, sql, value};

    const TEXT: &str = r#"
object: { apiVersion: v1, kind: Thing, metadata: { name: a, namespace: n, generation: 2 } }
now: 2026-01-01T00:00:01Z
pageSize: 1
objects:
  - { apiVersion: v1, kind: Pod, metadata: { name: b, namespace: n, labels: { app: x } }, spec: { node: "1" } }
  - { apiVersion: v1, kind: Pod, metadata: { name: a, namespace: n, labels: { app: x } }, spec: { node: "2" } }
  - { apiVersion: v1, kind: Pod, metadata: { name: c, namespace: n, labels: { app: y } } }
secrets:
  - { namespace: n, name: s, data: { user: root } }
sql:
  - { host: db, statement: SELECT ?, arguments: [7], rows: [[7, seven, null]] }
  - { host: db, error: { kind: Unreachable, message: nobody there } }
"#;

    fn query(statement: Statement) -> Query {
        let credentials =
            Credentials { namespace: String::new(), secret: String::new(), user_key: String::new(), password_key: String::new() };
        let endpoint = Endpoint { host: "db".to_owned(), port: 3306, credentials, tls: None };
        Query { endpoint, database: None, statements: vec![statement], deadline: 1, max_rows: 1 }
    }

    #[test]
    fn a_selection_comes_in_pages_in_the_order_of_names() -> Result<(), Failure> {
        let fixture = Fixture::parse(TEXT).unwrap();
        let world: &dyn World = &fixture;
        let pods = world.select_all(&Selector::new("v1", "Pod", "n").label("app", "x").fields(&["/spec/node"]))?;
        let found: Vec<_> = pods.iter().map(|pod| (pod.header.name.as_str(), pod.body.as_str())).collect();
        assert_eq!(found, [("a", r#"{"spec":{"node":"2"}}"#), ("b", r#"{"spec":{"node":"1"}}"#)]);
        assert_eq!(fixture.reads().len(), 2);
        Ok(())
    }

    #[test]
    fn a_statement_is_answered_by_its_text_and_arguments() {
        let fixture = Fixture::parse(TEXT).unwrap();
        let world: &dyn World = &fixture;
        assert_eq!(world.query_one(query(sql!("SELECT ?", value(7_i64)))).unwrap()[0].rows[0].len(), 3);
        assert_eq!(world.query_one(query(sql!("SELECT ?", value(8_i64)))).unwrap_err().kind, SqlErrorKind::Unreachable);
    }

    #[test]
    fn a_task_runs_unless_the_fixture_says_how_it_ended() {
        let task = |end: &str| {
            let times = "started: 2026-01-01T00:00:00Z, deadline: 2026-01-01T01:00:00Z";
            let text = format!("object: {{}}\ntasks: [{{ name: b, {times}{end} }}, {{ name: a, {times} }}]\n");
            Fixture::parse(&text).map(|fixture| (fixture.tasks()[0].name.clone(), (&fixture as &dyn World).task("b").unwrap()))
        };
        let (first, running) = task("").unwrap();
        assert_eq!((first.as_str(), running.progress, running.deadline - running.started), ("a", TaskProgress::Running, 3_600_000));
        let Ok((_, TaskState { progress: TaskProgress::Done(rows), .. })) = task(", done: [{ rows: [[0]] }]") else { panic!("not done") };
        assert_eq!((rows[0].columns[0].as_str(), rows[0].rows[0].len()), ("c0", 1));
        assert!(task(", done: [], guarded: no").unwrap_err().contains("task b has more than one end"));
    }

    #[test]
    fn a_field_that_a_fixture_has_not_is_an_error() {
        let error = Fixture::parse("object: {}\nsecret: []\n").unwrap_err();
        assert!(error.contains("secret"), "{error}");
    }
}
