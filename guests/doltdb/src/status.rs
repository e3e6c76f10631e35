//! What is told of a DoltDB: conditions, roles, phase.

use std::time::Duration;

use crds::{ReplicationRole, names};
use dolt::{Obstacle, Role};
use sdk::{Failure, FailureKind, Outcome, Verdict, World, rfc3339_millis};

use crate::{
    changes,
    form::{FIRST, Form},
    observe::{Observed, StatefulSet},
    primary::{COUNTED, Reason, Step, Transition},
    proof::Proof,
    roles::{Leadership, knows},
    server::LOST_ITS_VOLUME,
    target::Target,
    update::Replacement,
    volumes::Growth,
};

/// How many pods run what the StatefulSet says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Update {
    /// All.
    Done,
    /// Some.
    Running,
    /// None.
    Pending,
}

impl Update {
    pub(crate) fn of(target: &Target, observed: &Observed) -> Option<Self> {
        let revision = &observed.stateful_set.as_ref()?.body.status.update_revision;
        if revision.is_empty() {
            return None;
        }
        let current = observed.pods.values().filter(|pod| pod.header.label("controller-revision-hash") == Some(revision)).count();
        let wanted = usize::try_from(target.replicas).unwrap_or_default();
        Some(match current {
            0 => Self::Pending,
            n if n >= wanted => Self::Done,
            _ => Self::Running,
        })
    }

    /// The condition `Updated`.
    pub(crate) fn verdict(self, replacement: &Replacement) -> Verdict {
        let with_reason = |words: &str| match replacement {
            Replacement::Wait(why) => format!("{words}: {why}"),
            Replacement::None | Replacement::Now(_) => words.to_owned(),
        };
        match self {
            Self::Done => Verdict::yes("Updated", "Updated"),
            Self::Running => Verdict::no("Updating", with_reason("Updating")),
            Self::Pending => Verdict::no("PendingUpdate", with_reason("Pending update")),
        }
    }
}

/// The condition `Ready`, and whether it is a matter for a warning.
pub(crate) fn ready(
    target: &Target,
    observed: &Observed,
    obstacle: Option<&Obstacle>,
    last: Option<&Outcome>,
    under_way: Option<&Obstacle>,
    roles: Result<(), Obstacle>,
    growth: &Growth,
) -> (Verdict, bool) {
    if let Some(obstacle) = obstacle {
        return (Verdict::no(obstacle.reason, obstacle.message.clone()), true);
    }
    if let Some(failure) = last.and_then(|outcome| outcome.failure.as_ref()) {
        let reason = if failure.kind == FailureKind::Sql { "SqlFailed" } else { "ApplyFailed" };
        return (Verdict::no(reason, failure.message.clone()), true);
    }
    if let Some(verdict) = growth.verdict.as_ref().filter(|_| growth.awaited) {
        return (verdict.clone(), false);
    }
    let Some(stateful_set) = &observed.stateful_set else { return (not_ready("the StatefulSet is being created"), false) };
    if let Some(way) = under_way {
        return (Verdict::no(way.reason, way.message.clone()), false);
    }
    let update = Update::of(target, observed);
    if update == Some(Update::Running) {
        return (Verdict::no("Updating", "Updating"), false);
    }
    if let Err(why) = pods_ready(target, observed, &stateful_set.body, stateful_set.header.generation) {
        return (not_ready(&why), false);
    }
    if let Err(obstacle) = roles {
        return (Verdict::no(obstacle.reason, obstacle.message), true);
    }
    if update == Some(Update::Pending) {
        return (Verdict::yes("PendingUpdate", "Pending update"), false);
    }
    (Verdict::yes("StatefulSetReady", "Running"), false)
}

fn not_ready(why: &str) -> Verdict {
    Verdict::no("StatefulSetNotReady", format!("Not ready: {why}"))
}

fn pods_ready(target: &Target, observed: &Observed, stateful_set: &StatefulSet, generation: u64) -> Result<(), String> {
    let status = &stateful_set.status;
    if status.observed_generation < generation {
        return Err("the StatefulSet's last change is not seen to yet".to_owned());
    }
    let wanted = target.replicas;
    if status.replicas == wanted && status.ready_replicas == wanted {
        return Ok(());
    }
    if status.replicas > wanted {
        return Err(format!("there are {} pods, {wanted} are wanted", status.replicas));
    }
    let mut why = format!("{} of {wanted} pods are ready", status.ready_replicas);
    for pod in observed.pods.values().filter(|pod| !pod.body.is_ready()) {
        if let Some(trouble) = pod.body.trouble() {
            why.push_str(&format!("; {}: {trouble}", pod.header.name));
        }
    }
    Err(why)
}

/// Whether there is exactly one primary and each other server follows it, at its epoch.
pub(crate) fn roles_ready(
    target: &Target,
    observed: &Observed,
    leadership: &Leadership,
    step: &Step,
    proof: &Proof,
) -> Result<(), Obstacle> {
    if !target.replication.enabled {
        return Ok(());
    }
    let leader = match leadership {
        Leadership::One(leader) => *leader,
        Leadership::Nobody => {
            let why = step.leaderless.as_deref().unwrap_or("none has been asked yet");
            return Err(Obstacle::new("WaitingForPrimary", format!("no server is primary: {why}")));
        }
        Leadership::Stale { ordinal, epoch, highest } => {
            let pod = target.pod(*ordinal);
            let message =
                format!("{pod} is primary of epoch {epoch}, but epoch {highest} has begun: it gets no traffic, and nobody else is primary");
            return Err(Obstacle::new("StalePrimary", message));
        }
        Leadership::Several { ordinals, epoch } => {
            let pods: Vec<String> = ordinals.iter().map(|ordinal| target.pod(*ordinal)).collect();
            let message = format!(
                "{} are all primary at epoch {epoch}: no role label is changed until one of them has stepped down",
                pods.join(", ")
            );
            return Err(Obstacle::new("SeveralPrimaries", message));
        }
    };
    let epoch = observed.server(leader).map(|server| server.report.epoch).unwrap_or_default();
    for ordinal in (0..target.replicas).filter(|ordinal| *ordinal != leader) {
        let pod = target.pod(ordinal);
        let why = match observed.servers.get(&ordinal) {
            None => "is not started".to_owned(),
            Some(Err(why)) => format!("cannot be asked: {why}"),
            Some(Ok(server)) if server.report.role == Role::Primary => format!("is still primary of epoch {}", server.report.epoch),
            Some(Ok(server)) if server.report.role == Role::Broken => "has a broken cluster configuration, or none".to_owned(),
            Some(Ok(server)) if server.report.epoch != epoch => format!("is at epoch {}, the primary at {epoch}", server.report.epoch),
            Some(Ok(_)) if !knows(target, observed, leader, ordinal) => {
                format!("gets nothing from the primary {}, which knows it only after a restart", target.pod(leader))
            }
            Some(Ok(_)) => match proof.bereft.get(&ordinal) {
                Some(lost) => format!("{LOST_ITS_VOLUME}: {}", lost.join(", ")),
                None => continue,
            },
        };
        return Err(Obstacle::new("WaitingForStandby", format!("standby {pod} {why}")));
    }
    Ok(())
}

/// The status without its conditions.
pub(crate) fn status(
    target: &Target,
    observed: &Observed,
    leadership: &Leadership,
    epoch: u64,
    ready: &Verdict,
    blocked: bool,
) -> crds::DoltDBStatus {
    let leader = match leadership {
        Leadership::One(leader) => *leader,
        _ => target.recorded_primary(),
    };
    let phase = match (ready.holds, blocked, target.status.phase.as_deref()) {
        (true, ..) => "Running",
        (_, true, _) => "Blocked",
        _ if target.form == Form::TurningOff => "TurningReplicationOff",
        _ if target.form == Form::TurningOn => "TurningReplicationOn",
        (_, _, None | Some("Creating" | "Blocked")) => "Creating",
        _ => "Degraded",
    };
    let replication_status = observed
        .servers
        .iter()
        .filter_map(|(ordinal, server)| {
            let role = match server.as_ref().ok()?.report.role {
                Role::Primary if *leadership == Leadership::One(*ordinal) => ReplicationRole::Primary,
                Role::Primary => return None,
                Role::Standby => ReplicationRole::Standby,
                Role::Broken => ReplicationRole::NotConfigured,
            };
            Some((target.pod(*ordinal), role.as_str().to_owned()))
        })
        .collect();
    crds::DoltDBStatus {
        conditions: Vec::new(),
        observed_generation: i64::try_from(target.header.generation).ok(),
        phase: Some(phase.to_owned()),
        current_primary_pod_index: Some(leader),
        current_primary: Some(names::pod(target.name(), leader)),
        replicas: Some(match &observed.stateful_set {
            Some(set) => set.body.status.ready_replicas,
            None if observed.released => target.status.replicas.unwrap_or_default(),
            None => 0,
        }),
        restored_from: observed.restore.from.clone(),
        replication_status,
        replication_epoch: i64::try_from(epoch).ok().filter(|epoch| *epoch > 0),
        ..crds::DoltDBStatus::default()
    }
}

/// What later rounds have to know: the change that is under way, which wishes are fulfilled, and, for the time when the primary is lost, who
/// had its data.
pub(crate) fn remember(
    world: &dyn World,
    status: &mut crds::DoltDBStatus,
    target: &Target,
    observed: &Observed,
    leadership: &Leadership,
    step: &Step,
    proof: &Proof,
) {
    if !target.replication.enabled {
        return;
    }
    let before = &target.status;
    // As long as nobody leads, whoever was told to become primary may be it, and be away.
    let told = Transition::of(target)
        .filter(|told| told.reason != Reason::ReplicationOn && !matches!(leadership, Leadership::One(_)) && step.transition.is_none());
    status.transition = step.transition.as_ref().or(told.as_ref()).map(|transition| transition.written(target));
    if let Some(transition) = step.transition.as_ref().filter(|transition| transition.reason != Reason::ReplicationOn) {
        let phase = if transition.reason == Reason::Failover { "FailingOver" } else { "SwitchingOver" };
        status.phase = Some(phase.to_owned());
    }
    status.primary_silent_since = step.silent_since.map(rfc3339_millis);
    status.recent_failovers.clone_from(&before.recent_failovers);
    if step.is_failover {
        let now = world.now();
        let counts = |at: &String| sdk::parse_rfc3339(at).is_some_and(|at| Duration::from_millis(now.saturating_sub(at)) < COUNTED);
        status.recent_failovers.retain(counts);
        status.recent_failovers.push(rfc3339_millis(now));
    }
    let wish = target.metadata.annotations.get(names::ANNOTATION_SWITCHOVER).cloned();
    status.requested_switchover = if step.fulfilled { wish } else { before.requested_switchover.clone() };
    let wanted = Some(target.replication.pod_index);
    status.requested_primary_pod_index = match target.form {
        // Another one that is wanted gets its turn when there is a cluster.
        Form::TurningOn => Some(FIRST),
        _ if step.fulfilled => wanted,
        _ => before.requested_primary_pod_index,
    };

    status.caught_up_standbys.clone_from(&proof.caught_up);
    status.volumes.clone_from(&proof.volumes);
    status.databases.clone_from(&before.databases);
    let Leadership::One(leader) = leadership else { return };
    let Some(Ok(primary)) = observed.servers.get(leader) else { return };
    status.databases = primary.databases().into_iter().map(ToOwned::to_owned).collect();
    let others: Vec<String> = observed.pods.keys().filter(|ordinal| *ordinal != leader).map(|ordinal| target.pod(*ordinal)).collect();
    status.replication_lag = changes::lags(primary, &others);
}

/// What has been decided, as a failure to decide has no place in a status.
pub(crate) fn unwritable(error: &serde_json::Error) -> Failure {
    Failure { reason: "StatusUnwritable".to_owned(), message: format!("cannot write the status: {error}") }
}
