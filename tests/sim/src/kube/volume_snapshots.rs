//! VolumeSnapshots: each is taken some time after it was made, now and then only at a second try, and can be used a while later. What was on
//! the volume at that moment is remembered.

use std::collections::BTreeMap;

use host::gateway::ObjectKey;
use serde_json::json;

use crate::{
    api::key as named,
    dolt::Volume,
    world::{Event, World, clock},
};

const API: &str = "snapshot.storage.k8s.io/v1";
/// Keeps a VolumeSnapshot until what it leads to is gone.
const FINALIZER: &str = "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection";
/// One in so many tries fails.
const FAILS: u64 = 6;

/// What happens next to a VolumeSnapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotStep {
    /// The driver takes it.
    Take,
    /// It can be used.
    Ready,
    /// What it led to is gone.
    Release,
}

/// What is known of a VolumeSnapshot by those who keep it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    /// What was on the volume, if it has been taken.
    pub(crate) volume: Option<Volume>,
    releasing: bool,
}

impl World {
    /// Takes up new VolumeSnapshots, and lets go of deleted ones.
    pub(super) fn run_volume_snapshots(&mut self) {
        let all: Vec<(ObjectKey, String, bool)> = self
            .api
            .all("VolumeSnapshot")
            .map(|(key, snapshot)| (key.clone(), snapshot.header.uid.clone(), snapshot.header.deleting))
            .collect();
        for (key, uid, deleting) in all {
            if !self.volume_snapshots.contains_key(&uid) {
                self.volume_snapshots.insert(uid.clone(), Taken::default());
                self.api.modify(&key, |body| body["metadata"]["finalizers"] = json!([FINALIZER]));
                self.plan_snapshot(&key, 50..2_500, SnapshotStep::Take);
            }
            if deleting && self.volume_snapshots.get_mut(&uid).is_some_and(|taken| !std::mem::replace(&mut taken.releasing, true)) {
                self.plan_snapshot(&key, 50..2_000, SnapshotStep::Release);
            }
        }
    }

    fn plan_snapshot(&mut self, key: &ObjectKey, range: std::ops::Range<u64>, step: SnapshotStep) {
        let delay = self.wait(range);
        self.after(delay, Event::VolumeSnapshot { name: key.name.clone(), step });
    }

    /// A VolumeSnapshot goes on.
    pub(crate) fn on_volume_snapshot(&mut self, name: &str, step: SnapshotStep) {
        let Some(key) = self.api.all("VolumeSnapshot").map(|(key, _)| key.clone()).find(|key| key.name == name) else { return };
        let Some(object) = self.api.get(&key).cloned() else { return };
        match step {
            SnapshotStep::Release => {
                self.volume_snapshots.remove(&object.header.uid);
                self.api.modify(&key, |body| body["metadata"]["finalizers"] = json!([]));
            }
            _ if object.header.deleting => {}
            SnapshotStep::Take => {
                let claim = object.body["spec"]["source"]["persistentVolumeClaimName"].as_str().unwrap_or_default().to_owned();
                let there = self.api.get(&named("v1", "PersistentVolumeClaim", &key.namespace, &claim)).is_some();
                if !there || self.rng.once_in(FAILS) {
                    let error = json!({"time": sdk::rfc3339(clock(self.now)), "message": "the driver cannot be reached: try again"});
                    self.api.set_status(&key, json!({"readyToUse": false, "error": error}));
                    return self.plan_snapshot(&key, 800..4_000, SnapshotStep::Take);
                }
                let volume = self.dolt.volume(&claim).cloned().unwrap_or_default();
                self.say(|| format!("{name} is taken"));
                self.on_snapshot_taken(&object, &claim, &volume);
                self.volume_snapshots.entry(object.header.uid.clone()).or_default().volume = Some(volume);
                let status = json!({
                    "readyToUse": false, "boundVolumeSnapshotContentName": format!("snapcontent-{}", object.header.uid),
                    "creationTime": sdk::rfc3339(clock(self.now)), "restoreSize": "1Gi",
                });
                self.api.set_status(&key, status);
                self.plan_snapshot(&key, 100..4_000, SnapshotStep::Ready);
            }
            SnapshotStep::Ready => {
                self.api.modify(&key, |body| body["status"]["readyToUse"] = true.into());
            }
        }
    }

    /// The class by which snapshots of the volumes are taken.
    pub(crate) fn create_snapshot_class(&mut self) {
        let now = clock(self.now);
        let metadata = json!({"name": "snapshots", "namespace": ""});
        let class = json!({"apiVersion": API, "kind": "VolumeSnapshotClass", "metadata": metadata, "driver": super::DRIVER});
        self.api.create(class, now);
    }
}

/// All that is known of VolumeSnapshots, by their uids.
pub(crate) type VolumeSnapshots = BTreeMap<String, Taken>;
