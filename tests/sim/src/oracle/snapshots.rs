//! Snapshots: a set is of one time and has all volumes, its primary's has what was acknowledged before, and retention deletes what it may.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::names;
use host::cluster::Stored;
use serde_json::Value as Json;

use super::{copies::period, label};
use crate::{api::Change, dolt::Volume, world::World};

/// What is remembered of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshots {
    /// When each set was first in a status.
    begun: BTreeMap<u64, u64>,
    /// Names of all VolumeSnapshots that were ever made.
    made: BTreeSet<String>,
    /// Those that are being deleted.
    doomed: BTreeSet<String>,
    /// When volumes were last lost, by their claims.
    pub(super) lost: BTreeMap<String, u64>,
}

fn set_of(object: &Stored) -> Option<u64> {
    label(object, names::LABEL_SNAPSHOT_SET)?.parse().ok()
}

fn is_ready(object: &Stored) -> bool {
    object.body["status"]["readyToUse"] == true
}

fn is_of_primary(object: &Stored) -> bool {
    label(object, names::LABEL_CLUSTER_ROLE) == Some(names::ROLE_PRIMARY)
}

impl World {
    /// A Snapshot has changed.
    pub(super) fn on_snapshot(&mut self, object: &Arc<Stored>) {
        let set = object.body["status"]["lastSet"]["name"].as_str().and_then(|name| name.parse().ok());
        if let Some(set) = set {
            self.oracle.snapshots.begun.entry(set).or_insert(self.now);
        }
    }

    /// A VolumeSnapshot was made, has changed, or is gone.
    pub(super) fn on_volume_snapshot_changed(&mut self, change: &Change) {
        let name = &change.key.name;
        let Some(object) = &change.object else { return };
        if object.header.deleting {
            if self.oracle.snapshots.doomed.insert(name.clone()) {
                self.on_doomed(object);
            }
            return;
        }
        if !change.is_new {
            return;
        }
        // Where nothing of that name is known to be there, nothing keeps one away that is long on its way. Retention takes it again.
        if !self.oracle.snapshots.made.insert(name.clone()) && !self.has_former_host() {
            return self.violated("snapshot-once", format!("VolumeSnapshot {name} is made again"));
        }
        let Some(set) = set_of(object) else { return };
        if !self.oracle.snapshots.begun.contains_key(&set) {
            return self.violated("snapshot-recorded-first", format!("VolumeSnapshot {name} is made, and no status has its set"));
        }
        let every = self.api.all("Snapshot").map(|(_, snapshot)| period(&snapshot.body["spec"]["frequencySchedule"])).min();
        let sets = self.sets();
        let close = sets.keys().find(|other| **other != set && every.is_some_and(|every| other.abs_diff(set) < every)).copied();
        if let Some(other) = close {
            self.violated("one-set-a-time", format!("set {set} is taken, and set {other} was for the same time"));
        }
    }

    /// All VolumeSnapshots by their sets.
    fn sets(&self) -> BTreeMap<u64, Vec<&Arc<Stored>>> {
        let mut sets: BTreeMap<u64, Vec<&Arc<Stored>>> = BTreeMap::new();
        for (_, object) in self.api.all("VolumeSnapshot") {
            if let Some(set) = set_of(object) {
                sets.entry(set).or_default().push(object);
            }
        }
        sets
    }

    /// Sets that a DoltDB can be restored from.
    fn usable(&self) -> Vec<u64> {
        let usable = |set: &[&Arc<Stored>]| set.iter().any(|object| is_of_primary(object) && is_ready(object) && !object.header.deleting);
        self.sets().into_iter().filter(|(_, set)| usable(set)).map(|(set, _)| set).collect()
    }

    fn kept(&self) -> Option<usize> {
        let (_, snapshot) = self.api.all("Snapshot").next()?;
        usize::try_from(snapshot.body["spec"]["retention"]["sets"].as_u64()?).ok()
    }

    /// A VolumeSnapshot is being deleted: there are enough newer sets.
    fn on_doomed(&mut self, object: &Arc<Stored>) {
        let (Some(kept), Some(set)) = (self.kept(), set_of(object)) else { return };
        let newer = self.usable().into_iter().filter(|other| *other > set).count();
        if newer < kept {
            self.violated("keeps-sets", format!("{} is deleted, with {newer} newer sets, {kept} are kept", object.header.name));
        }
    }

    /// A VolumeSnapshot is taken of a volume at this moment.
    pub(crate) fn on_snapshot_taken(&mut self, object: &Stored, claim: &str, volume: &Volume) {
        let Some(begun) = set_of(object).and_then(|set| self.oracle.snapshots.begun.get(&set)).copied() else { return };
        let lost = self.oracle.snapshots.lost.get(claim).is_some_and(|at| *at >= begun);
        if !is_of_primary(object) || lost {
            return;
        }
        let has: BTreeSet<u64> =
            volume.databases.get(crate::client::DATABASE).map(|content| content.writes.iter().collect()).unwrap_or_default();
        if let Some((write, _)) = self.lost_in(&has, begun) {
            let message = format!("{} of {claim} lacks write {write}, acknowledged before its set was begun", object.header.name);
            self.violated("snapshot-has-all", message);
        }
    }

    /// What is not as it should be with Snapshots.
    pub(super) fn unsettled_snapshots(&self) -> Option<String> {
        if let Some((key, _)) = self.api.all("VolumeSnapshot").find(|(_, object)| object.header.deleting) {
            return Some(format!("VolumeSnapshot {} is still being deleted", key.name));
        }
        for (key, snapshot) in self.api.all("Snapshot") {
            if let Some(why) = self.not_ready(snapshot) {
                // By a clock that was set forward the time in which the snapshots of a set are made is over at once.
                if self.skew > 0 && why.contains("could not be made in time") {
                    continue;
                }
                return Some(why);
            }
            let usable = self.usable();
            if self.kept().is_some_and(|kept| usable.len() > kept.max(1)) {
                return Some(format!("sets {usable:?} are kept"));
            }
            let status = &snapshot.body["status"];
            let set = &status["lastSet"];
            if set.is_null() {
                // Where something goes wrong, its only time may pass while the operator is away, or be long to come by a clock that was set back.
                // Where it is about changes of the spec, its time is to come on another day.
                if self.faults.until > 0 || self.detour.is_some() {
                    continue;
                }
                return Some(format!("Snapshot {} has taken no set", key.name));
            }
            if set["complete"] != true || set["ready"] != true {
                return Some(format!("the last set is {set}"));
            }
            let members = set["snapshots"].as_array().into_iter().flatten().map(|member| member["name"].as_str().unwrap_or_default());
            let there = |name: &str| self.api.all("VolumeSnapshot").any(|(key, object)| key.name == name && is_ready(object));
            if let Some(name) = members.into_iter().find(|name| !there(name)) {
                return Some(format!("the last set is ready, and {name} is not"));
            }
            let (_, doltdb) = self.doltdb()?;
            let replicas = doltdb["spec"]["replicas"].as_u64().unwrap_or(1);
            let claims = set["snapshots"].as_array().map_or(0, Vec::len) as u64;
            if claims < replicas {
                return Some(format!("the last set has {claims} snapshots, and there are {replicas} servers"));
            }
            let newest = usable.last().copied().unwrap_or_default();
            let from = status["restoreFrom"].as_str().unwrap_or_default();
            if !from.ends_with(&newest.to_string()) {
                return Some(format!("the newest set is {newest}, the status says {from}"));
            }
        }
        let orphan = self.api.all("VolumeSnapshot").find(|(_, object)| self.api.all("Snapshot").count() == 0 && owned(&object.body));
        orphan.map(|(key, _)| format!("VolumeSnapshot {} is left", key.name))
    }
}

fn owned(body: &Json) -> bool {
    crate::api::controller(body).is_some()
}
