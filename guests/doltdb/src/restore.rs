//! A DoltDB whose volumes are filled from a VolumeSnapshot: whether this is one, and what keeps it from becoming one.
//!
//! All volumes are filled from one snapshot, so each server would take itself for the one that the snapshot was taken of, role and epoch included.
//! What is done about that is in `build/pod.rs`; here it is decided, once: when the DoltDB has no volume yet. Volumes that were kept from an earlier
//! DoltDB of that name know their roles, and nobody else does.

use std::collections::BTreeSet;

use crds::names;
use dolt::Obstacle;
use sdk::{Failure, Selector, World, reference};
use serde::Deserialize;

use crate::target::Target;

/// Group and version of VolumeSnapshots.
pub(crate) const SNAPSHOT_API: &str = "snapshot.storage.k8s.io/v1";

/// From what the volumes are filled.
#[derive(Debug, Default)]
pub(crate) struct Restore {
    /// The snapshot that they are, or were, filled from.
    pub(crate) from: Option<String>,
    /// What keeps them from being filled.
    pub(crate) obstacle: Option<Obstacle>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VolumeSnapshot {
    status: VolumeSnapshotStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VolumeSnapshotStatus {
    ready_to_use: bool,
    restore_size: Option<crds::Quantity>,
}

impl Restore {
    /// Looks whether volumes are to be filled. `is_new` says that there is no StatefulSet.
    pub(crate) fn of(world: &dyn World, target: &Target, is_new: bool) -> Result<Self, Failure> {
        if let Some(from) = &target.status.restored_from {
            return Ok(Self { from: Some(from.clone()), obstacle: None });
        }
        let wanted = target.spec.storage.volume_snapshot.as_deref().filter(|name| !name.is_empty());
        let Some(wanted) = wanted.filter(|_| is_new) else { return Ok(Self::default()) };
        if has_volumes(world, target)? {
            return Ok(Self::default());
        }
        let object = reference(SNAPSHOT_API, "VolumeSnapshot", target.namespace(), wanted);
        let snapshot = match world.get_as::<VolumeSnapshot>(&object, &["/status/readyToUse", "/status/restoreSize"]) {
            Ok(snapshot) => snapshot.map(|snapshot| snapshot.body.status),
            Err(failure) if failure.reason == "ReadUnavailable" => {
                let message = format!("VolumeSnapshot \"{wanted}\" cannot be read: {}", failure.message);
                return Ok(Self { from: None, obstacle: Some(obstacle("SnapshotMissing", message)) });
            }
            Err(failure) => return Err(failure),
        };
        let obstacle = trouble(target, wanted, snapshot.as_ref());
        Ok(Self { from: obstacle.is_none().then(|| wanted.to_owned()), obstacle })
    }
}

fn trouble(target: &Target, wanted: &str, snapshot: Option<&VolumeSnapshotStatus>) -> Option<Obstacle> {
    let Some(snapshot) = snapshot else {
        let namespace = target.namespace();
        let message = format!("there is no VolumeSnapshot \"{wanted}\" in namespace \"{namespace}\": make it, or name another one");
        return Some(obstacle("SnapshotMissing", message));
    };
    if !snapshot.ready_to_use {
        return Some(obstacle("SnapshotNotReady", format!("VolumeSnapshot \"{wanted}\" is not ready to be used yet")));
    }
    let least = snapshot.restore_size.as_ref()?;
    let (least_bytes, size) = (least.bytes("restoreSize").ok()?, target.spec.storage.size.bytes("spec.storage.size").ok()?);
    (size < least_bytes).then(|| {
        let message = format!(
            "spec.storage.size: {} is less than VolumeSnapshot \"{wanted}\" needs: set it to {least} or more",
            target.spec.storage.size
        );
        Obstacle::new("SnapshotTooLarge", message)
    })
}

fn obstacle(reason: &'static str, message: String) -> Obstacle {
    Obstacle::new(reason, format!("spec.storage.volumeSnapshot: {message}"))
}

/// Whether a claim of this DoltDB's is there, from an earlier one of that name or by somebody's hand.
fn has_volumes(world: &dyn World, target: &Target) -> Result<bool, Failure> {
    let wanted: BTreeSet<String> = (0..target.spec.replicas()).map(|ordinal| names::data_claim(target.name(), ordinal)).collect();
    let selector = Selector::new("v1", "PersistentVolumeClaim", target.namespace()).fields(&["/metadata/uid"]);
    Ok(world.select_all(&selector)?.iter().any(|claim| wanted.contains(&claim.header.name)))
}
