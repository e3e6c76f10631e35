//! What runs in the pods of a replicated cluster beside the server: a primary that is cut off ends itself, waits for somebody before it starts
//! again, and keeps what it had when it was replaced. `server.sh` says how; here is when.
//!
//! It knows nothing of what the operator does about a primary that gives no answer.

use std::borrow::Cow;

use crds::names;
use sdk::Json;

use super::{
    files::LISTENER_TLS_FOLDER,
    script::{self, Script, script},
};
use crate::target::Target;

/// Seconds between two looks of a primary for the API server and the other servers.
const PERIOD: u32 = 1;
/// Seconds for an answer. One look is two questions: first to the API server, then to all other servers at once.
const ANSWER: u32 = 1;
/// Seconds without any answer after which a primary is cut off.
const LIMIT: u32 = 5;
/// Seconds after which an API server that has not answered while other servers did says nothing any more: a network policy may forbid to reach it.
const FORGET: u32 = 600;
/// How many states of replaced primaries are kept on a volume.
const KEPT: u32 = 5;

/// Seconds after which a primary that is cut off has stopped: the limit counts from the begin of the last look that found somebody, which was
/// before the cut. It is looked at when a look has ended; the last one before the limit may end just before it, and then there is one more.
/// A SIGKILL ends the server at once.
pub(crate) const STOPPED_AFTER: u32 = LIMIT + PERIOD + 2 * ANSWER;
const _: () = assert!(STOPPED_AFTER <= 8, "10 s are promised, and a busy node needs some of them");

/// How `server.sh` asks another server where clients have no TLS.
const IN_PLAIN_TEXT: &str = r#"timeout 5 dolt --host "${peer%:*}" --port "$port" -u "$DOLT_USERNAME" --no-tls"#;
/// How it does where they have, by a function that stands before it.
const BY_TLS: &str = r#"ask "${peer%:*}""#;

const SERVER: (&str, &str) = script::around(include_str!("server.sh"), IN_PLAIN_TEXT);
const BEFORE_ASKING: Script = script!(SERVER.0);
const ASKING_IN_PLAIN_TEXT: Script = script!(IN_PLAIN_TEXT);
const ASKING_BY_TLS: Script = script!(BY_TLS);
const AFTER_ASKING: Script = script!(SERVER.1);

/// The script for a container's `bash -c`, with what goes before.
pub(super) fn script(target: &Target, before: impl IntoIterator<Item = Script>) -> impl Json {
    written(target.listener_tls.as_ref().map(|_| target.servers.domain()), before)
}

/// `domain` is the one of the servers' names, where they are asked by TLS.
fn written(domain: Option<&str>, before: impl IntoIterator<Item = Script>) -> impl Json {
    script::text(move |script| {
        for part in before {
            script.add(part);
        }
        script.add_text(&format!("period={PERIOD} answer={ANSWER} limit={} forget={} most={KEPT}\n", 100 * LIMIT, 100 * FORGET));
        if let Some(domain) = domain {
            script.add_text(&by_tls(domain));
        }
        script.add(BEFORE_ASKING).add(if domain.is_some() { ASKING_BY_TLS } else { ASKING_IN_PLAIN_TEXT }).add(AFTER_ASKING);
    })
}

/// The function that asks another server by TLS, and in plain text if that does not work: while pods are replaced, some may not offer it. What it is
/// asked for is known to everybody who could listen.
fn by_tls(domain: &str) -> String {
    format!(
        r#"ask() {{
  local host=$1; shift
  SSL_CERT_FILE={LISTENER_TLS_FOLDER}/{ca} SSL_CERT_DIR=/dev/null timeout 5 dolt --host "$host.svc.{domain}" --port "$port" -u "$DOLT_USERNAME" "$@" ||
    timeout 5 dolt --host "$host" --port "$port" -u "$DOLT_USERNAME" --no-tls "$@"
}}
"#,
        ca = names::CA_CERTIFICATE_KEY
    )
}

/// The pods' annotation that they fence themselves, and its value: after how long one that is cut off has stopped.
pub(super) fn annotation() -> (&'static str, Cow<'static, str>) {
    (names::ANNOTATION_SELF_FENCING, format!("{STOPPED_AFTER}s").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "echo \"$FIRST\"\n";

    #[test]
    fn there_is_one_question_to_be_asked_by_tls() {
        let script = include_str!("server.sh");
        assert_eq!(script.matches(IN_PLAIN_TEXT).count(), 1);
        assert_eq!(script.matches("--no-tls").count(), 1);
    }

    #[test]
    fn the_script_is_in_the_manifest_what_serde_json_would_make_of_it() {
        let server = include_str!("server.sh");
        let times = "period=1 answer=1 limit=500 forget=60000 most=5\n";
        for (domain, ask, server) in [
            (None, String::new(), server.to_owned()),
            (Some("cluster.local"), by_tls("cluster.local"), server.replace(IN_PLAIN_TEXT, BY_TLS)),
        ] {
            let script = [FIRST, times, &ask, &server].concat().replace('$', "$$");
            assert_eq!(written(domain, [script!(FIRST)]).written(), serde_json::to_string(&script).unwrap());
        }
    }
}
