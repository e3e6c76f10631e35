//! Pods of an older revision are replaced, one at a time: standbys first, the primary last and after it has given its role away.
//!
//! It knows nothing of why the template has changed.

use std::collections::BTreeSet;

use crds::UpdateStrategy;
use dolt::Role;
use sdk::{Header, Typed};

use crate::{
    build,
    form::{FIRST, Form, others_are_there},
    observe::Observed,
    pod::Pod,
    roles::Leadership,
    server::{LOST_ITS_VOLUME, Progress},
    target::Target,
};

/// The label by which the StatefulSet controller names a pod's revision.
const REVISION: &str = "controller-revision-hash";

/// What happens to the pods of an older revision.
#[derive(Debug, Clone)]
pub(crate) enum Replacement {
    /// There are none, or they are not ours to replace.
    None,
    /// This one is replaced now.
    Now(Header),
    /// First something else has to come right.
    Wait(String),
}

/// Which pod is replaced now.
pub(crate) fn replacement(target: &Target, observed: &Observed, leadership: &Leadership) -> Replacement {
    let Some(stale) = &observed.stale else { return Replacement::None };
    if target.spec.update_strategy != UpdateStrategy::ReplicasFirstPrimaryLast || stale.is_empty() {
        return Replacement::None;
    }
    if target.form == Form::TurningOn {
        return restart_of_the_first(target, observed);
    }
    let leader = match leadership {
        Leadership::One(leader) if target.replication.enabled => Some(*leader),
        _ => None,
    };
    // One that does not run serves nobody: a new template may be what it needs. The server of a lost primary that is started anew in its pod does,
    // as soon as it runs: clients are led to it.
    let is_lost = |ordinal: i32| target.replication.enabled && leader.is_none() && ordinal == target.recorded_primary();
    let is_on_its_way = |pod: &Pod, ordinal: i32| is_lost(ordinal) && pod.has_ended() && pod.trouble().is_none();
    let is_idle = |pod: &Pod, ordinal: i32| !pod.is_started() && !is_on_its_way(pod, ordinal);
    let mut idle = stale.iter().copied().filter(|ordinal| observed.pods.get(ordinal).is_some_and(|pod| is_idle(&pod.body, *ordinal)));
    if let Some(pod) = idle.rfind(|ordinal| leader != Some(*ordinal)).and_then(|ordinal| observed.pods.get(&ordinal)) {
        return replaced(pod);
    }
    // Nor does one that has no part in the cluster, and nobody gives way to it.
    let mut alone = stale.iter().copied().filter(|ordinal| has_no_cluster(target, observed, *ordinal));
    if let Some(pod) = alone.next().and_then(|ordinal| observed.pods.get(&ordinal)) {
        return replaced(pod);
    }
    let primary = leader.and_then(|leader| observed.server(leader));
    let mut ignorant = stale.iter().copied().filter(|ordinal| leader != Some(*ordinal));
    if let Some(pod) = ignorant
        .rfind(|ordinal| primary.is_some_and(|primary| primary.is_unknown_to(&target.pod(*ordinal))))
        .and_then(|ordinal| observed.pods.get(&ordinal))
    {
        return replaced(pod);
    }
    if let Err(why) = all_well(target, observed, leader) {
        return Replacement::Wait(why);
    }
    let next = stale.iter().rev().find(|ordinal| leader != Some(**ordinal));
    match next.and_then(|ordinal| observed.pods.get(ordinal)) {
        Some(pod) => Replacement::Now(pod.header.clone()),
        None => waiting(&target.pod(leader.unwrap_or_default()), "is replaced when another one is primary"),
    }
}

/// The server that is alone takes a cluster's configuration last: its restart is the time for which nobody writes.
fn restart_of_the_first(target: &Target, observed: &Observed) -> Replacement {
    match (others_are_there(target, observed), observed.pods.get(&FIRST)) {
        (Err(why), _) => Replacement::Wait(why),
        (Ok(()), Some(pod)) if !pod.header.deleting => Replacement::Now(pod.header.clone()),
        (Ok(()), _) => waiting(&target.pod(FIRST), "is being replaced"),
    }
}

/// Whether the primary is the only pod of an older revision.
pub(crate) fn only_primary_is_left(target: &Target, observed: &Observed, leader: i32) -> bool {
    target.spec.update_strategy == UpdateStrategy::ReplicasFirstPrimaryLast
        && target.form == Form::Settled
        && observed.stale.as_deref() == Some(&[leader])
        && all_well(target, observed, Some(leader)).is_ok()
}

/// Whether a pod is of the newest revision, and its server runs with the configuration of it.
pub(crate) fn is_current(target: &Target, observed: &Observed, ordinal: i32) -> bool {
    let revision = observed.stateful_set.as_ref().map(|set| set.body.status.update_revision.as_str());
    let is_newest = observed.pods.get(&ordinal).is_some_and(|pod| pod.header.label(REVISION) == revision);
    is_newest
        && !knows_others(target, observed, ordinal)
        && !has_no_cluster(target, observed, ordinal)
        && !refuses_primary(target, observed, ordinal)
}

/// Whether a server runs without the cluster that the configuration of its pod names, for the same reason as one that knows others.
fn has_no_cluster(target: &Target, observed: &Observed, ordinal: i32) -> bool {
    let Some(Ok(server)) = observed.servers.get(&ordinal) else { return false };
    let is_alone = target.replication.enabled && server.report.has_no_cluster();
    is_alone && named_peers(target, observed, ordinal).is_some_and(|peers| !peers.is_empty())
}

/// Whether a server knows other servers than the configuration of its pod names. All pods read the same files: a container that was started anew
/// between two changes of them has what was there then, whatever its revision says. A server without a database does not say whom it knows.
fn knows_others(target: &Target, observed: &Observed, ordinal: i32) -> bool {
    let Some(Ok(server)) = observed.servers.get(&ordinal) else { return false };
    let known = server.known_pods();
    !known.is_empty() && named_peers(target, observed, ordinal).is_some_and(|peers| peers != known)
}

/// The others in the configuration of a pod, if it is the one that is there.
fn named_peers<'a>(target: &Target, observed: &'a Observed, ordinal: i32) -> Option<BTreeSet<&'a str>> {
    build::peers_by(observed.pods.get(&ordinal)?.body.config_hash()?, target, observed, ordinal)
}

/// Whether a server that was started anew in its pod takes nothing from the primary, because it does not know it. A new pod helps: once, because
/// what goes wrong in one whose server never ended has another reason.
fn refuses_primary(target: &Target, observed: &Observed, ordinal: i32) -> bool {
    let name = target.pod(ordinal);
    let mut primaries = observed.servers.values().flatten().filter(|server| server.report.role == Role::Primary);
    observed.pods.get(&ordinal).is_some_and(|pod| pod.body.has_ended())
        && primaries.any(|primary| primary.report.epoch >= target.recorded_epoch() && primary.is_unknown_to(&name))
}

/// How many servers the StatefulSet should have now.
///
/// Fewer only when the primary is among those that stay, and these know no more of the others: a primary that sends to a server which is gone
/// can step down only after 10 s without writes.
pub(crate) fn replicas(target: &Target, observed: &Observed, leadership: &Leadership, settled: bool) -> i32 {
    let wanted = target.replicas;
    let running = running(observed).unwrap_or(wanted);
    if running <= wanted || !target.replication.enabled {
        return wanted;
    }
    let stays = |leader: i32| leader < wanted && observed.pods.get(&leader).is_some_and(|pod| !pod.header.deleting);
    let primary_stays = settled && matches!(leadership, Leadership::One(leader) if stays(*leader));
    if primary_stays && all_know(target, observed) { wanted } else { running }
}

/// How many servers know each other by their configuration.
///
/// A server takes nothing from one that it does not know: as long as the primary is one that is going away, all have to know it. The one that is
/// left when replication is turned off goes on knowing those that went: Dolt does not start in a cluster of one, and it may be restarted, or get
/// the others back, before it is restarted without a cluster.
pub(crate) fn configured(target: &Target, observed: &Observed, leadership: &Leadership) -> i32 {
    const SMALLEST_CLUSTER: i32 = 2;
    let wanted = target.replicas;
    if !target.replication.enabled {
        return wanted;
    }
    let running = running(observed).unwrap_or(wanted);
    let primary = match leadership {
        Leadership::One(leader) => *leader,
        _ => target.recorded_primary(),
    };
    match target.form {
        Form::TurningOff => running.max(build::configured_before(target, observed)).max(SMALLEST_CLUSTER),
        _ if primary >= wanted => running.max(wanted),
        _ => wanted,
    }
}

/// How many servers there are: a StatefulSet that is made anew has as many as the one before.
fn running(observed: &Observed) -> Option<i32> {
    match &observed.stateful_set {
        Some(set) => set.body.spec.replicas,
        None => observed.pods.keys().next_back().map(|ordinal| ordinal + 1),
    }
}

/// Whether all servers that stay run with the configuration that the spec wants now, as far as that is ours to see to. The one that is left
/// without replication never steps down again, and is restarted afterwards.
fn all_know(target: &Target, observed: &Observed) -> bool {
    target.form == Form::TurningOff
        || target.spec.update_strategy != UpdateStrategy::ReplicasFirstPrimaryLast
        || (build::config_is_there(target, observed) && observed.stale.as_ref().is_some_and(Vec::is_empty))
}

/// The pods that are not current by ordinal, of those that stay; none as long as the newest revision is not known, or about to be another, because
/// pods are made from another template than the one that is wanted now.
pub(crate) fn stale(target: &Target, observed: &Observed, template_is_there: bool) -> Option<Vec<i32>> {
    let set = observed.stateful_set.as_ref()?;
    let known = set.body.status.observed_generation >= set.header.generation && !set.body.status.update_revision.is_empty();
    let stays = |ordinal: &i32| *ordinal < target.replicas;
    let counts = observed.is_as_specified(target) && template_is_there && known;
    counts.then(|| observed.pods.keys().copied().filter(|ordinal| stays(ordinal) && !is_current(target, observed, *ordinal)).collect())
}

/// Whether all servers that stay run and follow, so that one of them may be missed. One that is going away need not follow.
fn all_well(target: &Target, observed: &Observed, leader: Option<i32>) -> Result<(), String> {
    let replicas = target.replicas;
    for ordinal in 0..replicas {
        let name = target.pod(ordinal);
        match observed.pods.get(&ordinal) {
            Some(pod) if pod.header.deleting => return Err(format!("{name} is being replaced")),
            Some(pod) if pod.body.is_ready() => {}
            Some(pod) => {
                return Err(pod.body.trouble().map_or_else(|| format!("{name} is not ready"), |why| format!("{name} is not ready: {why}")));
            }
            None => return Err(format!("{name} is not there")),
        }
    }
    if !target.replication.enabled {
        return Ok(());
    }
    let leader = leader.ok_or("there is not exactly one primary")?;
    let primary = observed.server(leader).ok_or("the primary gives no answer")?;
    for ordinal in (0..replicas).filter(|ordinal| *ordinal != leader) {
        let name = target.pod(ordinal);
        // Only a primary that is replaced will know it.
        if !primary.knows(&name) {
            continue;
        }
        let follows = observed.server(ordinal);
        if !follows.is_some_and(|server| server.report.role == Role::Standby && server.report.epoch == primary.report.epoch) {
            return Err(format!("{name} does not follow {}", target.pod(leader)));
        }
        if observed.has_lost_its_volume(target, ordinal) {
            return Err(format!("{name} {LOST_ITS_VOLUME}"));
        }
        if let Progress::Behind(why) = primary.progress_of(&name) {
            return Err(format!("on {name} {why}"));
        }
    }
    Ok(())
}

fn replaced(pod: &Typed<Pod>) -> Replacement {
    if pod.header.deleting { waiting(&pod.header.name, "is being replaced") } else { Replacement::Now(pod.header.clone()) }
}

fn waiting(name: &str, why: &str) -> Replacement {
    Replacement::Wait(format!("{name} {why}"))
}
