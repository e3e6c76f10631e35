//! What must hold at every step, and what must hold once nothing goes wrong any more.

mod accounts;
mod churn;
mod copies;
mod detour;
mod settled;
mod snapshots;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::names;
use host::{
    cluster::Stored,
    contract::{Argument, Effect, Execution, Task, Value},
    gateway::ObjectKey,
};
use serde_json::Value as Json;

pub(crate) use self::detour::Detour;
use crate::{dolt::Role, world::World};

/// For how long a server must have been within reach before it counts as one whose data an election has to respect, in milliseconds: a
/// decision takes a moment, and rests on what was seen before it.
const REACH: u64 = 5_000;

/// For how long a write must have been there when its server was lost, for the operator to know who has it, in milliseconds: it asks every other
/// second, and a standby may be a second behind.
const KNOWN: u64 = 6_000;

/// For how long a lost primary is waited for where nothing says which standby has most, in milliseconds.
const WAITED: u64 = 30_000;

/// How long a server must have taken writes to count as one that was there when another became primary, in milliseconds.
const BACK: u64 = 1_000;

/// How long a primary that is cut off may go on, in milliseconds.
const STOPPED: u64 = 9_000;
/// How long it may go on after it stood still: what ends it stood still with it, and looks about every few seconds.
const LOOKS: u64 = 4_000;

/// What did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which of the oracles says so.
    pub oracle: &'static str,
    /// What was found.
    pub message: String,
}

/// What the oracles remember.
#[derive(Debug, Clone, Default)]
pub(crate) struct Oracle {
    pub(crate) violation: Option<Violation>,
    /// What has come and gone.
    churn: churn::Churn,
    /// Servers that have become primary, by epoch.
    promoted: BTreeMap<u64, String>,
    /// When each of them last did.
    promoted_at: BTreeMap<String, u64>,
    /// When servers lost their volumes.
    emptied: BTreeMap<String, u64>,
    /// Writes that are in what a replaced primary has kept.
    kept: BTreeSet<u64>,
    /// Writes that nobody could have kept.
    excused: BTreeSet<u64>,
    /// The epoch of the primary, by the status.
    recorded: u64,
    /// The highest epoch that a server was told to be primary with.
    used: u64,
    /// The highest epoch that is in the status now, that of a transition included.
    intended: u64,
    /// When servers without others last acknowledged a write.
    alone: BTreeMap<String, u64>,
    /// Pods that a fault has touched, which may be restarted.
    touched: BTreeSet<String>,
    /// Since when all has been as it should be, and how many effects there had been.
    settled: Option<(u64, usize)>,
    /// Of databases, accounts and privileges.
    on_servers: accounts::OnServers,
    /// Of Backups.
    copies: copies::Copies,
    /// Of Snapshots.
    snapshots: snapshots::Snapshots,
}

impl Oracle {
    /// Nothing goes wrong in this run: what was done once need not be done again.
    pub(crate) fn expect_nothing_twice(&mut self) {
        self.on_servers.begin_again(true);
    }

    /// The epoch that the status says.
    pub(crate) fn recorded(&self) -> u64 {
        self.recorded
    }

    /// For another run from here.
    pub(crate) fn begin_again(&mut self) {
        self.on_servers.begin_again(false);
        self.settled = None;
        self.touched.clear();
        self.churn = churn::Churn::default();
    }
}

/// The claim of a pod.
pub(crate) fn volume_of(pod: &str) -> String {
    format!("{}-{pod}", names::PVC_ROLE_DATA)
}

impl World {
    /// Something did not hold. The first time counts.
    pub(crate) fn violated(&mut self, oracle: &'static str, message: String) {
        self.say(|| format!("VIOLATION of {oracle}: {message}"));
        self.oracle.violation.get_or_insert(Violation { oracle, message });
    }

    /// The primary of the highest epoch, or the server that is alone.
    pub(crate) fn leader(&self) -> Option<String> {
        if let Some(alone) = self.dolt.running().find(|pod| self.dolt.is_alone(pod)) {
            return Some(alone.clone());
        }
        let states = self.dolt.running().filter_map(|pod| Some((self.dolt.state(pod)?, pod)));
        states.filter(|((role, _), _)| *role == Role::Primary).max_by_key(|((_, epoch), _)| *epoch).map(|(_, pod)| pod.clone())
    }

    /// A server has become primary: it must have all that any server has that could have been asked.
    pub(crate) fn on_promoted(&mut self, pod: &str, epoch: u64) {
        self.excuse_what_came_back(pod);
        self.oracle.promoted_at.insert(pod.into(), self.now);
        self.on_other_primary(pod);
        if let Some(other) = self.oracle.promoted.insert(epoch, pod.into()).filter(|other| other != pod) {
            self.violated("one-primary-an-epoch", format!("{other} and {pod} have both become primary of epoch {epoch}"));
        }
        let behind = self.behind_primary().to_vec();
        // A word that comes when another one leads at a later epoch makes a primary that nobody is led to, and that follows when the two meet.
        let leads_later = |other: &String| self.dolt.state(other).is_some_and(|(role, later)| role == Role::Primary && later > epoch);
        if behind.iter().any(leads_later) && !behind.iter().any(|other| other == pod) {
            return;
        }
        // One that is back and not ready yet, or of an earlier time, gets no writes.
        let writes = |other: &String| self.writable.get(other).is_some_and(|since| self.now - since >= BACK);
        if let Some(other) = behind.iter().find(|other| *other != pod && writes(other)) {
            let message = format!("{pod} became primary of epoch {epoch} while {other} took writes");
            return self.violated("one-writer", message);
        }
        let has = self.written(&volume_of(pod));
        let missing: Vec<u64> =
            self.missing_in(&has).map(|(write, _)| write).filter(|write| !self.oracle.excused.contains(write)).collect();
        // Nobody takes back a promotion that is on its way: what counts is who was within reach when it was sent.
        let way = self.leases.longest_way();
        let reach = REACH + way;
        // A primary that is back since then sends what it has, to whomever.
        let is_back = self.writable.iter().any(|(other, since)| other != pod && self.now - since < BACK + way);
        for write in missing {
            if is_back {
                self.oracle.excused.insert(write);
                continue;
            }
            let within_reach = self.reachable.iter().filter(|(_, since)| self.now - **since >= reach).map(|(pod, _)| pod);
            let holder = within_reach.filter(|other| *other != pod).find(|other| self.written(&volume_of(other)).contains(&write)).cloned();
            match holder {
                Some(holder) if self.nothing_tells(pod, &holder, write) => drop(self.oracle.excused.insert(write)),
                Some(holder) => {
                    let message = format!("{pod} became primary of epoch {epoch} without write {write}, which {holder} has");
                    return self.violated("no-acknowledged-write-lost", message);
                }
                None if self.was_known_to_lack(pod, write) => {
                    let message = format!("{pod} became primary of epoch {epoch} without write {write}, which it was known not to have");
                    return self.violated("no-acknowledged-write-lost", message);
                }
                None => drop(self.oracle.excused.insert(write)),
            }
        }
    }

    /// Whether the primary of this write has been waited for, and nothing says which of two standbys has more: one was started anew since then, and
    /// has heard nothing, and both have the same commits.
    fn nothing_tells(&self, pod: &str, holder: &str, write: u64) -> bool {
        let lost = self.client.acknowledged.get(&write).and_then(|(by, _)| self.reached.get(by)).map(|(_, lost)| *lost);
        let is_new = |lost: u64| self.reachable.get(pod).is_some_and(|since| *since >= lost);
        lost.is_some_and(|lost| self.now - lost >= WAITED && is_new(lost)) && self.dolt.have_same_commits(pod, holder)
    }

    /// Whether the operator could see for long enough that a server lacked a write, before the one that had it was lost.
    fn was_known_to_lack(&self, pod: &str, write: u64) -> bool {
        let Some((by, at)) = self.client.acknowledged.get(&write).zip(self.client.acknowledged_at.get(&write)) else { return false };
        let here = self.reachable.get(&by.0).map(|since| (*since, self.now));
        let Some((since, until)) = here.or_else(|| self.reached.get(&by.0).copied()) else { return false };
        // One that was started anew since then may have lost it.
        let Some(answers) = self.reachable.get(pod) else { return false };
        let begin = since.max(*at).max(self.host_since).max(*answers);
        self.host_up && until.saturating_sub(begin) >= KNOWN
    }

    /// A write was acknowledged: nobody may have taken over from this server by then.
    pub(crate) fn on_acknowledged(&mut self, write: u64, pod: &str, epoch: u64) {
        // A server without others has nobody who could take its place, and goes on.
        if self.dolt.is_alone(pod) {
            self.oracle.alone.insert(pod.into(), self.now);
        }
        let just_thawed = self.thawed.get(pod).is_some_and(|at| self.now - at <= LOOKS);
        let alone = self.oracle.alone.get(pod).copied().unwrap_or_default();
        // What it was is on its volume: without that it begins as a primary that has just been made, and looks for somebody from then on.
        let anew = self.writable.get(pod).filter(|_| self.oracle.emptied.contains_key(pod)).copied().unwrap_or_default();
        // A standby that is cut off goes on, and looks for somebody when a word that was on its way makes a primary of it.
        let led = self.oracle.promoted_at.get(pod).copied().unwrap_or_default();
        let cut_off = self.isolated.get(pod).filter(|_| !just_thawed).map(|since| alone.max(*since).max(anew).max(led));
        if let Some(since) = cut_off.filter(|since| self.now - since > STOPPED && !self.is_unguarded(pod)) {
            let message = format!("{pod} acknowledged write {write}, {} ms after it was cut off", self.now - since);
            return self.violated("cut-off-stops", message);
        }
        // One that has gone on to a later epoch itself is the same primary.
        let mut promoted = self.oracle.promoted.range(epoch + 1..);
        let later = promoted.find(|(_, other)| *other != pod).map(|(epoch, other)| (*epoch, other.clone()));
        if let Some((later, other)) = later {
            // An empty server begins as the configuration says, and what leads to it is put right by the operator only.
            let just_emptied = self.oracle.emptied.get(pod).is_some_and(|at| self.host_since.max(*at) + REACH > self.now);
            if just_emptied || (self.nobody_leads() && self.oracle.emptied.contains_key(pod)) {
                self.oracle.excused.insert(write);
                return;
            }
            let message = format!("{pod} acknowledged write {write} at epoch {epoch}, after {other} had become primary of epoch {later}");
            self.violated("one-primary-at-a-time", message);
        }
    }

    /// Whatever changes in the API server.
    pub(crate) fn on_change(&mut self, at: usize) {
        let Some(change) = self.api.change(at).cloned() else { return };
        if let Some(set) = change.object.as_ref().filter(|_| change.key.kind == "StatefulSet") {
            let template = self.revision(set);
            self.oracle.churn.count_template(set, template);
        }
        self.oracle.churn.count(&change);
        match (change.key.kind.as_str(), &change.object) {
            ("PersistentVolumeClaim", None) if !self.may_lose_claims() => {
                self.violated("no-claim-deleted", format!("{} is gone", change.key.name));
            }
            (kind @ ("Database" | "User"), Some(object)) => self.oracle.on_servers.on_object(kind, &object.body["spec"]),
            ("Backup", _) => self.on_backup(&change),
            ("Snapshot", Some(object)) => self.on_snapshot(object),
            ("VolumeSnapshot", _) => self.on_volume_snapshot_changed(&change),
            ("DoltDB", Some(object)) => {
                let epoch = object.body["status"]["replicationEpoch"].as_u64().unwrap_or_default();
                // One that was noted and then used for nothing may be forgotten: where the answer to a status is lost, the next one may be written
                // by somebody who has not seen it yet.
                if epoch < self.oracle.recorded.min(self.oracle.used) {
                    self.violated("epoch-never-falls", format!("the status says {epoch} after {}", self.oracle.recorded));
                }
                self.oracle.recorded = epoch;
                self.oracle.intended = epoch.max(object.body["status"]["transition"]["epoch"].as_u64().unwrap_or_default());
            }
            _ => {}
        }
    }

    fn may_lose_claims(&self) -> bool {
        self.doltdb().is_none_or(|(_, body)| body["spec"]["storage"]["retentionPolicy"]["whenScaled"] == "Delete")
    }

    /// An effect is about to happen.
    pub(crate) fn on_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Sql(execution) | Effect::Start(Task { execution, .. }) => self.on_execution(execution),
            Effect::Delete(deletion) if deletion.object.kind == "Pod" => {
                let key = ObjectKey::from(&deletion.object);
                if let Some(why_not) = self.needless_restart(&key) {
                    self.violated("no-needless-restart", why_not);
                }
            }
            _ => {}
        }
    }

    /// An effect that changes something.
    pub(crate) fn on_counted(&mut self, effect: &Effect) {
        let told = match effect {
            Effect::Apply(application) => Cow::from(&application.body),
            Effect::Status(status) => status.into(),
            other => format!("{other:?}").into(),
        };
        if crate::scenario::PASSWORDS.iter().any(|password| told.contains(password)) {
            self.violated("no-secret-in-a-plan", told.into_owned());
        }
    }

    /// An epoch is in the status before it is used.
    fn on_execution(&mut self, execution: &Execution) {
        for statement in &execution.statements {
            let text = statement.text.to_ascii_uppercase();
            let epoch = match (text.contains("DOLT_ASSUME_CLUSTER_ROLE"), text.contains("DOLT_CLUSTER_TRANSITION_TO_STANDBY")) {
                (true, _) => statement.arguments.get(1),
                (_, true) => statement.arguments.first(),
                _ => None,
            };
            let epoch = match epoch {
                Some(Argument::Value(Value::Unsigned(epoch))) => *epoch,
                Some(Argument::Value(Value::Signed(epoch))) => u64::try_from(*epoch).unwrap_or_default(),
                _ => continue,
            };
            // With one that a primary was only asked to step down with, whoever comes after may be primary.
            if text.contains("DOLT_ASSUME_CLUSTER_ROLE") {
                self.oracle.used = self.oracle.used.max(epoch);
            }
            if epoch > self.oracle.intended {
                let message =
                    format!("epoch {epoch} is used on {} while the status says {}", execution.endpoint.host, self.oracle.intended);
                self.violated("epoch-recorded-before-use", message);
            }
        }
    }

    /// Why a pod has no need to be deleted, if so: it runs what it should, a fault has not touched it, and it is no primary of the past.
    fn needless_restart(&self, pod: &ObjectKey) -> Option<String> {
        // One that is being deleted already is restarted by that.
        let object = self.api.get(pod).filter(|pod| !pod.header.deleting)?;
        // One that was started between two changes of the configuration may know others than its revision says.
        let outdated = self.is_outdated(object)? || self.knows_others_than_configured(&pod.name);
        let out_of_reach = self.reachable.get(&pod.name).is_none_or(|since| self.now - since < REACH);
        let old = self.dolt.state(&pod.name).is_some_and(|(role, epoch)| role != Role::Standby && epoch < self.oracle.recorded);
        let touched = self.oracle.touched.contains(&pod.name);
        (!outdated && !out_of_reach && !old && !touched).then(|| format!("{} runs what it should, and is deleted", pod.name))
    }

    /// Whether what ends a primary that is cut off comes only with its next pod.
    fn is_unguarded(&self, pod: &str) -> bool {
        let outdated = |(key, object): (&ObjectKey, &Arc<Stored>)| key.name == pod && self.is_outdated(object) == Some(true);
        !self.fences(pod) && self.api.all("Pod").any(outdated)
    }

    /// Whether the StatefulSet of a pod makes others now, if it has one.
    fn is_outdated(&self, pod: &Stored) -> Option<bool> {
        let (_, set) = self.api.all("StatefulSet").find(|(_, set)| crate::api::controller(&pod.body) == Some(&set.header.uid))?;
        Some(pod.body["metadata"]["labels"]["controller-revision-hash"] != crate::kube::revision(set))
    }

    /// A fault has touched a pod.
    pub(crate) fn excuse_pod(&mut self, pod: &str) {
        self.oracle.touched.insert(pod.into());
    }

    /// A server begins anew, with an empty volume.
    pub(crate) fn on_emptied(&mut self, pod: &str) {
        self.oracle.emptied.insert(pod.into(), self.now);
    }

    /// What is on this volume is kept aside.
    pub(crate) fn keep_volume(&mut self, pod: &str) {
        let writes = self.written(&volume_of(pod));
        self.oracle.kept.extend(writes);
    }

    /// What is on this volume alone is going to be lost.
    pub(crate) fn excuse_volume(&mut self, pod: &str) {
        let lost = volume_of(pod);
        self.oracle.snapshots.lost.insert(lost.clone(), self.now);
        let others: BTreeSet<u64> =
            self.dolt.volumes().filter(|(name, _)| **name != lost).flat_map(|(name, _)| self.written(name)).collect();
        let only_there: Vec<u64> = self.missing_in(&others).map(|(write, _)| write).collect();
        self.oracle.excused.extend(only_there);
    }

    /// An acknowledged write of that time or before that is in none of these, but for those that nobody could have kept, and those that are kept aside.
    fn lost_in(&self, writes: &BTreeSet<u64>, until: u64) -> Option<(u64, &(String, u64))> {
        let before = |write: &u64| self.client.acknowledged_at.get(write).is_some_and(|at| *at <= until);
        let known = |write: &u64| self.oracle.excused.contains(write) || self.oracle.kept.contains(write);
        self.missing_in(writes).find(|(write, _)| before(write) && !known(write))
    }

    /// Why an object is not Ready as it is now, if it is not.
    fn not_ready(&self, object: &Stored) -> Option<String> {
        let header = &object.header;
        let conditions = object.body["status"]["conditions"].as_array();
        let ready = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready");
        if ready.is_none_or(|ready| ready["status"] != "True") {
            return Some(format!("{} {} is not Ready: {}", header.kind, header.name, ready.map_or("absent".into(), Json::to_string)));
        }
        let current = object.body["status"]["observedGeneration"] == object.body["metadata"]["generation"];
        (!current).then(|| format!("the status of {} {} is of an earlier generation", header.kind, header.name))
    }

    /// The host says that a reconciler is in trouble: a denied plan, too many rounds, a panic.
    pub(crate) fn on_health(&mut self, trouble: Option<(&str, &str)>) {
        if let Some((reason, message)) = trouble {
            self.violated("reconciler-healthy", format!("{reason}: {message}"));
        }
    }

    /// The model has no answer.
    pub(crate) fn on_unknown_statement(&mut self, host: &str, statement: &str) {
        self.violated("model-knows-the-statement", format!("the model of Dolt has no answer for {host} to: {statement}"));
    }

    fn condition(&self, kind: &str) -> Option<&Json> {
        self.conditions().iter().find(|c| c["type"] == kind)
    }

    /// The conditions of the DoltDB.
    fn conditions(&self) -> &[Json] {
        self.doltdb().and_then(|(_, body)| body["status"]["conditions"].as_array()).map_or(&[], Vec::as_slice)
    }
}

/// The value of a label.
fn label<'a>(object: &'a Stored, name: &str) -> Option<&'a str> {
    object.header.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
}
