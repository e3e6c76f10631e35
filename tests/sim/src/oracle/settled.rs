//! Convergence: some time after the last fault everything is as the spec says, and stays so without another effect.

use crds::names;
use serde_json::Value;

use super::volume_of;
use crate::{
    dolt::Role,
    world::{Event, World},
};

/// Between two looks, in milliseconds.
const LOOK: u64 = 500;
/// Until when everything must be as it should, after the last fault, in milliseconds.
const CONVERGENCE: u64 = 240_000;
/// For how much longer a Backup may be tried again before it has failed, in milliseconds.
const TRIES: u64 = 180_000;
/// For how long nothing must change then, in milliseconds.
const QUIET: u64 = 25_000;

impl World {
    /// Begins to look.
    pub(crate) fn start_checks(&mut self) {
        self.after(LOOK, Event::Check);
    }

    pub(crate) fn check(&mut self) {
        self.after(LOOK, Event::Check);
        let begin = self.faults.until.max(self.acts_until);
        if self.now < begin || !self.host_up {
            return;
        }
        let unsettled = self.unsettled();
        // What a standby has lost with its volume comes back with the next write: somebody does write.
        let says_so = |condition: &Value| condition["message"].as_str().is_some_and(|message| message.contains("has lost its volume"));
        if unsettled.is_some() && self.conditions().iter().any(says_so) {
            self.dolt.touch_all();
        }
        let effects = self.faults.effects;
        match (&unsettled, self.oracle.settled) {
            (None, Some((since, then))) if then == effects => {
                if self.now - since >= QUIET {
                    self.check_writes();
                    self.finished = true;
                    self.say(|| "everything is as it should be, and nothing changes any more".into());
                }
            }
            (None, _) => self.oracle.settled = Some((self.now, effects)),
            (Some(_), _) => self.oracle.settled = None,
        }
        if self.now - begin > CONVERGENCE + TRIES * self.backups_in_vain() && !self.finished {
            let why = unsettled.unwrap_or_else(|| "everything is as it should be, but effects go on".into());
            self.violated("converges", format!("{} s after the last fault: {why}", (self.now - begin) / 1_000));
        }
    }

    /// What is not as it should be.
    pub(super) fn unsettled(&self) -> Option<String> {
        let Some((key, body)) = self.doltdb() else { return Some("there is no DoltDB".into()) };
        let ready = self.condition("Ready");
        if ready.is_none_or(|ready| ready["status"] != "True") {
            return Some(format!("the condition Ready is {}", ready.map_or("absent".into(), Value::to_string)));
        }
        if body["status"]["observedGeneration"] != body["metadata"]["generation"] {
            return Some("the status is of an earlier generation".into());
        }
        let replicas = body["spec"]["replicas"].as_i64().unwrap_or(1);
        let mut running: Vec<&String> = self.dolt.running().collect();
        running.sort();
        let wanted: Vec<String> = (0..replicas).map(|n| names::pod(&key.name, i32::try_from(n).unwrap_or_default())).collect();
        if running != wanted.iter().collect::<Vec<_>>() {
            return Some(format!("{running:?} run, {wanted:?} should"));
        }
        if !body["spec"]["replication"]["enabled"].as_bool().unwrap_or_default() {
            return self.unsettled_alone(&key.name, &wanted);
        }
        let leads = |pod: &&String| self.dolt.state(pod).is_some_and(|(role, _)| role == Role::Primary);
        let primaries: Vec<&String> = running.iter().copied().filter(leads).collect();
        let [primary] = primaries[..] else { return Some(format!("primaries are {primaries:?}")) };
        let epoch = self.dolt.state(primary).map(|(_, epoch)| epoch);
        if body["status"]["currentPrimary"] != primary.as_str() {
            return Some(format!("{primary} is primary, the status says {}", body["status"]["currentPrimary"]));
        }
        if self.behind_primary() != std::slice::from_ref(primary) {
            return Some(format!("{primary} is primary, behind the Service are {:?}", self.behind_primary()));
        }
        let standbys: Vec<&String> = running.iter().copied().filter(|pod| *pod != primary).collect();
        for standby in &standbys {
            let state = self.dolt.state(standby);
            if state.map(|(_, epoch)| epoch) != epoch || state.is_none_or(|(role, _)| role != Role::Standby) {
                return Some(format!("{standby} is {state:?}, the primary is of epoch {epoch:?}"));
            }
        }
        let read_from = self.proxied.get(&names::reader_service(&key.name)).map_or(&[][..], Vec::as_slice);
        if !read_from.iter().eq(standbys.iter().copied()) {
            return Some(format!("{standbys:?} are standbys, behind the reader Service are {read_from:?}"));
        }
        if !self.dolt.takes_writes(primary) {
            return Some(format!("{primary} is primary and takes no writes"));
        }
        self.outdated_pod()
            .or_else(|| self.expected_primary(primary))
            .or_else(|| self.unsettled_on(primary))
            .or_else(|| self.unsettled_copies())
    }

    /// The same without replication.
    fn unsettled_alone(&self, name: &str, running: &[String]) -> Option<String> {
        if let Some(clustered) = running.iter().find(|pod| !self.dolt.is_alone(pod)) {
            return Some(format!("{clustered} has part in a cluster"));
        }
        let services: Vec<&String> = self.api.all("Service").map(|(key, _)| &key.name).collect();
        let wanted = [names::standalone_service(name), names::internal_service(name)];
        if services != wanted.iter().collect::<Vec<_>>() {
            return Some(format!("there are the Services {services:?}"));
        }
        if self.behind_primary() != running {
            return Some(format!("{running:?} run, behind the Service are {:?}", self.behind_primary()));
        }
        if let Some((budget, _)) = self.api.all("PodDisruptionBudget").next() {
            return Some(format!("there is still {}", budget.name));
        }
        let labelled = self.api.all("Pod").find(|(_, pod)| pod.header.labels.iter().any(|(label, _)| label == names::LABEL_CLUSTER_ROLE));
        labelled.map(|(key, _)| format!("{} has a role", key.name)).or_else(|| self.outdated_pod())
    }

    fn outdated_pod(&self) -> Option<String> {
        let (_, set) = self.api.all("StatefulSet").next()?;
        let revision = &set.body["status"]["updateRevision"];
        let outdated = self.api.all("Pod").find(|(_, pod)| pod.body["metadata"]["labels"]["controller-revision-hash"] != *revision);
        outdated.map(|(key, _)| format!("{} runs an earlier template", key.name))
    }

    fn expected_primary(&self, primary: &str) -> Option<String> {
        let wanted = self.wanted_primary.as_ref()?;
        (*wanted != primary).then(|| format!("{primary} is primary, {wanted} is wanted"))
    }

    /// At the end every server has every acknowledged write, but for those that nobody could have kept.
    fn check_writes(&mut self) {
        let Some(primary) = self.leader() else { return };
        let has = self.written(&volume_of(&primary));
        if let Some((write, (pod, epoch))) = self.lost_in(&has, self.now) {
            let message = format!("write {write}, acknowledged by {pod} at epoch {epoch}, is not on {primary} at the end");
            return self.violated("no-acknowledged-write-lost", message);
        }
        if let Some(difference) = self.changed_by_detour() {
            return self.violated("there-and-back", difference);
        }
        if let Some(longest) = self.longest_gap.filter(|longest| self.client.longest_gap > *longest) {
            let message = format!("no write was acknowledged for {} ms, {longest} ms are enough", self.client.longest_gap);
            return self.violated("writes-go-on", message);
        }
        // The last writes may be on their way.
        let behind = self.dolt.running().find(|pod| self.written(&volume_of(pod)).len() + 3 < has.len());
        if let Some(pod) = behind.cloned() {
            self.violated("standbys-follow", format!("{pod} has {} of {} writes", self.written(&volume_of(&pod)).len(), has.len()));
        }
    }
}
