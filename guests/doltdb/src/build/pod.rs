//! The pods: an init container that prepares the volume, and the server.

use crds::names;
use sdk::{Fields, Json, list, object};
use serde_json::Value;

use super::{
    annotations,
    env::{env, literal},
    fence, files,
    form::Form,
    probes,
    script::{Script, script},
    texts, truth, versioned,
};
use crate::target::Target;

/// Prepares an empty volume: the settings of the `dolt` command, the server's configuration, the administrator's account.
///
/// Everything that a user chose comes as a variable and is quoted: the shell expands none of it, and no quote in a password ends a string.
/// Statements go in by standard input, so that no password shows up in a list of processes.
const PREPARE: Script = script!(
    r#"set -eu
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
"#
);

/// Makes a volume that was filled from a snapshot this server's own, once: it has neither role, epoch nor uuid of the server that the snapshot was
/// taken of, and the administrator's account is the one of the Secret. Other accounts stay. Without a role of its own the server takes the one of its
/// configuration, so of servers on copies of one volume just one is primary.
const RESTORE: Script = script!(
    r#"if [ "$(cat .doltcfg/restored-for 2>/dev/null)" != "$RESTORED_FOR" ]; then
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
"#
);

/// Time for Services to stop sending connections here, before the server is asked to end. Its role stays: a server that steps down here leaves
/// a cluster without a primary when nobody is there to choose another, and comes back as what it was otherwise.
const WITHDRAW: &str = "sleep 5";

/// The template of the pods. Of the DoltDB's own labels and annotations it has none: a change of them would restart the servers.
///
/// `config` is the hash of the servers' configuration, where a change of it is to restart them.
pub(super) fn template<'a>(target: &'a Target, restored: bool, config: Option<&'a str>, form: Form) -> Json<'a> {
    let spec = &target.spec;
    let fences = form != Form::Plain && target.replication.enabled;
    let mut annotations = annotations(target);
    annotations.extend(fences.then(fence::annotation));
    annotations.extend(target.listener_tls.as_ref().map(|tls| (names::ANNOTATION_LISTENER_TLS, tls.annotation())));
    annotations.extend(texts(&spec.pod_annotations));
    annotations.extend(config.map(|hash| (names::ANNOTATION_CONFIG_HASH, hash)));
    let mut volumes =
        vec![Json::from(object! { "name": "dolt-config", "configMap": object! { "name": names::config_map(target.name()) } })];
    volumes.extend(files::volumes(target, form));
    let mut pod = object! {
        "automountServiceAccountToken": false,
        "serviceAccountName": spec.service_account(target.name()),
        "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
        "securityContext": spec.security_context.as_ref().map_or_else(|| Fields::default().into(), |context| Json::from(&context.0)),
        "volumes": volumes,
        "initContainers": list![init_container(target, fences, restored, form)],
        "containers": list![server(target, fences, form)],
    };
    if let Some(affinity) = &spec.affinity
        && !is_empty(&affinity.0)
    {
        pod.set("affinity", &affinity.0);
    }
    if !spec.node_selector.is_empty() {
        pod.set("nodeSelector", &spec.node_selector);
    }
    let lists: [(&str, Vec<Json>); 3] = [
        ("imagePullSecrets", spec.image_pull_secrets.iter().map(|secret| Json::from(&secret.0)).collect()),
        ("tolerations", spec.tolerations.iter().map(|toleration| Json::from(&toleration.0)).collect()),
        ("topologySpreadConstraints", spec.topology_spread_constraints.iter().map(|constraint| Json::from(&constraint.0)).collect()),
    ];
    pod.extend(lists.into_iter().filter(|(_, list)| !list.is_empty()));
    object! { "metadata": object! { "labels": versioned(target), "annotations": annotations }, "spec": pod }.into()
}

/// Whether a value says nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn init_container(target: &Target, fences: bool, restored: bool, form: Form) -> Fields<'_> {
    let global = &target.spec.global_config;
    let mut own = vec![
        literal("COMMIT_AUTHOR_NAME", &global.commit_author.name),
        literal("COMMIT_AUTHOR_EMAIL", &global.commit_author.email),
        literal("METRICS_DISABLED", truth(global.disable_client_usage_metrics_collection)),
    ];
    let mut prepare = vec![PREPARE];
    if restored {
        prepare.push(RESTORE);
        own.push(literal("RESTORED_FOR", &target.header.uid));
    }
    let command = if fences {
        Json::List(script(target, &prepare, "prepare").into())
    } else {
        list!["/bin/sh", "-c", prepare.iter().map(|part| part.text).collect::<String>()]
    };
    let mut mounts = mounts();
    mounts.extend(files::mounts_to_prepare(target, form).filter(|_| fences));
    let container = object! {
        "name": "dolt-init",
        "image": target.spec.full_image(),
        "imagePullPolicy": "IfNotPresent",
        "workingDir": "/db",
        "command": command,
        "env": env(target, own),
        "volumeMounts": mounts,
    };
    secured(target, container)
}

/// A container with the security settings that the spec has for it.
fn secured<'a>(target: &'a Target, mut container: Fields<'a>) -> Fields<'a> {
    if let Some(context) = &target.spec.container_security_context {
        container.set("securityContext", &context.0);
    }
    container
}

/// The command that does one of the things that `server.sh` does.
fn script(target: &Target, before: &[Script], action: &'static str) -> [Json<'static>; 6] {
    let port = target.spec.server.listener.port.to_string();
    ["/bin/bash".into(), "-c".into(), fence::script(target, before), "doltdb".into(), action.into(), port.into()]
}

fn server(target: &Target, fences: bool, form: Form) -> Fields<'_> {
    let spec = &target.spec;
    let mut command = vec![Json::from("tini"), "--".into()];
    if fences {
        command.extend(script(target, &[], "serve"));
    }
    command.push("/usr/local/bin/dolt".into());
    if spec.server.profiler.enable_pprof {
        command.extend(["--prof", "mem", "--pprof-server"].map(Json::from));
    }
    command.extend(["sql-server", "--config", "config.yaml"].map(Json::from));
    let mut mounts = mounts();
    mounts.extend(files::mounts(target, form));
    let mut container = object! {
        "name": names::SERVER_CONTAINER,
        "image": spec.full_image(),
        "imagePullPolicy": "IfNotPresent",
        "workingDir": "/db",
        "command": command,
        "env": env(target, files::env(form)),
        "ports": ports(target),
        "volumeMounts": mounts,
        "resources": spec.resources.as_ref().map_or_else(default_resources, |resources| Json::from(&resources.0)),
    };
    container.extend(probes::probes(target));
    if target.replication.enabled {
        container.set("lifecycle", object! { "preStop": object! { "exec": object! { "command": list!["/bin/sh", "-c", WITHDRAW] } } });
    }
    secured(target, container)
}

fn default_resources<'a>() -> Json<'a> {
    let requests = object! { "cpu": "4000m", "memory": "2Gi" };
    object! { "requests": requests, "limits": object! { "memory": "8Gi" } }.into()
}

fn ports(target: &Target) -> Vec<Json<'static>> {
    let server = &target.spec.server;
    let port = |name: &'static str, number: i32| Json::from(object! { "name": name, "containerPort": number, "protocol": "TCP" });
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

fn mounts() -> Vec<Json<'static>> {
    let mount = |name: &'static str, path: &'static str| Json::from(object! { "name": name, "mountPath": path });
    vec![mount("dolt-config", "/etc/doltdb"), mount(names::PVC_ROLE_DATA, "/db")]
}
