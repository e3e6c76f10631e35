//! What replaced primaries had: their pods keep it on their volumes and say so when a container ends; here it comes into the status and an event.
//!
//! It knows nothing of how it is kept.

use crds::{KeptData, names};
use sdk::{Severity, Timestamp, parse_rfc3339, rfc3339};

use crate::{observe::Observed, pod::Said, primary::Step, target::Target};

/// What stands before each place that a pod tells of.
const KEPT: &str = "kept ";

/// All that is kept, by what pods say now and what is remembered of those that say nothing.
pub(crate) fn kept(target: &Target, observed: &Observed) -> Vec<KeptData> {
    let before = &target.status.kept_data;
    let mut kept = before.clone();
    for pod in observed.pods.values().filter(|pod| pod.body.self_fencing().is_some()) {
        let name = &pod.header.name;
        for said in pod.body.said() {
            let told: Vec<KeptData> = said.text.lines().filter_map(|line| data(name, line.strip_prefix(KEPT)?)).collect();
            // A pod tells all that it keeps: what was kept before it spoke and is not in it has been taken away.
            kept.retain(|data| data.pod != *name || told.contains(data) || is_later(data, &said));
            kept.extend(told.into_iter().filter(|data| !kept.contains(data)).collect::<Vec<_>>());
        }
    }
    kept.sort_by(|a, b| (&a.since, &a.pod).cmp(&(&b.since, &b.pod)));
    kept
}

fn is_later(data: &KeptData, said: &Said) -> bool {
    parse_rfc3339(&data.since).is_some_and(|since| since > said.at)
}

/// From the name of the folder: the time of the node, and the epoch.
fn data(pod: &str, path: &str) -> Option<KeptData> {
    let (time, epoch) = path.rsplit('/').next()?.split_once("-epoch-")?;
    Some(KeptData { pod: pod.to_owned(), path: path.to_owned(), epoch: epoch.parse().ok()?, since: rfc3339(basic(time)?) })
}

/// A time in ISO 8601's basic format.
fn basic(time: &str) -> Option<Timestamp> {
    let part = |range| time.get(range);
    let (date, clock) =
        (format!("{}-{}-{}", part(0..4)?, part(4..6)?, part(6..8)?), format!("{}:{}:{}", part(9..11)?, part(11..13)?, part(13..15)?));
    parse_rfc3339(&format!("{date}T{clock}Z"))
}

/// Tells of what was not known before.
pub(crate) fn tell(target: &Target, kept: &[KeptData], step: &mut Step) {
    for data in kept.iter().filter(|data| !target.status.kept_data.contains(data)) {
        let KeptData { pod, path, epoch, .. } = data;
        let run = format!("kubectl exec {pod} --namespace {} --container {} --", target.namespace(), names::SERVER_CONTAINER);
        let message = format!(
            "{pod} was primary of epoch {epoch} when another server took its place. All that it had then is kept on its volume in {path}; the newest \
             of it may be nowhere else. To look at it: {run} dolt --data-dir {path} sql -q 'show databases'. When it is not needed any more: {run} rm -r {path}"
        );
        step.events.push((Severity::Warning, "DataKept", "Failover", message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_folder_says_when_and_of_which_epoch() {
        let path = "/db/.doltdb/kept/20261125T131547Z-epoch-12";
        let expected = KeptData { pod: "d-0".into(), path: path.into(), epoch: 12, since: "2026-11-25T13:15:47Z".into() };
        assert_eq!(data("d-0", path), Some(expected));
        for other in ["/db/.doltdb/kept/", "/db/x-epoch-1", "/db/20261125T131547Z-epoch-"] {
            assert_eq!(data("d-0", other), None, "{other}");
        }
    }
}
