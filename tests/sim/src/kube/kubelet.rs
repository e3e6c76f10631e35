//! Pods from their creation to their end: containers started and stopped, probes answered, conditions told.

use std::{collections::BTreeMap, sync::Arc};

use crds::names;
use host::{cluster::Stored, gateway::ObjectKey};
use serde_json::json;

use super::fence::Start;
use crate::{
    api::key,
    dolt::{Config, Role},
    world::{Event, World, clock},
};

/// What a server says that is to be in a cluster without others.
const REFUSED: &str = "cluster config: must supply standby_remotes when supplying cluster configuration.";

/// What happens next to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PodStep {
    /// It has a node and an address.
    Place,
    /// Its init container has prepared the volume.
    Prepare,
    /// The server listens.
    Listen,
    /// The startup probe has its first answer.
    Started,
    /// The readiness probe has an answer.
    Ready,
    /// The readiness probe has had no answer for too long.
    Unready,
    /// The liveness probe has had no answer for too long.
    Unhealthy,
    /// The preStop hook has ended: the server is asked to end.
    Stop,
    /// The server is ended.
    Kill,
    /// The server has ended and is started again.
    Restart,
    /// Nothing is left.
    Gone,
}

/// A pod as its kubelet knows it.
#[derive(Debug, Clone)]
pub(crate) struct PodRun {
    key: ObjectKey,
    /// Changes with every interruption: what was planned before it does not happen.
    token: u64,
    placed: bool,
    started: bool,
    ready: bool,
    stopping: bool,
    /// Whether its object has been taken away before it ended.
    gone: bool,
    /// The time that it is given to end, in milliseconds.
    grace: u64,
    /// Why it does not start.
    waiting: Option<String>,
    /// Since when its server runs, and when the one before it ended: the node's clock.
    running_since: Option<u64>,
    ended_at: Option<u64>,
}

impl PodRun {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.key.name
    }

    /// Its server has ended.
    fn end(&mut self, now: u64) {
        self.started = false;
        self.ready = false;
        if self.running_since.take().is_some() {
            self.ended_at = Some(now);
        }
    }

    /// Whether its name leads to an address.
    pub(crate) fn is_placed(&self) -> bool {
        self.placed
    }
}

impl World {
    /// Takes up new pods and lets go of deleted ones.
    pub(super) fn run_kubelets(&mut self) {
        let pods: BTreeMap<String, Arc<Stored>> = self.api.all("Pod").map(|(_, pod)| (pod.header.uid.clone(), pod.clone())).collect();
        // An object that was taken away by force: the process goes on until its node has heard of it.
        let gone: Vec<String> =
            self.pods.iter().filter(|(uid, run)| !pods.contains_key(*uid) && !run.gone).map(|(uid, _)| uid.clone()).collect();
        for uid in gone {
            if let Some(run) = self.pods.get_mut(&uid) {
                run.stopping = true;
                run.gone = true;
            }
            self.interrupt(&uid);
            let delay = self.wait(20..800);
            self.plan_pod(&uid, delay, PodStep::Kill);
        }
        for (uid, pod) in pods {
            match self.pods.get_mut(&uid) {
                None => {
                    let run = PodRun {
                        key: pod.key(),
                        token: 0,
                        placed: false,
                        started: false,
                        ready: false,
                        stopping: false,
                        gone: false,
                        grace: 30_000,
                        waiting: None,
                        running_since: None,
                        ended_at: None,
                    };
                    self.pods.insert(uid.clone(), run);
                    let delay = self.wait(50..400);
                    self.plan_pod(&uid, delay, PodStep::Place);
                }
                Some(run) if pod.header.deleting && !run.stopping => {
                    run.stopping = true;
                    let name = run.key.name.clone();
                    // The preStop hook takes 5 s, unless the whole time that is given is shorter.
                    let grace = pod.body["metadata"]["deletionGracePeriodSeconds"].as_u64().map(|seconds| seconds * 1_000);
                    let hook = if self.dolt.runs(&name) { 5_000 } else { 100 };
                    run.grace = grace.unwrap_or(30_000);
                    let hook = hook.min(run.grace);
                    self.interrupt(&uid);
                    self.plan_pod(&uid, hook, PodStep::Stop);
                    self.say(|| format!("{name} is being deleted"));
                }
                Some(_) => {}
            }
        }
    }

    fn plan_pod(&mut self, uid: &str, delay: u64, step: PodStep) {
        let Some(run) = self.pods.get(uid) else { return };
        let token = run.token;
        self.after(delay, Event::Pod { uid: uid.into(), token, step });
    }

    /// What was planned for a pod does not happen.
    fn interrupt(&mut self, uid: &str) {
        if let Some(run) = self.pods.get_mut(uid) {
            run.token += 1;
        }
    }

    /// The uid of the pod of a name.
    fn uid_of(&self, name: &str) -> Option<String> {
        let mut runs = self.pods.iter().filter(|(_, run)| run.key.name == name);
        runs.clone().find(|(_, run)| !run.gone).or_else(|| runs.next()).map(|(uid, _)| uid.clone())
    }

    pub(crate) fn on_pod(&mut self, uid: &str, token: u64, step: PodStep) {
        let Some(run) = self.pods.get_mut(uid).filter(|run| run.token == token) else { return };
        let (name, now) = (run.key.name.clone(), self.now);
        match step {
            PodStep::Place => {
                run.placed = true;
                let delay = self.wait(200..1_200);
                self.plan_pod(uid, delay, PodStep::Prepare);
            }
            PodStep::Prepare => match self.config_of(uid) {
                Ok(_) => {
                    if let Some(run) = self.pods.get_mut(uid) {
                        run.waiting = None;
                    }
                    let delay = self.wait(200..700);
                    self.plan_pod(uid, delay, PodStep::Listen);
                }
                Err(why) => {
                    run_waiting(self.pods.get_mut(uid), why);
                    let delay = self.wait(2_000..8_000);
                    self.plan_pod(uid, delay, PodStep::Prepare);
                }
            },
            // The one before it still has the volume.
            PodStep::Listen if self.dolt.runs(&name) => self.plan_pod(uid, 300, PodStep::Listen),
            PodStep::Listen if self.dolt.is_full(&names_of_claim(&name)) => {
                self.say(|| format!("{name} does not start: its volume has no room"));
                let delay = self.wait(300..2_500);
                self.plan_pod(uid, delay, PodStep::Listen);
            }
            PodStep::Listen => {
                match self.before_start(&name) {
                    Start::Now => {}
                    Start::Wait => return self.plan_pod(uid, 300, PodStep::Listen),
                    Start::Again => {
                        let delay = self.wait(300..2_500);
                        return self.plan_pod(uid, delay, PodStep::Listen);
                    }
                }
                if let Ok(config) = self.config_of(uid) {
                    if !config.is_valid() {
                        self.say(|| format!("{name} refuses to start: {REFUSED}"));
                        let delay = self.wait(300..2_500);
                        return self.plan_pod(uid, delay, PodStep::Listen);
                    }
                    self.dolt.start(&name, &names_of_claim(&name), &config);
                    if let Some(run) = self.pods.get_mut(uid) {
                        run.running_since = Some(now);
                    }
                    self.start_looking(&name);
                    let state = self.dolt.state(&name);
                    self.say(|| {
                        format!("{name} listens as {}", state.map_or_else(String::new, |(role, epoch)| format!("{role} of epoch {epoch}")))
                    });
                    let delay = self.wait(100..2_200);
                    self.plan_pod(uid, delay, PodStep::Started);
                }
            }
            PodStep::Started => {
                run.started = true;
                let delay = self.wait(20..900);
                self.plan_pod(uid, delay, PodStep::Ready);
            }
            PodStep::Ready => run.ready = true,
            PodStep::Unready => run.ready = false,
            PodStep::Unhealthy => {
                self.say(|| format!("{name} does not answer its liveness probe"));
                self.plan_pod(uid, 30_000, PodStep::Restart);
            }
            PodStep::Stop => {
                // A server that does nothing does not end either, until it is killed.
                let frozen = self.dolt.runs(&name) && !self.dolt.answers(&name);
                let left = run.grace.saturating_sub(5_000);
                self.plan_pod(uid, if frozen { left } else { 1 }, PodStep::Kill);
            }
            PodStep::Kill => {
                run.end(now);
                self.dolt.stop(&name);
                let delay = self.wait(50..400);
                self.plan_pod(uid, delay, PodStep::Gone);
                self.say(|| format!("{name} has ended"));
            }
            PodStep::Restart => self.restart_container(uid),
            PodStep::Gone => {
                if let Some(run) = self.pods.remove(uid).filter(|run| !run.gone) {
                    self.api.remove(&run.key);
                }
                return;
            }
        }
        self.tell_pod(uid);
    }

    fn restart_container(&mut self, uid: &str) {
        let Some(run) = self.pods.get_mut(uid) else { return };
        run.end(self.now);
        let name = run.key.name.clone();
        self.dolt.stop(&name);
        self.interrupt(uid);
        let delay = self.wait(300..2_500);
        self.plan_pod(uid, delay, PodStep::Listen);
        self.tell_pod(uid);
    }

    /// A server's process ends; its pod starts it again.
    pub(crate) fn crash_container(&mut self, name: &str) {
        if let Some(uid) = self.uid_of(name)
            && self.dolt.runs(name)
            && self.pods.get(&uid).is_some_and(|run| !run.stopping)
        {
            self.restart_container(&uid);
        }
    }

    /// A server's process has ended by itself; its pod starts it again, unless it is about to end.
    pub(crate) fn on_ended(&mut self, name: &str) {
        self.say(|| format!("{name} has ended: its volume has no room"));
        if let Some(uid) = self.uid_of(name)
            && self.pods.get(&uid).is_some_and(|run| !run.stopping)
        {
            self.restart_container(&uid);
        }
    }

    /// A pod goes at once, process and object.
    pub(crate) fn kill_pod(&mut self, name: &str) {
        if let Some(uid) = self.uid_of(name)
            && let Some(run) = self.pods.remove(&uid)
        {
            self.dolt.stop(name);
            self.api.remove(&run.key);
        }
    }

    /// A server stands still, and its probes notice after a while.
    pub(crate) fn freeze(&mut self, name: &str) {
        let Some(uid) = self.uid_of(name).filter(|_| self.dolt.answers(name)) else { return };
        self.dolt.freeze(name, true);
        if self.pods.get(&uid).is_some_and(|run| !run.stopping) {
            self.interrupt(&uid);
            let (unready, unhealthy) = (self.wait(15_000..20_000), self.wait(30_000..40_000));
            self.plan_pod(&uid, unready, PodStep::Unready);
            self.plan_pod(&uid, unhealthy, PodStep::Unhealthy);
        }
    }

    /// A server goes on, unless it has been ended meanwhile.
    pub(crate) fn thaw(&mut self, name: &str) {
        if !self.dolt.runs(name) || self.dolt.answers(name) {
            return;
        }
        self.say(|| format!("{name} goes on"));
        self.dolt.freeze(name, false);
        self.thawed.insert(name.into(), self.now);
        self.deliver_held(name);
        let Some(uid) = self.uid_of(name) else { return };
        if self.pods.get(&uid).is_some_and(|run| !run.stopping) {
            self.interrupt(&uid);
            let delay = self.wait(100..5_000);
            let step = if self.pods.get(&uid).is_some_and(|run| run.started) { PodStep::Ready } else { PodStep::Started };
            self.plan_pod(&uid, delay, step);
        }
    }

    /// What a pod's server is started with: its file in the ConfigMap that the pod mounts.
    fn config_of(&self, uid: &str) -> Result<Config, String> {
        let run = self.pods.get(uid).ok_or("no such pod")?;
        let pod = self.api.get(&run.key).ok_or("no such pod")?;
        let volumes = pod.body["spec"]["volumes"].as_array().into_iter().flatten();
        let map = volumes.filter_map(|volume| volume["configMap"]["name"].as_str()).next().ok_or("no configuration")?;
        let object = self.api.get(&key("v1", "ConfigMap", &run.key.namespace, map)).ok_or_else(|| format!("no ConfigMap {map}"))?;
        let file = format!("{}.yaml", run.key.name);
        let text = object.body["data"][&file].as_str().ok_or_else(|| format!("no file {file} in ConfigMap {map}"))?;
        let after =
            |prefix: &str| text.lines().filter_map(|line| Some(line.trim().strip_prefix(prefix)?.trim().to_owned())).collect::<Vec<_>>();
        let role = after("bootstrap_role:").pop();
        Ok(Config {
            peers: after("- name:"),
            bootstrap_role: if role.as_deref() == Some("primary") { Role::Primary } else { Role::Standby },
            bootstrap_epoch: after("bootstrap_epoch:").pop().and_then(|epoch| epoch.parse().ok()).unwrap_or_default(),
            alone: !text.lines().any(|line| line == "cluster:"),
        })
    }

    /// Whether a pod's server knows other servers than it would if it were started now.
    pub(crate) fn knows_others_than_configured(&self, pod: &str) -> bool {
        let configured =
            self.pods.iter().find(|(_, run)| run.name() == pod && run.is_placed()).and_then(|(uid, _)| self.config_of(uid).ok());
        configured.zip(self.dolt.peers(pod)).is_some_and(|(config, peers)| config.peers != peers)
    }

    /// Writes a pod's status.
    fn tell_pod(&mut self, uid: &str) {
        let Some(run) = self.pods.get(uid).filter(|run| !run.gone).cloned() else { return };
        let truth = |holds: bool| if holds { "True" } else { "False" };
        let condition = |kind: &str, holds: bool| json!({"type": kind, "status": truth(holds)});
        let state = match (&run.waiting, run.running_since, run.ended_at) {
            (Some(why), ..) => json!({"waiting": {"reason": "CrashLoopBackOff", "message": why}}),
            (None, Some(since), _) => json!({"running": {"startedAt": sdk::rfc3339(clock(since))}}),
            (None, None, Some(ended)) => json!({"terminated": {"finishedAt": sdk::rfc3339(clock(ended))}}),
            (None, None, None) => json!({"waiting": {"reason": "PodInitializing"}}),
        };
        let last = run.ended_at.map_or_else(|| json!({}), |ended| json!({"terminated": {"finishedAt": sdk::rfc3339(clock(ended))}}));
        let status = json!({
            "phase": if run.started { "Running" } else { "Pending" },
            "podIP": run.placed.then(|| format!("10.0.0.{}", names::ordinal(run.name()).unwrap_or_default() + 1)),
            "conditions": [condition("PodScheduled", run.placed), condition("ContainersReady", run.ready), condition("Ready", run.ready)],
            "containerStatuses": [{"name": "dolt", "started": run.started, "ready": run.ready, "state": state, "lastState": last}],
        });
        self.api.set_status(&run.key, status);
    }
}

fn run_waiting(run: Option<&mut PodRun>, why: String) {
    if let Some(run) = run {
        run.waiting = Some(why);
    }
}

fn names_of_claim(pod: &str) -> String {
    format!("{}-{pod}", names::PVC_ROLE_DATA)
}
