//! One set of snapshots: begun, made, followed. What is being made stands in the status before it is made, so whoever comes back to it after a
//! crash makes the rest of the same set and not another one.

use std::{collections::BTreeMap, time::Duration};

use crds::{CleanupPolicy, SetMember, SnapshotSet, names};
use dolt::{CREATED, Claim, Obstacle, is_older};
use sdk::{Failure, Selector, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Round, observe::manifest, pod_of};

/// Snapshots that are further apart do not belong together.
const SPAN: Duration = Duration::from_secs(120);

/// How far the last set is.
pub(crate) enum Progress {
    /// There is none.
    None,
    /// One is due, and something else has to come right first.
    Waiting(Obstacle),
    /// It is begun now.
    Begun(SnapshotSet),
    /// Not all of its snapshots are made; those that are missing can be made until this time.
    Going(SnapshotSet, Timestamp),
    /// All are made, or it is too late for the rest.
    Over(SnapshotSet),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reference {
    #[serde(rename = "doltDBRef")]
    dolt_db_ref: crds::DoltDBRef,
}

pub(crate) fn progress(round: &Round<'_>, due: bool) -> Result<Progress, Failure> {
    if due {
        return match waiting(round) {
            Some(obstacle) => Ok(Progress::Waiting(obstacle)),
            None => Ok(Progress::Begun(begin(round)?)),
        };
    }
    let Some(set) = &round.snapshot.body.status.last_set else { return Ok(Progress::None) };
    let mut set = set.clone();
    if !set.complete {
        // A server that went before its snapshot was made is none of the set's any more.
        set.snapshots.retain(|member| round.observed.named(&member.name).is_some() || round.observed.has(&member.claim));
    }
    let missing = set.snapshots.iter().any(|member| round.observed.named(&member.name).is_none());
    let begun = set.name.parse::<u64>().unwrap_or_default().saturating_mul(1_000);
    let deadline = begun.saturating_add(u64::try_from(SPAN.as_millis()).unwrap_or_default());
    let going = !set.complete && missing && round.now < deadline;
    set.complete = !going;
    for member in &mut set.snapshots {
        follow(round, member, going);
    }
    set.ready = set.complete && set.snapshots.iter().all(|member| member.ready);
    Ok(if going { Progress::Going(set, deadline) } else { Progress::Over(set) })
}

/// What a set waits for that is due.
fn waiting(round: &Round<'_>) -> Option<Obstacle> {
    let observed = round.observed;
    if observed.changing {
        // Which volume to restore from is known when the change is over.
        let message = format!("a set is due and waits: DoltDB \"{}\" is changing its primary", observed.doltdb);
        return Some(Obstacle::new("WaitingForPrimary", message));
    }
    let (_, claim) = observed.unbound.iter().find(|(ordinal, _)| *ordinal == observed.primary || observed.volumes.is_empty())?;
    let message = format!("a set is due and waits: PersistentVolumeClaim \"{claim}\" is not there, or not bound");
    Some(Obstacle::new("WaitingForVolumes", message))
}

fn begin(round: &Round<'_>) -> Result<SnapshotSet, Failure> {
    let observed = round.observed;
    let (place, objects) = place(round)?;
    let second = second(round.now / 1_000, place, objects);
    let member = |claim: &String| SetMember { name: names::volume_snapshot(claim, second), claim: claim.clone(), ..SetMember::default() };
    Ok(SnapshotSet {
        name: second.to_string(),
        complete: false,
        ready: false,
        primary: has_primary(round).then(|| pod_of(&observed.doltdb, observed.primary)),
        epoch: observed.epoch.filter(|_| observed.replicated),
        snapshots: observed.volumes.iter().map(|volume| member(&volume.claim)).collect(),
    })
}

/// Of several servers that do not replicate each has data of its own.
fn has_primary(round: &Round<'_>) -> bool {
    round.observed.replicated || round.observed.volumes.len() + round.observed.unbound.len() == 1
}

/// The second by which a set is called: this one or one of the next, so that no two objects about one DoltDB use the same.
fn second(now: u64, place: u64, objects: u64) -> u64 {
    now + (place + objects - now % objects) % objects
}

/// The place of this object among those about the same DoltDB, from the oldest on, and how many there are.
fn place(round: &Round<'_>) -> Result<(u64, u64), Failure> {
    let header = &round.snapshot.header;
    let selector = Selector::new(crds::API_VERSION, crds::Snapshot::KIND, &header.namespace).fields(&[CREATED, "/spec/doltDBRef"]);
    let all = round.world.select_as::<Claim<Reference>>(&selector)?;
    let created = round.snapshot.body.metadata.creation_timestamp.clone().unwrap_or_default();
    let same = all.iter().filter(|other| other.header.uid != header.uid && other.body.spec.dolt_db_ref.name == round.observed.doltdb);
    let (mut older, mut others) = (0, 0);
    for other in same {
        others += 1;
        older += u64::from(is_older(other, (header, &created)));
    }
    Ok((older, others + 1))
}

/// What is known of a snapshot by now.
fn follow(round: &Round<'_>, member: &mut SetMember, going: bool) {
    let Some(taken) = round.observed.named(&member.name) else {
        member.ready = false;
        if !going && member.error.is_none() {
            member.error = Some("there is no such VolumeSnapshot: it was deleted, or could not be made in time".to_owned());
        }
        return;
    };
    let status = &taken.body.status;
    member.ready = status.ready_to_use;
    member.size.clone_from(&status.restore_size);
    member.error = status.error.as_ref().filter(|_| !status.ready_to_use).map(|error| error.message.clone());
}

/// The manifests of the set's snapshots that are not there, the primary's first: it is the one that everything is restored from.
pub(crate) fn missing(round: &Round<'_>, set: &SnapshotSet) -> Vec<Value> {
    let observed = round.observed;
    let owner = (round.snapshot.body.spec.cleanup_policy() == CleanupPolicy::Delete).then_some(&round.snapshot.header);
    let epoch = set.epoch.map(|epoch| epoch.to_string());
    let mut manifests: Vec<(bool, Value)> = Vec::new();
    for member in set.snapshots.iter().filter(|member| observed.named(&member.name).is_none()) {
        let Some(volume) = observed.volumes.iter().find(|volume| volume.claim == member.claim) else { continue };
        let is_primary = set.primary.as_deref() == Some(pod_of(&observed.doltdb, volume.ordinal).as_str());
        let mut labels = BTreeMap::from([
            (names::LABEL_PART_OF, observed.doltdb.as_str()),
            (names::LABEL_MANAGED_BY, round.snapshot.header.name.as_str()),
            (names::LABEL_SNAPSHOT_SET, set.name.as_str()),
        ]);
        if set.primary.is_some() {
            labels.insert(names::LABEL_CLUSTER_ROLE, if is_primary { names::ROLE_PRIMARY } else { names::ROLE_STANDBY });
        }
        let spec = json!({ "volumeSnapshotClassName": volume.class, "source": { "persistentVolumeClaimName": member.claim } });
        let namespace = &round.snapshot.header.namespace;
        manifests.push((is_primary, manifest(namespace, &member.name, &labels, epoch.as_deref(), owner, &spec)));
    }
    manifests.sort_by_key(|(is_primary, _)| !is_primary);
    manifests.into_iter().map(|(_, manifest)| manifest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_objects_use_the_same_second() {
        for now in 1_000..1_010 {
            assert_eq!(second(now, 0, 1), now);
            let seconds: Vec<u64> = (0..3).map(|place| second(now, place, 3)).collect();
            assert!(seconds.iter().all(|second| (now..now + 3).contains(second)), "{seconds:?}");
            for (place, second) in (0..3).zip(seconds) {
                assert_eq!(second % 3, place);
            }
        }
    }
}
