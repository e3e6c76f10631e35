//! The pods: an init container that prepares the volume, and the server.

use crds::names;
use sdk::{Items, Json, List, With, items, list, object};
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

/// The bytes that a template takes, about: the scripts in it are long.
pub(super) const ROOM: usize = 24 * 1_024;

/// The template of the pods. Of the DoltDB's own labels and annotations it has none: a change of them would restart the servers.
///
/// `config` is the hash of the servers' configuration, where a change of it is to restart them.
pub(super) fn template<'a>(target: &'a Target, restored: bool, config: Option<&'a str>, form: Form) -> impl Json {
    let spec = &target.spec;
    let fences = form != Form::Plain && target.replication.enabled;
    let mut annotations = annotations(target);
    annotations.extend(fences.then(fence::annotation));
    annotations.extend(target.listener_tls.as_ref().map(|tls| (names::ANNOTATION_LISTENER_TLS, tls.annotation().into())));
    annotations.extend(texts(&spec.pod_annotations));
    annotations.extend(config.map(|hash| (names::ANNOTATION_CONFIG_HASH, hash.into())));
    let pod = object! {
        "affinity": spec.affinity.as_ref().map(|affinity| &affinity.0).filter(|affinity| !is_empty(affinity)),
        "automountServiceAccountToken": false,
        "containers": list![server(target, fences, form)],
        "imagePullSecrets": some(&spec.image_pull_secrets, |secret| &secret.0),
        "initContainers": list![init_container(target, fences, restored)],
        "nodeSelector": Some(&spec.node_selector).filter(|labels| !labels.is_empty()),
        "securityContext": or(spec.security_context.as_ref().map(|context| &context.0), object! {}),
        "serviceAccountName": spec.service_account(target.name()),
        "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
        "tolerations": some(&spec.tolerations, |toleration| &toleration.0),
        "topologySpreadConstraints": some(&spec.topology_spread_constraints, |constraint| &constraint.0),
        "volumes": volumes(target, form),
    };
    object! { "metadata": object! { "annotations": &annotations, "labels": &versioned(target) }, "spec": pod }
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

/// A list of what the user has put together, if there is any.
fn some<'a, T>(list: &'a [T], value: impl Fn(&'a T) -> &'a Value) -> Option<impl Json> {
    (!list.is_empty()).then(|| List(list.iter().map(value)))
}

/// What the user has put together, or else what stands for it.
fn or(given: Option<&Value>, otherwise: impl Json) -> impl Json {
    With(move |out: &mut String| match given {
        Some(value) => value.write(out),
        None => otherwise.write(out),
    })
}

fn volumes(target: &Target, form: Form) -> impl Json {
    items(move |volumes| {
        let config = names::config_map(target.name());
        volumes.add(object! { "configMap": object! { "name": &config }, "name": "dolt-config" }).add_all(files::volumes(target, form));
    })
}

fn init_container(target: &Target, fences: bool, restored: bool) -> impl Json {
    let global = &target.spec.global_config;
    let own = [
        Some(literal("COMMIT_AUTHOR_NAME", &global.commit_author.name)),
        Some(literal("COMMIT_AUTHOR_EMAIL", &global.commit_author.email)),
        Some(literal("METRICS_DISABLED", truth(global.disable_client_usage_metrics_collection))),
        restored.then(|| literal("RESTORED_FOR", &target.header.uid)),
    ];
    let prepare = [Some(PREPARE), restored.then_some(RESTORE)].into_iter().flatten();
    let command = items(move |command| {
        if fences {
            add_script(target, prepare, "prepare", command);
        } else {
            command.add("/bin/sh").add("-c").add(prepare.map(|part| part.text).collect::<String>());
        }
    });
    object! {
        "command": command,
        "env": env(target, own.into_iter().flatten()),
        "image": target.spec.full_image(),
        "imagePullPolicy": "IfNotPresent",
        "name": "dolt-init",
        "securityContext": target.spec.container_security_context.as_ref().map(|context| &context.0),
        "volumeMounts": mounts(fences.then(|| files::mounts_to_prepare(target)).into_iter().flatten()),
        "workingDir": "/db",
    }
}

/// The words of a command that does one of the things that `server.sh` does.
fn add_script(target: &Target, before: impl IntoIterator<Item = Script>, action: &'static str, command: &mut Items) {
    let port = target.spec.server.listener.port.to_string();
    command.add("/bin/bash").add("-c").add(fence::script(target, before)).add("doltdb").add(action).add(port);
}

fn server(target: &Target, fences: bool, form: Form) -> impl Json {
    let spec = &target.spec;
    let command = items(move |command| {
        command.add("tini").add("--");
        if fences {
            add_script(target, [], "serve", command);
        }
        command.add("/usr/local/bin/dolt");
        if spec.server.profiler.enable_pprof {
            command.add("--prof").add("mem").add("--pprof-server");
        }
        command.add("sql-server").add("--config").add("config.yaml");
    });
    let withdraw = || object! { "preStop": object! { "exec": object! { "command": list!["/bin/sh", "-c", WITHDRAW] } } };
    let ask = probes::ask(target);
    object! {
        "command": command,
        "env": env(target, files::env(form)),
        "image": spec.full_image(),
        "imagePullPolicy": "IfNotPresent",
        "lifecycle": target.replication.enabled.then(withdraw),
        "livenessProbe": probes::liveness(target, &ask),
        "name": names::SERVER_CONTAINER,
        "ports": ports(target),
        "readinessProbe": probes::readiness(target, &ask),
        "resources": or(spec.resources.as_ref().map(|resources| &resources.0), default_resources()),
        "securityContext": spec.container_security_context.as_ref().map(|context| &context.0),
        "startupProbe": probes::startup(target, &ask),
        "volumeMounts": mounts(files::mounts(target, form)),
        "workingDir": "/db",
    }
}

fn default_resources() -> impl Json {
    object! { "limits": object! { "memory": "8Gi" }, "requests": object! { "cpu": "4000m", "memory": "2Gi" } }
}

fn ports(target: &Target) -> impl Json {
    let server = &target.spec.server;
    let port = |name: &'static str, number: i32| object! { "containerPort": number, "name": name, "protocol": "TCP" };
    list![
        port("tcp-dolt", server.listener.port),
        server.metrics.enabled.then(|| port("http-metrics", server.metrics.port)),
        server.profiler.enable_pprof.then(|| port("http-profiler", 6060)),
        server.mcp_server.as_ref().map(|mcp| port("http-mcp", mcp.port)),
    ]
}

/// Where a container has the configuration, the data and these.
fn mounts(others: impl Iterator<Item: Json>) -> impl Json {
    let mount = |name: &'static str, path: &'static str| object! { "mountPath": path, "name": name };
    items(move |mounts| {
        mounts.add(mount("dolt-config", "/etc/doltdb")).add(mount(names::PVC_ROLE_DATA, "/db")).add_all(others);
    })
}
