//! What is there: the DoltDB's primary, its claims with their snapshot classes, and the snapshots that were taken.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crds::{CleanupPolicy, DoltDB, Snapshot, names};
use dolt::Obstacle;
use sdk::{Failure, Header, Owners, Selector, Typed, World, owner_reference, reference};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::class;

/// Group and version of VolumeSnapshots.
pub(crate) const SNAPSHOT_API: &str = "snapshot.storage.k8s.io/v1";
/// Between two looks whether the cluster has snapshots by now.
const RETRY: Duration = Duration::from_secs(60);

/// What is there.
pub(crate) struct Observed {
    /// Name of the DoltDB.
    pub(crate) doltdb: String,
    /// Whether its primary is being changed.
    pub(crate) changing: bool,
    /// Whether its servers replicate.
    pub(crate) replicated: bool,
    /// Ordinal of the primary.
    pub(crate) primary: i32,
    /// Epoch of the replication.
    pub(crate) epoch: Option<i64>,
    /// What is snapshotted: a claim for each server.
    pub(crate) volumes: Vec<Volume>,
    /// Claims that should be there and are not, or not bound.
    pub(crate) unbound: Vec<(i32, String)>,
    /// The snapshots that this object has taken.
    pub(crate) taken: Vec<Typed<VolumeSnapshot>>,
    /// What the original made for this object, and what would go on making snapshots.
    pub(crate) cron_jobs: Vec<Header>,
}

/// A bound claim of a server.
pub(crate) struct Volume {
    pub(crate) ordinal: i32,
    pub(crate) claim: String,
    /// VolumeSnapshotClass.
    pub(crate) class: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Claim {
    pub(crate) metadata: ClaimMetadata,
    pub(crate) spec: ClaimSpec,
    pub(crate) status: ClaimStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ClaimMetadata {
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ClaimSpec {
    pub(crate) storage_class_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ClaimStatus {
    pub(crate) phase: String,
}

/// The parts of a VolumeSnapshot that are of concern.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct VolumeSnapshot {
    pub(crate) metadata: VolumeSnapshotMetadata,
    pub(crate) spec: Value,
    pub(crate) status: VolumeSnapshotStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct VolumeSnapshotMetadata {
    annotations: BTreeMap<String, String>,
    owner_references: Owners,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct VolumeSnapshotStatus {
    pub(crate) ready_to_use: bool,
    pub(crate) restore_size: Option<String>,
    pub(crate) error: Option<SnapshotError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SnapshotError {
    pub(crate) message: String,
}

impl Observed {
    /// Looks at everything. `Ok(Err(..))` says what keeps snapshots from being taken.
    pub(crate) fn of(world: &dyn World, snapshot: &Typed<Snapshot>) -> Result<Result<Self, Obstacle>, Failure> {
        let spec = &snapshot.body.spec;
        let namespace = &snapshot.header.namespace;
        let doltdb = &spec.dolt_db_ref.name;
        let object = reference(crds::API_VERSION, DoltDB::KIND, namespace, doltdb);
        let fields =
            ["/spec/replicas", "/spec/replication", "/status/currentPrimaryPodIndex", "/status/replicationEpoch", "/status/transition"];
        // Whoever resolved the reference has seen it.
        let Some(target) = world.get_as::<DoltDB>(&object, &fields)? else {
            return Ok(Err(Obstacle::new("DoltDBNotFound", format!("DoltDB not found: \"{doltdb}\" is gone"))));
        };
        let (spec_of, status) = (&target.body.spec, &target.body.status);
        let replicated = spec_of.replication().enabled;
        let primary = if replicated { status.current_primary_pod_index.unwrap_or(spec_of.replication().pod_index) } else { 0 };
        let classes = match class::classes(world) {
            Ok(classes) => classes,
            Err(failure) if failure.reason == "ReadUnavailable" => return Ok(Err(no_snapshots(&failure))),
            Err(failure) => return Err(failure),
        };
        let selector = Selector::new("v1", "PersistentVolumeClaim", namespace).label(names::LABEL_NAME, doltdb).fields(&[
            "/metadata/annotations",
            "/spec/storageClassName",
            "/status/phase",
        ]);
        let claims: BTreeMap<String, Claim> =
            world.select_as::<Claim>(&selector)?.into_iter().map(|claim| (claim.header.name.clone(), claim.body)).collect();
        let (mut volumes, mut unbound) = (Vec::new(), Vec::new());
        // The primary may be among those that are about to go. (How many these are is not counted: an index in a status may be anything.)
        let going = claims.keys().filter_map(|name| names::ordinal(name)).filter(|ordinal| *ordinal < primary).chain([primary]);
        let ordinals: BTreeSet<i32> = (0..spec_of.replicas()).chain(going.filter(|ordinal| *ordinal >= 0)).collect();
        for ordinal in ordinals {
            let name = names::data_claim(doltdb, ordinal);
            let Some(claim) = claims.get(&name).filter(|claim| claim.status.phase == "Bound") else {
                unbound.push((ordinal, name));
                continue;
            };
            let Some(driver) = class::driver(world, claim)? else {
                let message = format!(
                    "PersistentVolumeClaim \"{name}\" has no StorageClass that exists, so its driver is not known: it cannot be snapshotted"
                );
                return Ok(Err(Obstacle::new("NoSnapshotClass", message)));
            };
            let wanted = spec.volume_snapshot_class_name.as_deref();
            match class::choose(&classes, wanted, &driver, claim.spec.storage_class_name.as_deref()) {
                Ok(class) => volumes.push(Volume { ordinal, claim: name, class }),
                Err(obstacle) => return Ok(Err(obstacle)),
            }
        }
        Ok(Ok(Self {
            doltdb: doltdb.clone(),
            changing: status.transition.is_some(),
            replicated,
            primary,
            epoch: status.replication_epoch,
            volumes,
            unbound,
            taken: taken(world, snapshot)?,
            cron_jobs: cron_jobs(world, snapshot)?,
        }))
    }

    /// Whether a claim is one of a server that is wanted, whether it is bound or not.
    pub(crate) fn has(&self, claim: &str) -> bool {
        self.volumes.iter().any(|volume| volume.claim == claim) || self.unbound.iter().any(|(_, unbound)| unbound == claim)
    }

    /// The snapshot of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Typed<VolumeSnapshot>> {
        self.taken.iter().find(|snapshot| snapshot.header.name == name)
    }

    /// The snapshots of the DoltDB by their sets, from the oldest to the newest.
    pub(crate) fn sets(&self) -> BTreeMap<u64, Vec<&Typed<VolumeSnapshot>>> {
        let mut sets: BTreeMap<u64, Vec<&Typed<VolumeSnapshot>>> = BTreeMap::new();
        for snapshot in self.taken.iter().filter(|snapshot| snapshot.header.label(names::LABEL_PART_OF) == Some(&self.doltdb)) {
            if let Some(set) = snapshot.header.label(names::LABEL_SNAPSHOT_SET).and_then(|set| set.parse().ok()) {
                sets.entry(set).or_default().push(snapshot);
            }
        }
        sets
    }

    /// The snapshot of the primary in the newest set that can be restored from.
    pub(crate) fn restore_from(&self) -> Option<&str> {
        self.sets().into_values().rev().find_map(|set| {
            let of_primary = set.into_iter().find(|snapshot| is_of_primary(snapshot))?;
            of_primary.body.status.ready_to_use.then_some(of_primary.header.name.as_str())
        })
    }

    /// Snapshots that should go with the object and would not, or the other way round: uid and manifest.
    pub(crate) fn owned_otherwise(&self, snapshot: &Typed<Snapshot>) -> Vec<(String, Value)> {
        let wanted = snapshot.body.spec.cleanup_policy() == CleanupPolicy::Delete;
        let is_owned = |taken: &&Typed<VolumeSnapshot>| taken.body.metadata.owner_references.include(&snapshot.header);
        let differing = self.taken.iter().filter(|taken| !taken.header.deleting && is_owned(taken) != wanted);
        differing.map(|taken| (taken.header.uid.clone(), restated(taken, wanted.then_some(&snapshot.header)))).collect()
    }
}

/// Whether a snapshot is of the volume of the server that was primary.
pub(crate) fn is_of_primary(snapshot: &Typed<VolumeSnapshot>) -> bool {
    snapshot.header.label(names::LABEL_CLUSTER_ROLE) == Some(names::ROLE_PRIMARY)
}

/// The manifest by which a snapshot was made, with or without an owner.
fn restated(taken: &Typed<VolumeSnapshot>, owner: Option<&Header>) -> Value {
    let ours = [names::LABEL_PART_OF, names::LABEL_MANAGED_BY, names::LABEL_SNAPSHOT_SET, names::LABEL_CLUSTER_ROLE];
    let labels: BTreeMap<&str, &str> = ours.into_iter().filter_map(|key| Some((key, taken.header.label(key)?))).collect();
    let epoch = taken.body.metadata.annotations.get(names::ANNOTATION_EPOCH);
    manifest(&taken.header.namespace, &taken.header.name, &labels, epoch.map(String::as_str), owner, &taken.body.spec)
}

/// A VolumeSnapshot.
pub(crate) fn manifest(
    namespace: &str,
    name: &str,
    labels: &BTreeMap<&str, &str>,
    epoch: Option<&str>,
    owner: Option<&Header>,
    spec: &Value,
) -> Value {
    let mut metadata = json!({ "name": name, "namespace": namespace, "labels": labels });
    if let Some(epoch) = epoch {
        metadata["annotations"] = json!({ names::ANNOTATION_EPOCH: epoch });
    }
    if let Some(owner) = owner {
        metadata["ownerReferences"] = json!([owner_reference(owner)]);
    }
    json!({ "apiVersion": SNAPSHOT_API, "kind": "VolumeSnapshot", "metadata": metadata, "spec": spec })
}

fn taken(world: &dyn World, snapshot: &Typed<Snapshot>) -> Result<Vec<Typed<VolumeSnapshot>>, Failure> {
    let selector = Selector::new(SNAPSHOT_API, "VolumeSnapshot", &snapshot.header.namespace)
        .label(names::LABEL_MANAGED_BY, &snapshot.header.name)
        .fields(&[
            "/metadata/annotations",
            "/metadata/ownerReferences",
            "/spec",
            "/status/readyToUse",
            "/status/restoreSize",
            "/status/error",
        ]);
    world.select_as(&selector)
}

/// The original made one for each claim, and left them behind when the object was deleted. By its labels, and by no other sign.
fn cron_jobs(world: &dyn World, snapshot: &Typed<Snapshot>) -> Result<Vec<Header>, Failure> {
    let selector = Selector::new("batch/v1", "CronJob", &snapshot.header.namespace)
        .label(names::LABEL_PART_OF, &snapshot.body.spec.dolt_db_ref.name)
        .label(names::LABEL_MANAGED_BY, &snapshot.header.name)
        .fields(&["/metadata/uid"]);
    let jobs = world.select_all(&selector)?.into_iter().map(|job| job.header);
    Ok(jobs.filter(|job| !job.deleting && job.name.ends_with("-job")).collect())
}

fn no_snapshots(failure: &Failure) -> Obstacle {
    let message = format!(
        "the cluster has no VolumeSnapshots, or they cannot be read: {}: install the definitions of {SNAPSHOT_API} with the snapshot controller",
        failure.message
    );
    Obstacle::look_again("SnapshotsUnavailable", message, RETRY)
}
