//! What the Go operator leaves of a DoltDB, object by object, as it writes them: by creations and merge patches of the field manager
//! `manager`. It cannot run here, so these are built from what is known of it; the servers in the pods are real.
//!
//! It knows nothing of what comes after.

use anyhow::{Context, Result};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    Namespace,
    manifest::{identity, resource},
    text,
};

/// The field manager of its process.
pub const MANAGER: &str = "manager";

/// The command by which pods ask their own server.
const CLI: &str = r#"dolt --host 127.0.0.1 -u "$DOLT_USERNAME" -p "$DOLT_PASSWORD" --port 3306 --no-tls sql"#;

impl Namespace {
    /// Creates an object here as that operator does.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn leave(&self, manifest: &Value) -> Result<Value> {
        let mut manifest = manifest.clone();
        let (kind, name) = identity(&manifest)?;
        let api =
            if kind == "ClusterRoleBinding" { kube::Api::all_with(self.cluster.client.clone(), &resource(kind)) } else { self.api(kind) };
        let (kind, name) = (kind.to_owned(), name.to_owned());
        if kind != "ClusterRoleBinding" {
            manifest["metadata"]["namespace"] = json!(self.name);
        }
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let object: DynamicObject = serde_json::from_value(manifest)?;
        let created = api.create(&params, &object).await.with_context(|| format!("cannot create {kind} {name}"))?;
        Ok(serde_json::to_value(created)?)
    }

    /// Takes a ClusterRoleBinding away, and says whether there was one.
    ///
    /// # Errors
    /// When the API server fails.
    pub async fn remove_cluster_role_binding(&self, name: &str) -> Result<bool> {
        let api: kube::Api<DynamicObject> = kube::Api::all_with(self.cluster.client.clone(), &resource("ClusterRoleBinding"));
        match api.delete(name, &DeleteParams::default()).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot delete ClusterRoleBinding {name}")),
        }
    }

    /// Merges into a status as that operator does.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn leave_status(&self, kind: &str, name: &str, status: Value) -> Result<()> {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"status": status}));
        self.api(kind).patch_status(name, &params, &patch).await.with_context(|| format!("cannot write the status of {kind} {name}"))?;
        Ok(())
    }

    /// Merges into an object as that operator does.
    ///
    /// # Errors
    /// What the API server says against it.
    pub async fn leave_changed(&self, kind: &str, name: &str, patch: &Value) -> Result<()> {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.api(kind).patch(name, &params, &Patch::Merge(patch)).await.with_context(|| format!("cannot change {kind} {name}"))?;
        Ok(())
    }
}

/// A condition as it writes them: without the generation.
#[must_use]
pub fn condition(type_: &str, status: bool, reason: &str, message: &str) -> Value {
    let status = if status { "True" } else { "False" };
    json!({"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2025-06-01T00:00:00Z"})
}

/// The name of the ClusterRoleBinding that nobody collects.
#[must_use]
pub fn binding(doltdb: &Value) -> String {
    let uid = text(doltdb, "/metadata/uid");
    let first = uid.split('-').next().unwrap_or_default();
    format!("{}-{}-{first}:auth-delegator", text(doltdb, "/metadata/name"), text(doltdb, "/metadata/namespace"))
}

/// All children of a DoltDB that is in the cluster, with this primary, in the order in which they are made.
#[must_use]
pub fn children(doltdb: &Value, primary: u64) -> Vec<Value> {
    let former = Former { doltdb, name: text(doltdb, "/metadata/name"), namespace: text(doltdb, "/metadata/namespace") };
    let mut children = vec![former.config_map()];
    children.extend(former.rbac());
    children.push(former.stateful_set());
    if former.replicas() != 1 {
        children.push(former.budget());
    }
    children.extend(former.services(primary));
    children
}

struct Former<'a> {
    doltdb: &'a Value,
    name: String,
    namespace: String,
}

impl Former<'_> {
    fn replicas(&self) -> u64 {
        self.doltdb["spec"]["replicas"].as_u64().unwrap_or_default()
    }

    fn replicates(&self) -> bool {
        self.doltdb["spec"]["replication"]["enabled"] == true
    }

    /// Everything on the DoltDB, and more.
    fn labels(&self, more: &Value) -> Value {
        merged(&self.doltdb["metadata"]["labels"], more)
    }

    fn annotations(&self, more: &Value) -> Value {
        merged(&self.doltdb["metadata"]["annotations"], more)
    }

    fn selector(&self) -> Value {
        json!({"app.kubernetes.io/name": self.name})
    }

    fn versioned(&self) -> Value {
        merged(&self.selector(), &json!({"app.kubernetes.io/version": self.doltdb["spec"]["engineVersion"]}))
    }

    /// On StatefulSet, pods and volumes.
    fn marks(&self) -> Value {
        json!({"k8s.dolthub.com/doltdb": self.name, "k8s.dolthub.com/replication": self.replicates().to_string()})
    }

    fn child(&self, api_version: &str, kind: &str, name: &str, labels: &Value, annotations: &Value, body: Value) -> Value {
        let owner = json!({
            "apiVersion": "k8s.dolthub.com/v1alpha", "kind": "DoltDB", "name": self.name, "uid": self.doltdb["metadata"]["uid"],
            "controller": true, "blockOwnerDeletion": true,
        });
        let metadata = json!({
            "name": name, "labels": self.labels(labels), "annotations": self.annotations(annotations), "ownerReferences": [owner],
        });
        merged(&json!({"apiVersion": api_version, "kind": kind, "metadata": metadata}), &body)
    }

    fn config(&self) -> Map<String, Value> {
        (0..self.replicas()).map(|ordinal| (format!("{}-{ordinal}.yaml", self.name), json!(self.file(ordinal)))).collect()
    }

    fn file(&self, ordinal: u64) -> String {
        let mut file = "behavior:\n    auto_gc_behavior:\n        enable: false\nlog_level: trace\n".to_owned();
        if self.replicates() {
            file.push_str("cluster:\n    standby_remotes:\n");
            for peer in (0..self.replicas()).filter(|peer| *peer != ordinal) {
                let (name, namespace) = (&self.name, &self.namespace);
                file.push_str(&format!("        - name: {name}-{peer}\n"));
                file.push_str(&format!(
                    "          remote_url_template: http://{name}-{peer}.{name}-internal.{namespace}:50051/{{database}}\n"
                ));
            }
            let role = if ordinal == 0 { "primary" } else { "standby" };
            file.push_str(&format!("    bootstrap_epoch: 1\n    bootstrap_role: {role}\n    remotesapi:\n        port: 50051\n"));
        }
        file.push_str("listener:\n    host: 0.0.0.0\n    port: 3306\n    max_connections: 1024\n");
        file
    }

    fn config_map(&self) -> Value {
        self.child("v1", "ConfigMap", &format!("{}-config", self.name), &self.selector(), &json!({}), json!({"data": self.config()}))
    }

    fn rbac(&self) -> Vec<Value> {
        let (none, name) = (json!({}), &self.name);
        let subject = json!([{"kind": "ServiceAccount", "name": name, "namespace": self.namespace}]);
        let snapshots = ["get", "list", "watch", "create", "update", "patch", "delete"];
        let rules = json!([
            {"apiGroups": ["k8s.dolthub.com"], "resources": ["doltdbs"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
            {"apiGroups": ["snapshot.storage.k8s.io"], "resources": ["volumesnapshots"], "verbs": snapshots},
        ]);
        let api = "rbac.authorization.k8s.io";
        let refers = |kind: &str, to: &str| json!({"subjects": subject, "roleRef": {"apiGroup": api, "kind": kind, "name": to}});
        let version = format!("{api}/v1");
        let delegator = refers("ClusterRole", "system:auth-delegator");
        vec![
            self.child("v1", "ServiceAccount", name, &none, &none, none.clone()),
            self.child(&version, "Role", name, &none, &none, json!({"rules": rules})),
            self.child(&version, "RoleBinding", name, &none, &none, refers("Role", name)),
            self.child(&version, "ClusterRoleBinding", &binding(self.doltdb), &none, &none, delegator),
        ]
    }

    fn services(&self, primary: u64) -> Vec<Value> {
        let (none, name) = (json!({}), &self.name);
        let sql = json!({"name": "tcp-dolt", "port": 3306, "targetPort": 3306});
        let remotes = json!({"name": "grpc-remotesapi", "port": 50051, "targetPort": 50051});
        let role = |role: &str| merged(&self.selector(), &json!({"k8s.dolthub.com/cluster-role": role}));
        let service = |suffix: &str, selector: Value, more: Value| {
            let spec = merged(&json!({"type": "ClusterIP", "selector": selector, "ports": [sql]}), &more);
            self.child("v1", "Service", &format!("{name}{suffix}"), &none, &none, json!({"spec": spec}))
        };
        let mut services = vec![service("-internal", self.selector(), json!({"clusterIP": "None", "ports": [sql, remotes]}))];
        if self.replicates() {
            let pod = json!({"statefulset.kubernetes.io/pod-name": format!("{name}-{primary}")});
            services.push(service("-primary", merged(&role("primary"), &pod), none.clone()));
            services.push(service("-reader", role("standby"), none.clone()));
        } else {
            services.push(service("", self.selector(), none.clone()));
        }
        services
    }

    fn budget(&self) -> Value {
        let spec = json!({"spec": {"minAvailable": "50%", "selector": {"matchLabels": self.selector()}}});
        self.child("policy/v1", "PodDisruptionBudget", &format!("{}-pdb", self.name), &json!({}), &json!({}), spec)
    }

    fn stateful_set(&self) -> Value {
        let spec = &self.doltdb["spec"];
        let claim_labels = merged(&self.labels(&self.versioned()), &json!({"pvc.k8s.dolthub.com/role": "dolt-data"}));
        let claim = json!({
            "metadata": {"name": "dolt-data", "labels": claim_labels, "annotations": self.annotations(&self.marks())},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": spec["storage"]["size"]}}},
        });
        let body = json!({"spec": {
            "replicas": self.replicas(),
            "serviceName": format!("{}-internal", self.name),
            "selector": {"matchLabels": self.selector()},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "updateStrategy": {"type": "OnDelete"},
            "volumeClaimTemplates": [claim],
            "template": self.template(),
        }});
        self.child("apps/v1", "StatefulSet", &self.name, &self.versioned(), &self.marks(), body)
    }

    fn template(&self) -> Value {
        let spec = &self.doltdb["spec"];
        let mut hash = Sha256::new();
        for (key, file) in self.config() {
            hash.update(format!("{key}={};", file.as_str().unwrap_or_default()));
        }
        let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let annotations = merged(&self.annotations(&self.marks()), &spec["podAnnotations"]);
        let annotations = merged(&annotations, &json!({"k8s.dolthub.com/configmap-hash": hash}));
        let token = json!({"projected": {"sources": [
            {"serviceAccountToken": {"path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ]}});
        json!({
            "metadata": {
                "name": self.name, "namespace": self.namespace, "labels": self.labels(&self.versioned()), "annotations": annotations,
            },
            "spec": {
                "automountServiceAccountToken": false,
                "serviceAccountName": self.name,
                "terminationGracePeriodSeconds": 60,
                "securityContext": {},
                "volumes": [
                    {"name": "dolt-config", "configMap": {"name": format!("{}-config", self.name)}},
                    merged(&json!({"name": "serviceaccount"}), &token),
                ],
                "initContainers": [self.init_container()],
                "containers": [self.server()],
            },
        })
    }

    fn env(&self) -> Value {
        let secret = |key: &str| json!({"secretKeyRef": {"name": format!("{}-credentials", self.name), "key": key}});
        let mut env = vec![
            json!({"name": "DOLT_ROOT_PATH", "value": "/db"}),
            json!({"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
            json!({"name": "DOLT_USERNAME", "valueFrom": secret("admin-user")}),
            json!({"name": "DOLT_PASSWORD", "valueFrom": secret("admin-password")}),
        ];
        env.extend(self.doltdb["spec"]["env"].as_array().cloned().unwrap_or_default());
        Value::Array(env)
    }

    fn container(&self, name: &str, command: Value) -> Value {
        let spec = &self.doltdb["spec"];
        json!({
            "name": name,
            "image": format!("{}:{}", text(spec, "/image"), text(spec, "/engineVersion")),
            "imagePullPolicy": "IfNotPresent",
            "workingDir": "/db",
            "command": command,
            "env": self.env(),
            "volumeMounts": [{"name": "dolt-config", "mountPath": "/etc/doltdb"}, {"name": "dolt-data", "mountPath": "/db"}],
        })
    }

    fn init_container(&self) -> Value {
        let script = r#"dolt config --global --add user.name "dolt kubernetes deployment"
dolt config --global --add user.email "dolt@kubernetes.deployment"
dolt config --global --add metrics.disabled false
cp /etc/doltdb/${POD_NAME}.yaml config.yaml
if [ -n "$DOLT_PASSWORD" -a ! -f .doltcfg/privileges.db ]; then
    dolt sql -q "create user '$DOLT_USERNAME' identified by '$DOLT_PASSWORD'; grant all privileges on *.* to '$DOLT_USERNAME' with grant option;"
fi
"#;
        self.container("dolt-init", json!(["/bin/sh", "-c", script]))
    }

    fn server(&self) -> Value {
        let probe = |kind: &str| {
            let command = json!(["/bin/sh", "-c", format!("{CLI} -q 'select current_timestamp();'")]);
            merged(&json!({"exec": {"command": command}}), &self.doltdb["spec"]["probes"][kind])
        };
        let mut server = merged(
            &self.container("dolt", json!(["tini", "--", "/usr/local/bin/dolt", "sql-server", "--config", "config.yaml"])),
            &json!({
                "ports": [{"name": "tcp-dolt", "containerPort": 3306}],
                "resources": self.doltdb["spec"]["resources"],
                "readinessProbe": probe("readinessProbe"),
                "livenessProbe": probe("livenessProbe"),
            }),
        );
        if self.replicates() {
            // A primary that is asked to end gives its role away first, to nobody in particular.
            let script = format!(
                r#"role=$({CLI} -r csv -q 'SELECT @@global.dolt_cluster_role' | tail -n 1)
if [ "$role" = "primary" ]; then
    epoch=$({CLI} -r csv -q 'SELECT @@global.dolt_cluster_role_epoch' | tail -n 1)
    {CLI} -q "CALL DOLT_CLUSTER_TRANSITION_TO_STANDBY('$((epoch + 1))', '1')" || true
fi
sleep 5
"#
            );
            server["lifecycle"] = json!({"preStop": {"exec": {"command": ["/bin/sh", "-c", script]}}});
        }
        server
    }
}

/// Both objects in one, the second one's fields first.
fn merged(one: &Value, other: &Value) -> Value {
    let mut both = one.as_object().cloned().unwrap_or_default();
    both.extend(other.as_object().cloned().unwrap_or_default());
    Value::Object(both)
}
