//! Reconciler of DoltDB: observes the cluster and its servers, decides who is primary and what stands in the way, and plans the children,
//! the role labels and the status.
//!
//! It creates; growing volumes, changing the number of servers with care, rolling updates and switchovers are not its business yet, and where
//! the spec asks for one of them it changes nothing that would do harm and says so.

mod build;
mod observe;
mod recover;
mod roles;
mod status;
mod target;
mod validate;

use std::time::Duration;

use dolt::{Settings, report};
use sdk::{Conditions, Description, Failure, Permission, Plan, Reconciler, Request, Severity, World, kind};
use serde_json::json;

use crate::{
    observe::Observed,
    recover::{Recovery, recovery},
    roles::{Leadership, highest_epoch, leadership},
    target::Target,
    validate::{Gate, gate, resize},
};

/// Roles change without a word from Kubernetes: how often the servers of a cluster are asked for them.
const ROLE_AUDIT: Duration = Duration::from_secs(5);
/// The same while a server that runs does not answer.
const ROLE_RETRY: Duration = Duration::from_secs(2);
/// How often a DoltDB without replication is looked at, whatever happens.
const AUDIT: Duration = Duration::from_secs(30);

/// Reconciles DoltDB.
#[derive(Debug, Clone, Copy)]
pub struct DoltDBReconciler;

sdk::export!(crate::DoltDBReconciler);

impl Reconciler for DoltDBReconciler {
    fn describe() -> Description {
        let (config_map, service) = (kind("v1", "ConfigMap"), kind("v1", "Service"));
        let (stateful_set, service_account) = (kind("apps/v1", "StatefulSet"), kind("v1", "ServiceAccount"));
        let (pod, budget) = (kind("v1", "Pod"), kind("policy/v1", "PodDisruptionBudget"));
        // Pods by their names in the headless Service, in any namespace and DNS domain.
        let servers = "*.*-internal.*.svc.*";
        Description {
            name: "doltdb".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reconciles: kind(crds::API_VERSION, crds::DoltDB::KIND),
            permissions: vec![
                Permission::Read(config_map.clone()),
                Permission::Read(service.clone()),
                Permission::Read(stateful_set.clone()),
                Permission::Read(service_account.clone()),
                Permission::Read(budget.clone()),
                Permission::Read(pod.clone()),
                Permission::Read(kind("storage.k8s.io/v1", "StorageClass")),
                Permission::Apply(config_map),
                Permission::Apply(service.clone()),
                Permission::Apply(stateful_set),
                Permission::Apply(service_account),
                Permission::Apply(budget.clone()),
                Permission::Delete(service),
                Permission::Delete(budget),
                Permission::Label(pod),
                Permission::Secret("*-credentials".to_owned()),
                Permission::SqlRead(servers.to_owned()),
                Permission::SqlWrite(servers.to_owned()),
            ],
            settings_schema: dolt::SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn reconcile(world: &dyn World, request: &Request) -> Result<Plan, Failure> {
        // Everything that belongs to a DoltDB goes with it by its owner references; the volumes by the StatefulSet's policy.
        if request.object.header.deleting {
            return Ok(Plan::new());
        }
        let target = Target::of(request, &request.settings_as::<Settings>()?)?;
        let observed = Observed::of(world, &target)?;
        let gate = gate(&target, &observed);
        let leadership = leadership(&observed.servers, target.recorded_epoch(), target.spec.replicas());

        let mut plan = Plan::new();
        let mut epoch = highest_epoch(&observed.servers, target.recorded_epoch());
        let recovery = recover_if_needed(world, &target, &observed, &leadership);
        if let Some(Recovery::Record(next)) = &recovery {
            epoch = *next;
        }
        // First, because a failed effect ends the plan, and because an epoch is recorded before it is used.
        tell(
            world,
            request,
            &mut plan,
            &Decision { target: &target, observed: &observed, gate: &gate, leadership: &leadership, epoch, recovery: recovery.as_ref() },
        )?;
        if let Some(Recovery::Promote { ordinal, execution }) = recovery {
            plan.event(Severity::Normal, "PrimaryNew", "Recover", format!("Configuring new primary at index '{ordinal}'"));
            plan.sql(*execution);
        }
        build::children(&target, &observed, &gate, &leadership, &mut plan);
        roles::label(&target, &observed, &leadership, &mut plan);
        plan.after(pause(&target, &observed, &leadership));
        Ok(plan)
    }
}

/// What has been decided about a DoltDB.
struct Decision<'a> {
    target: &'a Target,
    observed: &'a Observed,
    gate: &'a Gate,
    leadership: &'a Leadership,
    epoch: u64,
    recovery: Option<&'a Recovery>,
}

/// Only where all pods of a cluster run and nobody leads them.
fn recover_if_needed(world: &dyn World, target: &Target, observed: &Observed, leadership: &Leadership) -> Option<Recovery> {
    let replicas = observed.stateful_set.as_ref().and_then(|set| set.body.spec.replicas)?;
    let nobody = target.replication.enabled
        && observed.is_as_specified(target)
        && *leadership == Leadership::Nobody
        && replicas == target.spec.replicas();
    nobody.then(|| recovery(world, target, observed))
}

/// Status and events.
fn tell(world: &dyn World, request: &Request, plan: &mut Plan, decision: &Decision<'_>) -> Result<(), Failure> {
    let Decision { target, observed, gate, leadership, epoch, recovery } = decision;
    let why_nobody = match recovery {
        Some(Recovery::Impossible(why)) => why.clone(),
        Some(Recovery::Record(_) | Recovery::Promote { .. }) => format!("{} is being promoted", target.pod(target.recorded_primary())),
        None => "none has been asked yet".to_owned(),
    };
    let roles = status::roles_ready(target, observed, leadership, &why_nobody);
    let (ready, warn) = status::ready(target, observed, gate.obstacle(), request.last.as_ref(), roles);

    let mut conditions = Conditions::of(request)?;
    report(world, &mut conditions, plan, &ready, warn);
    if let Some(update) = status::Update::of(target, observed) {
        conditions.set(world, "Updated", &update.verdict());
    }
    let storage = status::storage_verdict(&resize(target, observed), conditions.get("StorageResized").is_some());
    if let Some(verdict) = storage
        && conditions.set(world, "StorageResized", &verdict)
        && !verdict.holds
    {
        plan.event(Severity::Warning, &verdict.reason, "Resize", verdict.message.clone());
    }
    let status = status::status(target, observed, leadership, *epoch, &ready, gate.obstacle().is_some());
    let mut status = serde_json::to_value(status).map_err(|error| status::unwritable(&error))?;
    status["conditions"] = json!(conditions.into_list());
    plan.status(&status);
    Ok(())
}

fn pause(target: &Target, observed: &Observed, leadership: &Leadership) -> Duration {
    if !target.replication.enabled {
        return AUDIT;
    }
    let silent = observed.servers.values().any(Result::is_err);
    let unclear = !observed.servers.is_empty() && !matches!(leadership, Leadership::One(_));
    if silent || unclear { ROLE_RETRY } else { ROLE_AUDIT }
}
