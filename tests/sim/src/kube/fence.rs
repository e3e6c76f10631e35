//! What runs in pods beside the server, where the pod's annotation says so: a primary that is cut off ends itself and does not start before somebody
//! answers; one that was replaced keeps what it had, and follows.

use crds::names;

use crate::{
    dolt::{Role, Volume},
    oracle::volume_of,
    world::{API, Event, World},
};

/// Between two looks, in milliseconds, the time for the answers included.
const PERIOD: std::ops::Range<u64> = 1_000..3_000;
/// How long nobody has to answer, in milliseconds.
const LIMIT: u64 = 5_000;
/// How long one that was cut off waits for other servers when the API server answers again, in milliseconds.
const PATIENCE: u64 = 10_000;

/// What a pod that is about to start its server does instead.
pub(super) enum Start {
    /// Nothing else.
    Now,
    /// It waits until somebody answers.
    Wait,
    /// It has kept what it had and ends, to be started again.
    Again,
}

impl World {
    /// Whether a server of a pod has such a guard.
    pub(crate) fn fences(&self, pod: &str) -> bool {
        let mut pods = self.api.all("Pod").filter(|(key, _)| key.name == pod);
        pods.any(|(_, pod)| pod.body["metadata"]["annotations"][names::ANNOTATION_SELF_FENCING].is_string())
    }

    /// Whether the API server or another server answers a pod.
    fn reaches_somebody(&self, pod: &str) -> bool {
        !self.is_cut(API, pod) || self.reaches_a_server(pod)
    }

    fn reaches_a_server(&self, pod: &str) -> bool {
        self.dolt.running().any(|other| other != pod && self.dolt.answers(other) && !self.is_cut(pod, other))
    }

    /// What has to be done before the server of a pod starts.
    pub(super) fn before_start(&mut self, pod: &str) -> Start {
        let volume = volume_of(pod);
        let Some((Role::Primary, epoch)) = self.dolt.volume(&volume).and_then(Volume::kept_state) else { return Start::Now };
        if !self.fences(pod) {
            return Start::Now;
        }
        if !self.reaches_somebody(pod) {
            self.waits.insert(pod.into(), None);
            return Start::Wait;
        }
        if let Some(wait) = self.waits.get_mut(pod) {
            let until = *wait.get_or_insert(self.now + PATIENCE);
            if self.now < until && !self.reaches_a_server(pod) {
                return Start::Wait;
            }
            self.waits.remove(pod);
        }
        let later = |other: &&String| {
            *other != pod
                && self.dolt.answers(other)
                && !self.is_cut(pod, other)
                && self.dolt.state(other).is_some_and(|(_, theirs)| theirs > epoch)
        };
        let Some(by) = self.dolt.running().find(later).cloned() else { return Start::Now };
        self.say(|| format!("{pod} was replaced by {by}: it keeps what it has"));
        self.keep_volume(pod);
        self.dolt.give_way(&volume);
        Start::Again
    }

    /// Begins to look, for this life of the server.
    pub(super) fn start_looking(&mut self, pod: &str) {
        if self.fences(pod)
            && let Some((life, _)) = self.dolt.connections(pod)
        {
            self.last_contact.insert(pod.into(), self.now);
            self.look_later(pod, life);
        }
    }

    fn look_later(&mut self, pod: &str, life: u64) {
        let delay = self.wait(PERIOD);
        self.after(delay, Event::LookOut { pod: pod.into(), life });
    }

    pub(crate) fn look_out(&mut self, pod: &str, life: u64) {
        if self.dolt.connections(pod).is_none_or(|(now, _)| now != life) {
            return;
        }
        // It is asked of the disk.
        let kept = self.dolt.volume(&volume_of(pod)).and_then(Volume::kept_state);
        let is_primary = kept.is_some_and(|(role, _)| role == Role::Primary);
        // What stands still does not look.
        if self.dolt.answers(pod) && (!is_primary || self.reaches_somebody(pod)) {
            self.last_contact.insert(pod.into(), self.now);
        } else if self.dolt.answers(pod) && self.last_contact.get(pod).is_none_or(|last| self.now - last >= LIMIT) {
            self.say(|| format!("{pod} is cut off and ends itself"));
            return self.crash_container(pod);
        }
        self.look_later(pod, life);
    }
}
