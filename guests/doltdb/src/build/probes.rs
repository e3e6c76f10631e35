//! When the kubelet asks whether a server lives and is ready. The question is always the same: does it answer a query on its real port?
//!
//! A startup probe asks often until the first answer, so that the others need not wait for a time that is usually too long.

use crds::{DoltDBSpec, Probe};
use serde_json::{Value, json};

/// Seconds between two questions while a server starts.
const STARTUP_PERIOD: i32 = 2;
/// Seconds that a server has for its start, whatever the liveness probe would give it.
const STARTUP_BUDGET: i32 = 600;
/// Seconds for an answer, where the user says nothing. The client alone takes most of one on a busy node.
const TIMEOUT: i32 = 5;

/// Asks until the first answer.
pub(super) fn startup(spec: &DoltDBSpec) -> Value {
    let delay = timing(spec.probes.as_ref().map(|probes| &probes.liveness_probe))["initialDelaySeconds"].as_i64().unwrap_or_default();
    let budget = i32::try_from(delay).unwrap_or(i32::MAX).max(STARTUP_BUDGET);
    let failures = budget / STARTUP_PERIOD + i32::from(budget % STARTUP_PERIOD > 0);
    probe(spec, &json!({ "periodSeconds": STARTUP_PERIOD, "timeoutSeconds": TIMEOUT, "failureThreshold": failures }))
}

/// Restarts a server that no longer answers.
pub(super) fn liveness(spec: &DoltDBSpec) -> Value {
    match &spec.probes {
        Some(probes) => probe(spec, &timing(Some(&probes.liveness_probe))),
        None => probe(spec, &json!({ "periodSeconds": 10, "timeoutSeconds": TIMEOUT })),
    }
}

/// Takes a server that does not answer out of the Services.
pub(super) fn readiness(spec: &DoltDBSpec) -> Value {
    match &spec.probes {
        Some(probes) => probe(spec, &timing(Some(&probes.readiness_probe))),
        None => probe(spec, &json!({ "periodSeconds": 5, "timeoutSeconds": TIMEOUT })),
    }
}

fn timing(probe: Option<&Probe>) -> Value {
    let Some(probe) = probe else { return json!({}) };
    let mut timing = json!(probe.timing());
    if timing["timeoutSeconds"].is_null() {
        timing["timeoutSeconds"] = json!(TIMEOUT);
    }
    timing
}

/// What a server says to a password that is not the account's.
pub(crate) const REFUSED: &str = "Access denied";

/// The password goes by the environment of the client, where no list of processes shows it. It is the one of the pod's start: where it has changed
/// since then, the server says so, and that is an answer, too.
fn probe(spec: &DoltDBSpec, timing: &Value) -> Value {
    let port = spec.server.listener.port;
    let ask = format!(
        r#"if out=$(DOLT_CLI_PASSWORD="$DOLT_PASSWORD" dolt --host 127.0.0.1 -u "$DOLT_USERNAME" --port {port} --no-tls sql -q 'select current_timestamp();' 2>&1); then exit 0; fi
case $out in *'{REFUSED}'*) ;; *) echo "$out"; exit 1 ;; esac
"#
    );
    let mut probe = timing.clone();
    probe["exec"] = json!({ "command": ["/bin/sh", "-c", ask] });
    probe
}
