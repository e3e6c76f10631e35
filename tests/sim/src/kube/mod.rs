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

/// The kinds of what controllers look at: a change of anything else is none of their business.
pub(crate) const LOOKED_AT: [&str; 5] = ["Pod", "StatefulSet", "PersistentVolumeClaim", "Service", "VolumeSnapshot"];

impl World {
    /// All controllers look at everything once, where anything that is of concern to them has changed.
    pub(crate) fn run_controllers(&mut self) {
        if self.api.collect() | std::mem::take(&mut self.concerns_controllers) {
            self.run_stateful_sets();
            self.run_kubelets();
            self.run_volume_snapshots();
            self.served = self.endpoints();
        }
        if self.served != self.proxied {
            let delay = self.wait(20..250);
            self.after(delay, Event::Proxy);
        }
    }
}
