//! Which standbys have what the primary has, and on which volumes: what the status remembers for the time when the primary is lost.
//!
//! A primary sends nothing for as long as nothing is new. Of a standby that came back on an empty volume it goes on saying that it has everything, and
//! each sign of life from it makes an empty database there, under the name of the one that is gone. So a standby counts only on the volume on which
//! its data were compared with the primary's. A server keeps its `server_uuid` beside its role: another one says that the volume is another.
//!
//! It knows nothing of who becomes primary then.

use std::{cell::LazyCell, collections::BTreeMap};

use crds::names;
use dolt::Role;
use sdk::World;

use crate::{
    observe::Observed,
    primary::{
        Step,
        content::{lost, same},
    },
    roles::Leadership,
    server::{Progress, Server},
    target::Target,
};

/// What is known of the data of all servers.
pub(crate) struct Proof {
    /// The pods of the standbys that have all but the very last data of the primary.
    pub(crate) caught_up: Vec<String>,
    /// The volume of each server that has led, or had these data, by its pod.
    pub(crate) volumes: BTreeMap<String, String>,
    /// Standbys on another volume than that, with the databases that the primary has and they have not; without any while nobody leads.
    pub(crate) bereft: BTreeMap<i32, Vec<String>>,
}

impl Proof {
    /// From what the servers say, and what was known before.
    pub(crate) fn of(world: &dyn World, target: &Target, observed: &Observed, leadership: &Leadership, step: &Step) -> Self {
        let before = &target.status;
        let is_bereft = |ordinal: &i32| {
            let is_standby = observed.server(*ordinal).is_some_and(|server| server.report.role == Role::Standby);
            is_standby && observed.has_lost_its_volume(target, *ordinal)
        };
        let mut proof = Self {
            caught_up: before.caught_up_standbys.clone(),
            volumes: before.volumes.clone(),
            bereft: observed.servers.keys().filter(|ordinal| is_bereft(ordinal)).map(|ordinal| (*ordinal, Vec::new())).collect(),
        };
        if let Some(chosen) = step.transition.as_ref().filter(|_| !step.behind.is_empty()) {
            proof.caught_up.retain(|name| !step.behind.iter().any(|ordinal| target.pod(*ordinal) == *name));
            proof.caught_up.push(target.pod(chosen.to));
            proof.caught_up.sort();
            proof.caught_up.dedup();
            proof.saw(target, observed, chosen.to);
        }
        let Leadership::One(leader) = leadership else { return proof };
        let Some(primary) = observed.server(*leader) else { return proof };
        let is_there = |ordinal: i32| ordinal < target.replicas || observed.pods.contains_key(&ordinal);
        proof.volumes.retain(|pod, _| names::ordinal(pod).is_some_and(is_there));
        proof.saw(target, observed, *leader);
        let follows = Follows {
            world,
            target,
            observed,
            leader: *leader,
            primary,
            leads_on: before.current_primary == Some(target.pod(*leader)) && before.primary_silent_since.is_none(),
        };
        proof.caught_up.clear();
        proof.bereft.clear();
        for ordinal in observed.pods.keys().copied().filter(|ordinal| ordinal != leader) {
            let lost = LazyCell::new(|| lost(world, target, *leader, ordinal));
            if follows.has_all(ordinal, || lost.as_ref().is_ok_and(Vec::is_empty)) {
                proof.caught_up.push(target.pod(ordinal));
                proof.saw(target, observed, ordinal);
            } else if is_bereft(&ordinal) {
                // What cannot be compared is not said to be lost.
                let lost = lost.as_ref().ok().filter(|lost| !lost.is_empty());
                proof.bereft.extend(lost.map(|lost| (ordinal, lost.clone())));
            }
        }
        proof
    }

    /// A server has these data on the volume that it has now.
    fn saw(&mut self, target: &Target, observed: &Observed, ordinal: i32) {
        if let Some(Server { volume: Some(volume), .. }) = observed.server(ordinal) {
            self.volumes.insert(target.pod(ordinal), volume.clone());
        }
    }
}

/// Who follows this primary.
struct Follows<'a> {
    world: &'a dyn World,
    target: &'a Target,
    observed: &'a Observed,
    leader: i32,
    primary: &'a Server,
    /// It led when it was last looked at, and was not away since. What another one's standbys had, or what they had before, says nothing of what they
    /// have now.
    leads_on: bool,
}

impl Follows<'_> {
    /// Whether a standby has all but the very last data. `has_lost_none` compares its commits with the primary's.
    fn has_all(&self, ordinal: i32, has_lost_none: impl FnOnce() -> bool) -> bool {
        let Self { world, target, observed, leader, primary, leads_on } = *self;
        let name = target.pod(ordinal);
        let standby = match observed.servers.get(&ordinal) {
            Some(Ok(server)) if server.report.role != Role::Standby || server.report.epoch != primary.report.epoch => return false,
            answer => answer.and_then(|answer| answer.as_ref().ok()),
        };
        let followed = target.status.caught_up_standbys.contains(&name);
        primary.knows(&name)
            && match (primary.progress_of(&name), standby) {
                (Progress::Behind(_), _) | (Progress::Unknown, None) => false,
                // One that can't be asked itself is what it was, as long as the primary does not say otherwise.
                (Progress::CaughtUp, None) => followed,
                (Progress::CaughtUp, Some(_)) => {
                    let is_compared = target.status.volumes.contains_key(&name) && !observed.has_lost_its_volume(target, ordinal);
                    (followed && leads_on && is_compared) || primary.databases().is_empty() || has_lost_none()
                }
                // What it had of the primary before says nothing of this one.
                (Progress::Unknown, Some(_)) => same(world, target, leader, ordinal).unwrap_or(false),
            }
    }
}
