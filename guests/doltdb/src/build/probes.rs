//! When the kubelet asks whether a server lives and is ready. The question is always the same: does it answer a query on its real port?
//!
//! A startup probe asks often until the first answer, so that the others need not wait for a time that is usually too long.

use crds::{ProbeTiming, names};
use sdk::{Json, Written, list, object};

use super::files::LISTENER_TLS_FOLDER;
use crate::target::Target;

/// Seconds between two questions while a server starts.
const STARTUP_PERIOD: i32 = 2;
/// Seconds that a server has for its start, whatever the liveness probe would give it.
const STARTUP_BUDGET: i32 = 600;
/// Seconds for an answer, where the user says nothing. The client alone takes most of one on a busy node.
const TIMEOUT: i32 = 5;

/// Asks until the first answer. `ask` is the command of all probes.
pub(super) fn startup(target: &Target, ask: &str) -> impl Json {
    probe(ask, until_started(liveness_timing(target).and_then(|timing| timing.initial_delay_seconds)))
}

/// Restarts a server that no longer answers.
pub(super) fn liveness(target: &Target, ask: &str) -> impl Json {
    probe(ask, liveness_timing(target).unwrap_or(every(10)))
}

/// Takes a server that does not answer out of the Services.
pub(super) fn readiness(target: &Target, ask: &str) -> impl Json {
    let wanted = target.spec.probes.as_ref().map(|probes| probes.readiness_probe.timing());
    probe(ask, wanted.unwrap_or(every(5)))
}

fn liveness_timing(target: &Target) -> Option<ProbeTiming> {
    target.spec.probes.as_ref().map(|probes| probes.liveness_probe.timing())
}

/// As often as it takes a server to start that takes its time.
fn until_started(delay: Option<i32>) -> ProbeTiming {
    let budget = delay.unwrap_or_default().max(STARTUP_BUDGET);
    let failures = budget / STARTUP_PERIOD + i32::from(budget % STARTUP_PERIOD > 0);
    ProbeTiming { failure_threshold: Some(failures), ..every(STARTUP_PERIOD) }
}

fn every(seconds: i32) -> ProbeTiming {
    ProbeTiming { period_seconds: Some(seconds), ..ProbeTiming::default() }
}

/// What a server says to a password that is not the account's.
pub(crate) const REFUSED: &str = "Access denied";

/// What a server says that takes clients by TLS only. Where a pod's files are older than it, or newer, it is not what the question was made for.
const ONLY_BY_TLS: &str = "does not allow insecure connections";
/// What the client says of a server that offers no TLS.
const NO_TLS: &str = "does not support TLS";
/// What the client says of a certificate. One that has expired must not end its server: a restart makes it no better, unless it was renewed.
const DISTRUST: &str = "failed to verify certificate";

/// The command that asks. The password goes by the environment of the client, where no list of processes shows it. It is the one of the pod's
/// start: where it has changed since then, the server says so, and that is an answer, too. It is written: there are three probes.
pub(super) fn ask(target: &Target) -> String {
    let port = target.spec.server.listener.port;
    let required = target.listener_tls.as_ref().is_some_and(|tls| tls.required);
    let (authority, host, tls) = if required {
        let authority = format!("SSL_CERT_FILE={LISTENER_TLS_FOLDER}/{} SSL_CERT_DIR=/dev/null ", names::CA_CERTIFICATE_KEY);
        // The name that the certificate is for: a pod knows its own without asking a name server.
        let service = names::service_host(&names::internal_service(target.name()), target.namespace(), target.servers.domain());
        (authority, format!("\"$POD_NAME.{service}\""), "")
    } else {
        (String::new(), "127.0.0.1".to_owned(), " --no-tls")
    };
    let answers = match &target.listener_tls {
        None => format!("*'{REFUSED}'*"),
        Some(_) => [REFUSED, ONLY_BY_TLS, NO_TLS, DISTRUST].map(|answer| format!("*'{answer}'*")).join("|"),
    };
    let script = format!(
        r#"if out=$(DOLT_CLI_PASSWORD="$DOLT_PASSWORD" {authority}dolt --host {host} -u "$DOLT_USERNAME" --port {port}{tls} sql -q 'select current_timestamp();' 2>&1); then exit 0; fi
case $out in {answers}) ;; *) echo "$out"; exit 1 ;; esac
"#
    );
    list!["/bin/sh", "-c", script].written()
}

fn probe(ask: &str, timing: ProbeTiming) -> impl Json {
    object! {
        "exec": object! { "command": Written(ask) },
        "failureThreshold": timing.failure_threshold,
        "initialDelaySeconds": timing.initial_delay_seconds,
        "periodSeconds": timing.period_seconds,
        "successThreshold": timing.success_threshold,
        "terminationGracePeriodSeconds": timing.termination_grace_period_seconds,
        "timeoutSeconds": timing.timeout_seconds.unwrap_or(TIMEOUT),
    }
}
