//! With replication or without: what the spec wants, what runs, and the way from the one to the other.
//!
//! A server reads its configuration when it starts, and Dolt has no other way into a cluster or out of it. So the way is one of several rounds,
//! each of which begins with what is there. Off: the cluster goes on, as one of a single server to be, until the first server is primary and
//! alone; then that one is restarted without the others. On: the others come first, to standbys that nobody sends anything; then the server
//! that was alone is restarted and is their primary. Until then it goes on as it was.

use crds::UpdateStrategy;
use dolt::{Obstacle, Role};
use sdk::Typed;

use crate::{
    observe::{Observed, StatefulSet},
    pod::Pods,
    target::Target,
};

/// The ordinal of the server that is left without replication, and that has the data when replication begins.
pub(crate) const FIRST: i32 = 0;

/// How the form of a DoltDB is to the one that its spec wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// It has it, or gets it by what is planned now.
    Settled,
    /// Replication is being turned off: the cluster still runs.
    TurningOff,
    /// Replication is being turned on: the first server still runs alone.
    TurningOn,
    /// It cannot get it in one edit: it stays what it is.
    Refused(Obstacle),
}

/// What the form is, by the StatefulSet and its pods.
pub(crate) fn form(target: &Target, stateful_set: Option<&Typed<StatefulSet>>, pods: &Pods) -> Form {
    let wanted = target.replication.enabled;
    let Some(set) = stateful_set.filter(|set| set.body.metadata.controller().is_none_or(|owner| owner.uid == target.header.uid)) else {
        return Form::Settled;
    };
    let replicates = set.body.metadata.replicates().unwrap_or(wanted);
    // One that is on its way out and serves nobody is none: its node may be away.
    let others = pods.iter().any(|(ordinal, pod)| *ordinal != FIRST && (!pod.header.deleting || pod.body.is_ready()));
    let servers = set.body.spec.replicas.unwrap_or(1);
    match (replicates, wanted) {
        (true, false) if target.spec.replicas() != 1 => refused(
            "spec.replication.enabled",
            "servers without replication have nothing to do with each other, and would each go on with a copy of the data: \
             set spec.replicas to 1 in the same edit, or set spec.replication.enabled back to true",
        ),
        // It still is alone: what was begun to turn replication on is given up.
        (true, false) if pods.get(&FIRST).is_some_and(|pod| pod.body.replicates() == Some(false)) => Form::Settled,
        // The last round of the way: nobody else is left.
        (true, false) if servers == 1 && !others => Form::Settled,
        (true, false) => Form::TurningOff,
        (false, true) if servers > 1 => refused(
            "spec.replication.enabled",
            "the servers that run have nothing to do with each other, and only one can be the primary that the others follow: \
             set spec.replication.enabled to false and spec.replicas to 1 first, which keeps the data of the first server",
        ),
        (false, true) => Form::TurningOn,
        (true, true) if pods.get(&FIRST).is_some_and(|pod| pod.body.replicates() == Some(false)) => Form::TurningOn,
        _ => Form::Settled,
    }
}

fn refused(field: &str, why: &str) -> Form {
    Form::Refused(Obstacle::new("ReplicationChangeRefused", format!("{field}: {why}")))
}

/// Why the server that is alone may not be restarted as the primary of the others yet.
///
/// # Errors
/// What has to come right first.
pub(crate) fn others_are_there(target: &Target, observed: &Observed) -> Result<(), String> {
    for ordinal in (0..target.replicas).filter(|ordinal| *ordinal != FIRST) {
        let name = target.pod(ordinal);
        let pod = observed.pods.get(&ordinal).ok_or_else(|| format!("{name} is being made"))?;
        if pod.header.deleting || !pod.body.is_ready() {
            return Err(pod.body.trouble().map_or_else(|| format!("{name} is not ready"), |why| format!("{name} is not ready: {why}")));
        }
        match observed.servers.get(&ordinal) {
            Some(Ok(server)) => match server.report.role {
                Role::Standby => {}
                // It follows a primary of a later epoch, and the first server has had one since.
                Role::Primary if server.report.epoch < target.recorded_epoch() => {}
                Role::Primary => {
                    let claim = format!("{}-{name}", crds::names::PVC_ROLE_DATA);
                    return Err(format!(
                        "the volume of {name} is of a primary of epoch {}, whose old data would overwrite those of {}. If it holds nothing \
                         that is missed, run: kubectl delete pvc {claim} pod/{name} --namespace {}",
                        server.report.epoch,
                        target.pod(FIRST),
                        target.namespace()
                    ));
                }
                Role::Broken => return Err(format!("{name} has a broken cluster configuration, or none")),
            },
            Some(Err(why)) => return Err(format!("{name} cannot be asked: {why}")),
            None => return Err(format!("{name} is not started")),
        }
    }
    Ok(())
}

impl Form {
    /// What the way is about at the moment, for the condition `Ready`.
    pub(crate) fn progress(&self, target: &Target, observed: &Observed, leader: Option<i32>) -> Option<Obstacle> {
        let first = target.pod(FIRST);
        match self {
            Self::Settled | Self::Refused(_) => None,
            Self::TurningOff => {
                let step = match leader {
                    Some(FIRST) => format!("{first} is primary, the other servers are going"),
                    Some(leader) => format!("{first} becomes primary in the place of {} first", target.pod(leader)),
                    None => format!("{first} has to be primary first"),
                };
                Some(Obstacle::new("TurningReplicationOff", format!("Turning replication off: {step}")))
            }
            Self::TurningOn => {
                let step = match others_are_there(target, observed) {
                    Ok(()) if target.spec.update_strategy == UpdateStrategy::ReplicasFirstPrimaryLast => {
                        format!("{first} is restarted to be primary")
                    }
                    Ok(()) => format!(
                        "the others are there, and {first} becomes primary when its pod is replaced; spec.updateStrategy {:?} leaves that to you",
                        target.spec.update_strategy
                    ),
                    Err(why) => format!("{first} goes on alone: {why}"),
                };
                Some(Obstacle::new("TurningReplicationOn", format!("Turning replication on: {step}")))
            }
        }
    }
}
