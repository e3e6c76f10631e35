//! Who is primary, as the servers themselves say, and the role labels that follow from it.

use std::collections::BTreeMap;

use crds::names::{LABEL_CLUSTER_ROLE, ROLE_PRIMARY, ROLE_STANDBY};
use dolt::Role;
use sdk::Plan;

use crate::{
    form::{FIRST, Form},
    observe::Observed,
    primary::Transition,
    server::Server,
    target::Target,
};

/// What the roles of all servers together come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// One primary, and no server knows of a later epoch.
    One(i32),
    /// No server that can be asked is primary.
    Nobody,
    /// The only primary is of an earlier time: another has followed it.
    Stale {
        /// Its ordinal.
        ordinal: i32,
        /// Its epoch.
        epoch: u64,
        /// The highest epoch that is known.
        highest: u64,
    },
    /// Several primaries at one epoch: neither is more right than the other.
    Several {
        /// Their ordinals.
        ordinals: Vec<i32>,
        /// Their epoch.
        epoch: u64,
    },
}

/// The highest epoch that any server says or that is recorded.
pub(crate) fn highest_epoch(servers: &BTreeMap<i32, Result<Server, String>>, recorded: u64) -> u64 {
    servers.values().flatten().map(|server| server.report.epoch).max().unwrap_or_default().max(recorded)
}

/// What the roles come to. The recorded epoch tells of servers that can't be asked: where all of them answer, they know best whether it was ever
/// taken. One that a primary was seen with counts all the same: a server whose disk was full when it was promoted forgets it when it ends.
pub(crate) fn leadership(target: &Target, observed: &Observed) -> Leadership {
    // It is not asked whether it is primary: it has no cluster yet.
    if target.form == Form::TurningOn {
        return Leadership::One(FIRST);
    }
    let servers = &observed.servers;
    let primaries: Vec<(i32, u64)> = servers
        .iter()
        .filter_map(|(ordinal, server)| server.as_ref().ok().map(|server| (*ordinal, server.report)))
        .filter(|(_, report)| report.role == Role::Primary)
        .map(|(ordinal, report)| (ordinal, report.epoch))
        .collect();
    let Some(epoch) = primaries.iter().map(|(_, epoch)| *epoch).max() else { return Leadership::Nobody };
    let ordinals: Vec<i32> = primaries.into_iter().filter(|(_, e)| *e == epoch).map(|(ordinal, _)| ordinal).collect();
    // One that is to go is asked as well as long as it is there.
    let there = observed.stateful_set.as_ref().and_then(|set| set.body.spec.replicas).unwrap_or_default();
    let complete = (0..target.replicas.max(there)).all(|ordinal| servers.get(&ordinal).is_some_and(Result::is_ok));
    let highest = highest_epoch(servers, if complete { target.seen_epoch() } else { target.recorded_epoch() });
    match ordinals.as_slice() {
        [ordinal] if epoch == highest => Leadership::One(*ordinal),
        [ordinal] => Leadership::Stale { ordinal: *ordinal, epoch, highest },
        _ => Leadership::Several { ordinals, epoch },
    }
}

/// Puts the label of the primary right, which has to be there before the Service leads to it: a Service that changes once costs less time
/// than one that changes twice. A primary that has to go above the epoch of another one first gets no clients before it has.
pub(crate) fn label_primary(target: &Target, observed: &Observed, leadership: &Leadership, plan: &mut Plan) {
    let Leadership::One(leader) = leadership else { return };
    if observed.server(*leader).is_some_and(|server| server.is_surpassed(target)) {
        return;
    }
    if let Some(pod) =
        observed.pods.get(leader).filter(|pod| target.replication.enabled && observed.is_as_specified(target) && !pod.header.deleting)
        && pod.header.label(LABEL_CLUSTER_ROLE) != Some(ROLE_PRIMARY)
    {
        plan.label(&pod.header, &[(LABEL_CLUSTER_ROLE, Some(ROLE_PRIMARY))]);
    }
}

/// Puts the role labels of all others right.
///
/// A pod whose server can't be asked keeps its label, unless it is called primary, and another one is or was told to be. Between two primaries
/// of one epoch nobody can choose from here: all labels stay.
/// A standby that is `reserved` to become primary serves no readers any more.
/// So does one that has no data for readers, `without_data`: before the server that was alone is their primary, the others have none.
pub(crate) fn label(
    target: &Target,
    observed: &Observed,
    leadership: &Leadership,
    reserved: Option<i32>,
    without_data: impl Fn(i32) -> bool,
    plan: &mut Plan,
) {
    if !observed.is_as_specified(target) || matches!(leadership, Leadership::Several { .. }) {
        return;
    }
    for (ordinal, pod) in
        observed.pods.iter().filter(|(ordinal, _)| !target.replication.enabled || *leadership != Leadership::One(**ordinal))
    {
        let is = pod.header.label(LABEL_CLUSTER_ROLE);
        let should = if target.replication.enabled { role_label(target, observed, leadership, *ordinal, is) } else { None };
        let should = should.filter(|role| (reserved != Some(*ordinal) && !without_data(*ordinal)) || *role != ROLE_STANDBY);
        if is != should && !pod.header.deleting {
            plan.label(&pod.header, &[(LABEL_CLUSTER_ROLE, should)]);
        }
    }
}

fn role_label<'a>(target: &Target, observed: &Observed, leadership: &Leadership, ordinal: i32, is: Option<&'a str>) -> Option<&'a str> {
    let leader = match leadership {
        Leadership::One(leader) => Some(*leader),
        _ => None,
    };
    if leader == Some(ordinal) {
        return Some(ROLE_PRIMARY);
    }
    match observed.servers.get(&ordinal) {
        Some(Ok(server)) if server.report.role == Role::Standby => {
            let followed = leader.is_none_or(|leader| knows(target, observed, leader, ordinal));
            followed.then_some(ROLE_STANDBY)
        }
        Some(Ok(_)) => None,
        Some(Err(_)) | None if is == Some(ROLE_PRIMARY) && (leader.is_some() || another_was_told(target, ordinal)) => None,
        Some(Err(_)) | None => is,
    }
}

/// Whether another server may have been told to be primary in the place of this one: what comes up where this one was must not get its clients.
fn another_was_told(target: &Target, ordinal: i32) -> bool {
    Transition::told(target).is_some_and(|told| told.to != ordinal)
}

/// Whether the primary sends its changes to this standby.
pub(crate) fn knows(target: &Target, observed: &Observed, leader: i32, standby: i32) -> bool {
    let Some(Ok(leader)) = observed.servers.get(&leader) else { return false };
    leader.knows(&target.pod(standby))
}
