//! The controllers of Kubernetes as far as a DoltDB needs them: StatefulSets, kubelets, Services. They act on the model API server, and start
//! and stop model servers. They know nothing of what the operator wants.

mod fence;
mod kubelet;
mod services;
mod stateful_sets;
mod volume_snapshots;

pub(crate) use self::{
    kubelet::{PodRun, PodStep},
    stateful_sets::revision,
    volume_snapshots::{SnapshotStep, VolumeSnapshots},
};
use crate::world::{Event, World};

/// Who makes volumes and snapshots of them.
pub(crate) const DRIVER: &str = "csi.example.com";

impl World {
    /// All controllers look at everything once.
    pub(crate) fn run_controllers(&mut self) {
        self.api.collect();
        self.run_stateful_sets();
        self.run_kubelets();
        self.run_volume_snapshots();
        let endpoints = self.endpoints();
        if endpoints != self.proxied {
            let delay = self.wait(20..250);
            self.after(delay, Event::Proxy);
        }
    }
}
