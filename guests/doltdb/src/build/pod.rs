//! The pods: an init container that prepares the volume, and the server.

use std::collections::BTreeMap;

use crds::{SecretKeySelector, UpdateStrategy, names};
use serde_json::{Value, json};

use super::{annotations, config::hash, fence, files, form::Form, probes, versioned, with};
use crate::target::Target;

/// Prepares an empty volume: the settings of the `dolt` command, the server's configuration, the administrator's account.
///
/// Everything that a user chose comes as a variable and is quoted: the shell expands none of it, and no quote in a password ends a string.
/// Statements go in by standard input, so that no password shows up in a list of processes.
const PREPARE: &str = r#"set -eu
dolt config --global --add user.name "$COMMIT_AUTHOR_NAME"
dolt config --global --add user.email "$COMMIT_AUTHOR_EMAIL"
dolt config --global --add metrics.disabled "$METRICS_DISABLED"
cp "/etc/doltdb/${POD_NAME}.yaml" config.yaml
if [ -n "$DOLT_PASSWORD" ] && [ ! -f .doltcfg/privileges.db ]; then
  quoted() { printf '%s' "$1" | sed -e 's/[\\]/\\\\/g' -e "s/'/''/g"; }
  user=$(quoted "$DOLT_USERNAME")
  password=$(quoted "$DOLT_PASSWORD")
  printf "create user '%s' identified by '%s'; grant all privileges on *.* to '%s' with grant option;\n" "$user" "$password" "$user" | dolt sql
fi
"#;

/// Makes a volume that was filled from a snapshot this server's own, once: it has neither role, epoch nor uuid of the server that the snapshot was
/// taken of, and the administrator's account is the one of the Secret. Other accounts stay. Without a role of its own the server takes the one of its
/// configuration, so of servers on copies of one volume just one is primary.
const RESTORE: &str = r#"if [ "$(cat .doltcfg/restored-for 2>/dev/null)" != "$RESTORED_FOR" ]; then
  for key in sqlserver.cluster.dolt_cluster_role sqlserver.cluster.dolt_cluster_role_epoch sqlserver.global.server_uuid; do
    dolt config --global --unset "$key" >/dev/null 2>&1 || true
    dolt config --local --unset "$key" >/dev/null 2>&1 || true
  done
  if dolt config --list | grep -q '^sqlserver\.cluster\.dolt_cluster_role'; then
    echo "the role of the server that the snapshot was taken of cannot be taken off the volume" >&2
    exit 1
  fi
  if [ -n "$DOLT_PASSWORD" ]; then
    quoted() { printf '%s' "$1" | sed -e 's/[\\]/\\\\/g' -e "s/'/''/g"; }
    user=$(quoted "$DOLT_USERNAME")
    password=$(quoted "$DOLT_PASSWORD")
    printf "create user if not exists '%s' identified by '%s'; alter user '%s' identified by '%s'; grant all privileges on *.* to '%s' with grant option;\n" \
      "$user" "$password" "$user" "$password" "$user" | dolt sql
  fi
  mkdir -p .doltcfg
  printf '%s' "$RESTORED_FOR" > .doltcfg/restored-for
fi
"#;

/// Time for Services to stop sending connections here, before the server is asked to end. Its role stays: a server that steps down here leaves
/// a cluster without a primary when nobody is there to choose another, and comes back as what it was otherwise.
const WITHDRAW: &str = "sleep 5";

/// The template of the pods. Of the DoltDB's own labels and annotations it has none: a change of them would restart the servers.
pub(super) fn template(target: &Target, restored: bool, config: &BTreeMap<String, String>, form: Form) -> Value {
    let spec = &target.spec;
    let fences = form != Form::Plain && target.replication.enabled;
    let mut annotations = annotations(target);
    annotations.extend(fences.then(fence::annotation));
    annotations.extend(target.listener_tls.as_ref().map(|tls| (names::ANNOTATION_LISTENER_TLS.to_owned(), tls.annotation())));
    annotations.extend(spec.pod_annotations.clone());
    if spec.update_strategy != UpdateStrategy::Never && !config.is_empty() {
        annotations.insert(names::ANNOTATION_CONFIG_HASH.to_owned(), hash(config));
    }
    let mut volumes = vec![json!({ "name": "dolt-config", "configMap": { "name": names::config_map(target.name()) } })];
    volumes.extend(files::volumes(target, form));
    let pod = json!({
        "automountServiceAccountToken": false,
        "serviceAccountName": spec.service_account(target.name()),
        "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
    });
    let mut pod = with(
        pod,
        [
            ("securityContext", spec.security_context.as_ref().map_or_else(|| json!({}), |context| json!(context))),
            ("volumes", volumes.into()),
            ("initContainers", vec![init_container(target, fences, restored, form)].into()),
            ("containers", vec![server(target, fences, form)].into()),
        ],
    );
    let optional = [
        ("imagePullSecrets", json!(spec.image_pull_secrets)),
        ("affinity", json!(spec.affinity)),
        ("nodeSelector", json!(spec.node_selector)),
        ("tolerations", json!(spec.tolerations)),
        ("topologySpreadConstraints", json!(spec.topology_spread_constraints)),
    ];
    for (field, value) in optional {
        let empty =
            value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty);
        if !empty {
            pod[field] = value;
        }
    }
    with(json!({ "metadata": { "labels": versioned(target), "annotations": annotations } }), [("spec", pod)])
}

fn init_container(target: &Target, fences: bool, restored: bool, form: Form) -> Value {
    let global = &target.spec.global_config;
    let mut own = vec![
        literal("COMMIT_AUTHOR_NAME", &global.commit_author.name),
        literal("COMMIT_AUTHOR_EMAIL", &global.commit_author.email),
        literal("METRICS_DISABLED", &global.disable_client_usage_metrics_collection.to_string()),
    ];
    let mut prepare = PREPARE.to_owned();
    if restored {
        prepare.push_str(RESTORE);
        own.push(literal("RESTORED_FOR", &target.header.uid));
    }
    let command = if fences { script(target, &prepare, "prepare") } else { vec!["/bin/sh".to_owned(), "-c".to_owned(), prepare] };
    let mut mounts = mounts();
    mounts.extend(files::mounts_to_prepare(target, form).filter(|_| fences));
    let container = json!({
        "name": "dolt-init",
        "image": target.spec.full_image(),
        "imagePullPolicy": "IfNotPresent",
        "workingDir": "/db",
    });
    let fields = [("command", command.into()), ("env", env(target, own).into()), ("volumeMounts", mounts.into())];
    let mut container = with(container, fields);
    secure(target, &mut container);
    container
}

/// Gives a container the security settings that the spec has for it.
fn secure(target: &Target, container: &mut Value) {
    if let Some(context) = &target.spec.container_security_context {
        container["securityContext"] = json!(context);
    }
}

/// The command that does one of the things that `server.sh` does.
fn script(target: &Target, before: &str, action: &str) -> Vec<String> {
    let port = target.spec.server.listener.port.to_string();
    ["/bin/bash", "-c", &fence::script(target, before), "doltdb", action, &port].map(ToOwned::to_owned).to_vec()
}

fn server(target: &Target, fences: bool, form: Form) -> Value {
    let spec = &target.spec;
    let mut command = vec!["tini".to_owned(), "--".to_owned()];
    if fences {
        command.extend(script(target, "", "serve"));
    }
    command.push("/usr/local/bin/dolt".to_owned());
    if spec.server.profiler.enable_pprof {
        command.extend(["--prof", "mem", "--pprof-server"].map(ToOwned::to_owned));
    }
    command.extend(["sql-server", "--config", "config.yaml"].map(ToOwned::to_owned));
    let mut mounts = mounts();
    mounts.extend(files::mounts(target, form));
    let container = json!({
        "name": names::SERVER_CONTAINER,
        "image": spec.full_image(),
        "imagePullPolicy": "IfNotPresent",
        "workingDir": "/db",
    });
    let mut container = with(
        container,
        [
            ("command", command.into()),
            ("env", env(target, files::env(form)).into()),
            ("ports", ports(target).into()),
            ("volumeMounts", mounts.into()),
            ("resources", spec.resources.as_ref().map_or_else(default_resources, |resources| json!(resources))),
            ("startupProbe", probes::startup(target)),
            ("livenessProbe", probes::liveness(target)),
            ("readinessProbe", probes::readiness(target)),
        ],
    );
    secure(target, &mut container);
    if target.replication.enabled {
        container["lifecycle"] = json!({ "preStop": { "exec": { "command": ["/bin/sh", "-c", WITHDRAW] } } });
    }
    container
}

fn default_resources() -> Value {
    json!({ "requests": { "cpu": "4000m", "memory": "2Gi" }, "limits": { "memory": "8Gi" } })
}

fn ports(target: &Target) -> Vec<Value> {
    let server = &target.spec.server;
    let port = |name: &str, number: i32| json!({ "name": name, "containerPort": number, "protocol": "TCP" });
    let mut ports = vec![port("tcp-dolt", server.listener.port)];
    if server.metrics.enabled {
        ports.push(port("http-metrics", server.metrics.port));
    }
    if server.profiler.enable_pprof {
        ports.push(port("http-profiler", 6060));
    }
    ports.extend(server.mcp_server.as_ref().map(|mcp| port("http-mcp", mcp.port)));
    ports
}

fn mounts() -> Vec<Value> {
    let mount = |name: &str, path: &str| json!({ "name": name, "mountPath": path });
    vec![mount("dolt-config", "/etc/doltdb"), mount(names::PVC_ROLE_DATA, "/db")]
}

/// The environment, in an order that does not change; the user's own variables come last and win over ours of the same name.
fn env(target: &Target, own: Vec<Value>) -> Vec<Value> {
    let credentials = names::credentials_secret(target.name());
    let mut env = vec![
        literal("DOLT_ROOT_PATH", "/db"),
        json!({ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }),
        from_secret("DOLT_USERNAME", &credentials, names::ADMIN_USER_KEY),
        from_secret("DOLT_PASSWORD", &credentials, names::ADMIN_PASSWORD_KEY),
    ];
    if let Some(mcp) = &target.spec.server.mcp_server {
        env.extend(mcp.user.as_deref().filter(|user| !user.is_empty()).map(|user| literal("DOLT_MCP_USER", user)));
        env.push(match &mcp.password_secret_key_ref {
            Some(SecretKeySelector { name, key }) => from_secret("DOLT_MCP_PASSWORD", name, key),
            None => from_secret("DOLT_MCP_PASSWORD", &credentials, names::ADMIN_PASSWORD_KEY),
        });
    }
    env.extend(own);
    for variable in &target.spec.env {
        env.retain(|there| there["name"] != variable.name());
        env.push(json!(variable));
    }
    env
}

/// A variable with this very value: Kubernetes would put other variables in for `$(NAME)`, the password's among them.
pub(super) fn literal(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value.replace('$', "$$") })
}

fn from_secret(name: &str, secret: &str, key: &str) -> Value {
    json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } })
}
