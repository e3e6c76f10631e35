//! What the API server checks beyond types: one table of (type, field, keywords). A rule must never refuse an object that
//! worked without it, so limits are those that Kubernetes or Dolt would hit anyway; words say what to do instead.

use serde_json::{Value, json};

use super::GenerateError;
use super::schema::{Definitions, int_or_string, quantity};
use crate::doltdb::validate::{MOST, MOST_REPLICATED, TOO_MANY};

/// A duration as Go reads it.
const DURATION: &str = "^[-+]?(0|(([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";
/// Five fields of cron or a word for them, after an optional time zone.
const CRON: &str = r"^((CRON_)?TZ=\\S+\\s+)?\\s*(@every\\s+\\S+|@[a-z]+|\\S+(\\s+\\S+){4})\\s*$";

/// Applies the whole table.
pub(super) fn apply(definitions: &mut Definitions) -> Result<(), GenerateError> {
    for (type_, field, keywords) in doltdb().into_iter().chain(sql_kinds()).chain(backups()).chain(shared()).chain(core()) {
        definitions.patch(type_, field, &keywords)?;
    }
    Ok(())
}

type Rule = (&'static str, &'static str, Value);

/// A check in CEL, shown at the place where it stands.
fn cel(rule: &str, message: &str) -> Value {
    json!({"x-kubernetes-validations": [{"rule": rule, "message": message}]})
}

/// A check in CEL that compares fields, shown at the one that is to be changed.
fn cel_at(field: &str, rule: &str, message: &str) -> Value {
    json!({"x-kubernetes-validations": [{"rule": rule, "message": message, "fieldPath": field}]})
}

fn required(fields: &[&str]) -> Value {
    json!({ "required": fields })
}

fn port() -> Value {
    json!({"minimum": 1, "maximum": 65535})
}

fn doltdb() -> Vec<Rule> {
    let mut rules = vec![
        ("DoltDBSpec", "", required(&["engineVersion", "storage"])),
        ("DoltDBSpec", "replicas", json!({"minimum": 1, "maximum": MOST})),
        ("DoltDBSpec", "maxConnections", json!({"minimum": 10})),
        ("DoltDBSpec", "terminationGracePeriodSeconds", json!({"minimum": 0})),
        ("DoltDBSpec", "allowedNamespaces", json!({"maxItems": 100, "x-kubernetes-list-type": "set"})),
        ("DoltDBSpec", "allowedNamespaces[]", json!({"maxLength": 63, "pattern": r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$"})),
        ("PrimarySpec", "podIndex", json!({"minimum": 0})),
        ("ReplicationSpec", "ackWritesTimeoutSeconds", json!({"minimum": 0, "maximum": 60})),
        ("Storage", "size", cel("quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0", "size may grow but not shrink")),
        ("RetentionPolicy", "whenDeleted", cel("self in ['', 'Retain', 'Delete']", "whenDeleted must be Retain or Delete")),
        ("RetentionPolicy", "whenScaled", cel("self in ['', 'Retain', 'Delete']", "whenScaled must be Retain or Delete")),
        (
            "PrimarySpec",
            "failoverDelay",
            cel(&format!("self.matches('{DURATION}')"), "failoverDelay must be a duration such as 10s, 1m30s or 1h"),
        ),
        ("PrimarySpec", "maxFailoversPerHour", json!({"minimum": 1})),
        ("Listener", "port", port()),
        ("Listener", "maxConnections", json!({"minimum": 10})),
        ("ListenerTls", "", required(&["secretName"])),
        ("ListenerTls", "secretName", json!({"minLength": 1, "maxLength": 253})),
        ("ListenerTlsStatus", "", required(&["secretName", "everyServer"])),
        ("RemotesApi", "port", port()),
        ("RemotesTls", "", required(&["secretName"])),
        ("RemotesTls", "secretName", json!({"minLength": 1, "maxLength": 253})),
        ("McpServer", "port", json!({"minimum": 1024, "maximum": 49151})),
        ("McpServer", "passwordSecretKeyRef", named_secret()),
        ("DoltDBStatus", "conditions", keyed_by_type()),
    ];
    rules.extend(doltdb_checks().into_iter().map(|check| ("DoltDBSpec", "", check)));
    rules
}

/// Checks between fields of a DoltDB. All of them stand on the spec: a rule further down would also be run on the
/// defaults of missing parents, before their members have got theirs.
fn doltdb_checks() -> [Value; 10] {
    const REPLICATED: &str = "self.?replication.?enabled.orValue(false)";
    [
        cel_at(
            ".replication.enabled",
            &format!("!{REPLICATED} || self.replicas > 1"),
            "replication cannot be enabled with a single replica; set replicas > 1 or disable replication",
        ),
        cel_at(
            ".replicas",
            &format!("!{REPLICATED} || self.replicas <= {MOST_REPLICATED}"),
            &format!("at most {MOST_REPLICATED} servers can replicate, since {TOO_MANY}"),
        ),
        cel_at(
            ".replication.primary.podIndex",
            &format!("!{REPLICATED} || self.?replication.?primary.?podIndex.orValue(0) < self.replicas"),
            "podIndex must be less than replicas; when lowering replicas, set podIndex to a pod that stays in the same change",
        ),
        cel_at(
            ".server.cluster.remotesAPI.port",
            "self.server.cluster.remotesAPI.port != self.server.listener.port",
            "cluster.remotesAPI.port is already listener.port; choose another",
        ),
        cel_at(
            ".server.cluster.remotesAPI.tls",
            &format!(
                "!{REPLICATED} || !oldSelf.?replication.?enabled.orValue(false) \
                 || has(self.server.cluster.remotesAPI.tls) == has(oldSelf.server.cluster.remotesAPI.tls)"
            ),
            "tls cannot be added or removed while servers replicate, since those with and those without it do not understand each other; \
             turn replication off, wait for it, then turn it on with tls",
        ),
        cel_at(
            ".server.listener.tls.required",
            "!self.server.listener.?tls.?required.orValue(false) || has(oldSelf.server.listener.tls)",
            "tls cannot be required in the same change that adds it, since clients have no time to turn to it; \
             add it without required, and set required when all clients use it",
        ),
        cel_at(
            ".server.listener.tls.required",
            "!self.server.listener.?tls.?required.orValue(false) || !has(self.server.mcpServer)",
            "required cannot be set with mcpServer, which reaches its own server in plain text; remove one of them",
        ),
        cel_at(
            ".server.mcpServer.port",
            "!has(self.server.mcpServer) || !(self.server.mcpServer.port in [self.server.listener.port, self.server.cluster.remotesAPI.port])",
            "mcpServer.port is already listener.port or cluster.remotesAPI.port; choose another",
        ),
        cel_at(
            ".server.metrics.port",
            "!self.server.metrics.enabled || (self.server.metrics.port >= 1 && self.server.metrics.port <= 65535)",
            "metrics.port must be from 1 to 65535 while metrics are enabled",
        ),
        cel_at(
            ".server.metrics.port",
            &format!(
                "!self.server.metrics.enabled || (self.server.metrics.port != self.server.listener.port \
                 && self.server.metrics.port != self.server.?mcpServer.?port.orValue(-1) \
                 && (!{REPLICATED} || self.server.metrics.port != self.server.cluster.remotesAPI.port))"
            ),
            "metrics.port is already the port of listener, mcpServer or cluster.remotesAPI; choose another",
        ),
    ]
}

fn sql_kinds() -> Vec<Rule> {
    let immutable =
        |field: &str| cel("self == oldSelf", &format!("{field} is immutable: make a new object with the new value, then delete this one"));
    let duration =
        |field: &str| cel(&format!("self.matches('{DURATION}')"), &format!("{field} must be a duration such as 30s, 1m30s or 1h"));
    let mut rules = Vec::new();
    for (spec, status) in [("DatabaseSpec", "DatabaseStatus"), ("UserSpec", "UserStatus"), ("GrantSpec", "GrantStatus")] {
        rules.extend([
            (spec, "requeueInterval", duration("requeueInterval")),
            (spec, "retryInterval", duration("retryInterval")),
            (spec, "doltDBRef", immutable("doltDBRef")),
            (status, "conditions", keyed_by_type()),
        ]);
    }
    rules.extend([
        ("DatabaseSpec", "", required(&["doltDBRef", "name"])),
        ("DatabaseSpec", "name", json!({"pattern": "^[a-zA-Z0-9_]+$", "maxLength": 80})),
        ("DatabaseSpec", "name", immutable("name")),
        ("UserSpec", "", required(&["doltDBRef", "name", "passwordSecretKeyRef"])),
        ("UserSpec", "name", json!({"maxLength": 80})),
        ("UserSpec", "name", immutable("name")),
        ("UserSpec", "host", json!({"maxLength": 255})),
        (
            "UserSpec",
            "",
            // On the spec and not on the field, so that adding or removing it counts; absent and empty mean %.
            cel_at(
                ".host",
                "(has(self.host) && self.host != '' ? self.host : '%') == (has(oldSelf.host) && oldSelf.host != '' ? oldSelf.host : '%')",
                "host is immutable: make a new object with the new value, then delete this one",
            ),
        ),
        ("UserSpec", "passwordSecretKeyRef", named_secret()),
        ("GrantSpec", "", required(&["doltDBRef", "privileges", "username"])),
        ("GrantSpec", "privileges", json!({"minItems": 1})),
        ("GrantSpec", "privileges[]", json!({"minLength": 1})),
        ("PasswordStatus", "", required(&["secret"])),
        ("Granted", "", required(&["username", "host", "database", "table", "privileges"])),
    ]);
    rules
}

fn backups() -> Vec<Rule> {
    let cron = |field: &str| {
        let message = format!("{field} must have five fields (minute, hour, day of month, month, day of week) or be a word such as @daily");
        cel(&format!("self.matches('{CRON}')"), &message)
    };
    let database_names = || {
        json!({"x-kubernetes-validations": [
            {
                "rule": "!has(self.databases) || self.databases.all(d, d.matches('^[a-zA-Z0-9_]+$'))",
                "message": "bad name: databases may hold letters, digits and underscores only",
                "fieldPath": ".databases"
            },
            {
                "rule": "!has(self.databases) || self.databases.all(d, size(d) <= 80)",
                "message": "name too long: databases may have up to 80 characters",
                "fieldPath": ".databases"
            },
        ]})
    };
    let mut rules = vec![
        ("SnapshotSpec", "", required(&["doltDBRef", "frequencySchedule"])),
        ("SnapshotSpec", "frequencySchedule", cron("frequencySchedule")),
        ("SnapshotRetention", "sets", json!({"minimum": 1})),
        ("SnapshotRetention", "maxAge", cel(&format!("self.matches('{DURATION}')"), "maxAge must be a duration such as 30m, 12h or 168h")),
        ("SnapshotStatus", "conditions", keyed_by_type()),
        ("SnapshotStatus", "lastScheduleTime", date_time()),
        ("SnapshotStatus", "nextScheduleTime", date_time()),
        ("BackupSpec", "", cel("self == oldSelf", "backup spec is immutable: make a new Backup")),
        ("BackupSpec", "", required(&["doltDBRef", "storage"])),
        ("BackupStatus", "conditions", keyed_by_type()),
        ("BackupStatus", "startedAt", date_time()),
        ("BackupStatus", "completedAt", date_time()),
        ("BackupStatus", "retryAt", date_time()),
        ("BackupStatus", "databases", json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]})),
        ("DatabaseBackup", "", required(&["name", "phase", "destination"])),
        ("BranchHead", "", required(&["name", "commit"])),
        ("DatabaseBackup", "startedAt", date_time()),
        ("DatabaseBackup", "completedAt", date_time()),
        ("BackupScheduleSpec", "", required(&["doltDBRef", "storage", "schedule"])),
        ("BackupScheduleSpec", "schedule", cron("schedule")),
        ("BackupScheduleStatus", "conditions", keyed_by_type()),
        ("BackupScheduleStatus", "lastScheduleTime", date_time()),
        ("BackupScheduleStatus", "nextScheduleTime", date_time()),
        ("BackupScheduleStatus", "lastSuccessfulTime", date_time()),
        ("BackupScheduleStatus", "activeSince", date_time()),
        ("BackupScheduleSpec", "successfulHistory", json!({"minimum": 1})),
        ("BackupScheduleSpec", "failedHistory", json!({"minimum": 0})),
        ("BackupScheduleSpec", "copies", json!({"minimum": 1, "maximum": 100})),
        ("BackupStorage", "", json!({"minProperties": 1, "maxProperties": 1})),
        ("S3Storage", "", required(&["bucket"])),
        ("S3Storage", "bucket", json!({"maxLength": 63, "pattern": "^[a-z0-9][a-z0-9.-]+[a-z0-9]$"})),
        ("S3Storage", "prefix", json!({"maxLength": 512})),
        ("S3Storage", "dynamoDBTable", json!({"maxLength": 255})),
        ("S3Storage", "accessKeyIdSecretKeyRef", named_secret()),
        ("S3Storage", "secretAccessKeySecretKeyRef", named_secret()),
        ("DoltHubStorage", "", required(&["remoteUrl"])),
        ("DoltHubStorage", "remoteUrl", json!({"maxLength": 512})),
        ("LocalStorage", "", required(&["path"])),
        ("LocalStorage", "path", json!({"maxLength": 255, "pattern": "^/[a-zA-Z0-9_./-]+$"})),
    ];
    for spec in ["BackupSpec", "BackupScheduleSpec"] {
        rules.extend([
            (spec, "", database_names()),
            (spec, "databases", json!({"maxItems": 100})),
            (spec, "databases[]", json!({"maxLength": 80})),
            (spec, "deadlineSeconds", json!({"minimum": 1, "maximum": 86_400})),
        ]);
    }
    rules
}

fn shared() -> Vec<Rule> {
    vec![
        ("DoltDBRef", "", cel_at(".name", "has(self.name) && self.name != ''", "name is required: the name of a DoltDB")),
        ("SecretKeySelector", "", required(&["key"])),
        ("SecretKeySelector", "", json!({"x-kubernetes-map-type": "atomic"})),
        ("Condition", "", required(&["lastTransitionTime", "message", "reason", "status", "type"])),
        ("Condition", "lastTransitionTime", date_time()),
        ("Condition", "message", json!({"maxLength": 32768})),
        ("Condition", "observedGeneration", json!({"minimum": 0})),
        ("Condition", "reason", json!({"minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"})),
        (
            "Condition",
            "type",
            json!({
                "maxLength": 316,
                "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
            }),
        ),
    ]
}

/// What the published schemas of Kubernetes' own types leave out.
fn core() -> Vec<Rule> {
    let atomic = || json!({"x-kubernetes-map-type": "atomic"});
    let mut number = int_or_string();
    let mut amount = quantity();
    for schema in [&mut number, &mut amount] {
        schema["description"] = "A number or a string.".into();
    }
    amount["description"] = "An amount such as 500m or 2Gi.".into();
    let named = || json!({"default": ""});
    vec![
        ("io.k8s.apimachinery.pkg.api.resource.Quantity", "", amount),
        ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "", number),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", "", atomic()),
        ("io.k8s.api.core.v1.NodeSelector", "", atomic()),
        ("io.k8s.api.core.v1.NodeSelectorTerm", "", atomic()),
        ("io.k8s.api.core.v1.FileKeySelector", "", atomic()),
        ("io.k8s.api.core.v1.ObjectFieldSelector", "", atomic()),
        ("io.k8s.api.core.v1.ResourceFieldSelector", "", atomic()),
        ("io.k8s.api.core.v1.ConfigMapKeySelector", "", atomic()),
        ("io.k8s.api.core.v1.ConfigMapKeySelector", "", required(&["key"])),
        ("io.k8s.api.core.v1.ConfigMapKeySelector", "name", named()),
        ("io.k8s.api.core.v1.SecretKeySelector", "", atomic()),
        ("io.k8s.api.core.v1.SecretKeySelector", "", required(&["key"])),
        ("io.k8s.api.core.v1.SecretKeySelector", "name", named()),
        ("io.k8s.api.core.v1.LocalObjectReference", "", atomic()),
        ("io.k8s.api.core.v1.LocalObjectReference", "", json!({"required": null})),
        ("io.k8s.api.core.v1.LocalObjectReference", "name", named()),
        ("io.k8s.api.core.v1.GRPCAction", "service", named()),
    ]
}

fn named_secret() -> Value {
    cel_at(".name", "has(self.name) && self.name != ''", "name is required: the name of a Secret")
}

fn keyed_by_type() -> Value {
    json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]})
}

fn date_time() -> Value {
    json!({"format": "date-time"})
}
