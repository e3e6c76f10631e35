//! One life of the host: real controllers over the simulated world. What they remember dies with it.

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
};

use host::{
    cluster::Change,
    controller::{Controller, Decide, Journals, Shared, Wake, follow},
    gateway::SharedGateway,
    metrics::Metrics,
    settings::{Limits, Reconciler},
    tasks::{TaskLimits, Tasks},
};
use sdk::Reconciler as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    component::Component,
    gateway::SimGateway,
    lease::Candidate,
    moment::Sim,
    native::{Function, Native, Seat},
    run::Options,
};

/// The chart's values: the grants are those that are installed.
const VALUES: &str = include_str!("../../../charts/doltdb-operator/values.yaml");

/// Who reconciles, by slot.
pub(crate) const SLOTS: [(&str, Function); 7] = [
    ("doltdb", doltdb::DoltDBReconciler::reconcile),
    ("database", database::DatabaseReconciler::reconcile),
    ("user", user::UserReconciler::reconcile),
    ("grant", grant::GrantReconciler::reconcile),
    ("snapshot", snapshot::SnapshotReconciler::reconcile),
    ("backup", backup::BackupReconciler::reconcile),
    ("backupschedule", backupschedule::BackupScheduleReconciler::reconcile),
];

/// The digest of the modules that a host begins with.
pub(crate) const FIRST: &str = "module-1";

/// What a host is configured with. The same for every life.
#[derive(Clone)]
pub(crate) struct Configuration {
    slots: Vec<(&'static str, Reconciler)>,
    metrics: Metrics,
}

impl Configuration {
    /// From the chart.
    pub(crate) fn shipped() -> Self {
        let values: Value = serde_saphyr::from_str(VALUES).expect("the chart's values are YAML");
        let slot = |name: &'static str| {
            let mut slot = values["reconcilers"][name].clone();
            slot["settings"] = json!({"clusterDomain": "cluster.local", "resyncSeconds": 30});
            (name, serde_json::from_value(slot).expect("the chart's values have slots"))
        };
        Self { slots: SLOTS.map(|(name, _)| slot(name)).to_vec(), metrics: Metrics::new("sim") }
    }
}

/// Where instances of the modules come from.
struct Modules {
    sim: Arc<Sim>,
    options: Options,
}

impl Modules {
    /// One for each slot.
    fn instances(&self, digest: &str) -> impl Iterator<Item = Arc<dyn Decide>> {
        SLOTS.into_iter().map(move |(name, function)| {
            let instance: Arc<dyn Decide> = if self.options.components {
                Arc::new(Component::of(name, &self.sim, digest))
            } else {
                Arc::new(Native { function, sim: self.sim.clone(), digest: digest.into() })
            };
            match self.options.mutant {
                Some(mutant) if name == mutant.slot() => mutant.of(instance),
                _ => instance,
            }
        })
    }
}

/// A running host. It ends with its value.
pub(crate) struct Host {
    controllers: Vec<Arc<Controller>>,
    seats: Vec<Arc<Seat>>,
    modules: Modules,
    promotions: usize,
    shared: Shared,
    tasks: Vec<JoinHandle<()>>,
    _candidate: Candidate,
}

impl Host {
    /// Reconciles, and writes as long as the candidate leads.
    pub(crate) fn start(sim: &Arc<Sim>, configuration: &Configuration, options: &Options, candidate: Candidate) -> Self {
        let (long, ended) = Tasks::new(TaskLimits::from(&Limits::default()), configuration.metrics.clone());
        let gateway = Arc::new(SimGateway::new(sim.clone(), long, &candidate));
        let world: SharedGateway = gateway.clone();
        let shared = Shared {
            world,
            index: Arc::default(),
            // Nobody reads them here.
            journals: Arc::new(Journals::of_last(1)),
            limits: Limits::default(),
            metrics: configuration.metrics.clone(),
        };
        let modules = Modules { sim: sim.clone(), options: *options };
        let seats: Vec<Arc<Seat>> = modules.instances(FIRST).map(|first| Arc::new(Seat::new(first))).collect();
        let slots = configuration.slots.iter().zip(&seats);
        let controllers: Vec<Arc<Controller>> =
            slots.map(|((name, slot), seat)| Arc::new(Controller::new(name, slot.clone(), seat.clone(), shared.clone()))).collect();
        let mut tasks: Vec<_> = controllers.iter().map(|controller| tokio::spawn(controller.clone().run())).collect();
        let by_name = configuration.slots.iter().map(|(name, _)| (*name).to_owned()).zip(controllers.iter().cloned()).collect();
        tasks.push(tokio::spawn(follow(ended, by_name)));
        tasks.push(tokio::spawn(gateway.end_tasks_with_leadership()));
        Self { controllers, seats, modules, promotions: 0, shared, tasks, _candidate: candidate }
    }

    /// Other instances decide from now on, and look at everything again, as after the host's own promotion.
    pub(crate) fn promote(&mut self) {
        self.promotions += 1;
        let digest = format!("module-{}", self.promotions + 1);
        self.seats.iter().zip(self.modules.instances(&digest)).for_each(|(seat, next)| seat.promote(next));
        let looking_again = self.controllers.iter().map(|controller| {
            let controller = controller.clone();
            tokio::spawn(async move { controller.wake_all().await })
        });
        self.tasks.extend(looking_again);
    }

    /// From changes in the cluster to the objects that they concern, as the host's own dispatch does.
    pub(crate) fn dispatch(&self, changes: Vec<Change>) {
        for change in changes {
            self.controllers.iter().filter(|c| c.reconciles(&change.object)).for_each(|c| c.wake(&change.object, Wake::Change));
            // In no order there, and in one here: the same schedule is the same run.
            let concerned: BTreeSet<_> =
                self.shared.index.lock().unwrap_or_else(PoisonError::into_inner).concerned(&change).into_iter().collect();
            for (_, object) in concerned {
                self.controllers.iter().filter(|c| c.reconciles(&object)).for_each(|c| c.wake(&object, Wake::Change));
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
