//! Reconciler of DoltDB: observes the cluster and its servers, decides who is primary and what stands in the way, and plans the children,
//! the role labels and the status.

mod build;
mod changes;
mod form;
mod kept;
mod listener;
mod observe;
mod password;
mod pod;
mod primary;
mod proof;
mod restore;
mod roles;
mod server;
mod status;
mod target;
mod update;
mod validate;
mod volumes;

use std::time::Duration;

use dolt::{Settings, report};
use sdk::{Description, Failure, Header, Permission, Plan, Reconciler, Request, Severity, World, Written, kind};

use crate::{
    form::Form,
    observe::Observed,
    password::Change,
    primary::{Act, Situation, Step},
    proof::Proof,
    roles::{Leadership, highest_epoch, leadership},
    target::Target,
    update::{Replacement, replacement},
    validate::{Gate, gate},
    volumes::{Growth, STORAGE_RESIZED, growth, is_calm},
};

/// Roles change, and servers fall silent, without a word from Kubernetes: how often the servers of a cluster are asked.
const ROLE_AUDIT: Duration = Duration::from_secs(2);
/// The same while a server that runs does not answer, or the roles do not fit together.
const ROLE_RETRY: Duration = Duration::from_secs(1);
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
        let claim = kind("v1", "PersistentVolumeClaim");
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
                Permission::Read(claim.clone()),
                Permission::Read(kind(restore::SNAPSHOT_API, "VolumeSnapshot")),
                Permission::Apply(config_map),
                Permission::Apply(service.clone()),
                Permission::Apply(stateful_set.clone()),
                Permission::Apply(claim),
                Permission::Apply(service_account),
                Permission::Apply(budget.clone()),
                Permission::Delete(stateful_set),
                Permission::Delete(service),
                Permission::Delete(budget),
                Permission::Delete(pod.clone()),
                Permission::Label(pod),
                Permission::Secret("*-credentials".to_owned()),
                // A certificate's Secret may have any name.
                Permission::Authority("*".to_owned()),
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
        let (target, mut observed) = Observed::of(world, target)?;
        let gate = gate(&target, &observed);
        let mut leadership = leadership(&target, &observed);
        let forgetful = primary::forgetful(world, &target, &mut observed, &mut leadership);
        let emptied = if forgetful.is_none() { primary::emptied(&target, &observed, &leadership) } else { None };
        if forgetful.is_some() || emptied.is_some() {
            leadership = Leadership::Nobody;
        }
        let servers = build::Servers::of(&target, &observed, &leadership);
        observed.stale = update::stale(&target, &observed, servers.are_specified());

        let kept = kept::kept(&target, &observed);
        let mut step = primary::decide(
            &Situation { world, target: &target, observed: &observed, leadership: &leadership, last: request.last.as_ref() },
            forgetful,
            emptied,
        );
        kept::tell(&target, &kept, &mut step);
        // A primary that is on its way takes all servers that there are.
        let settled = (step.transition.is_none() && step.act.is_none()) || target.form == Form::TurningOn;
        let replacement = if settled { replacement(&target, &observed, &leadership) } else { Replacement::None };
        let password = if settled { Some(password::change(world, &target, &observed, &leadership)?) } else { None };

        let calm = settled && matches!(replacement, Replacement::None) && gate == Gate::Open && is_calm(&target, &observed);
        let growth = growth(&target, &observed, calm);

        let proof = Proof::of(world, &target, &observed, &leadership, &step);
        let mut plan = Plan::new();
        let decision = Decision {
            target: &target,
            observed: &observed,
            gate: &gate,
            leadership: &leadership,
            step: &step,
            proof: &proof,
            replacement: &replacement,
            password: password.as_ref(),
            kept,
            growth: &growth,
        };
        // First, because a failed effect ends the plan, and because what is under way is recorded before anything is done for it.
        decision.tell(world, request, &mut plan)?;
        roles::label_primary(&target, &observed, &leadership, &mut plan);
        act(&step, &observed, &mut plan);
        if let Some(Change::Now(execution)) = &password {
            plan.sql((**execution).clone());
        }
        for (uid, claim) in growth.claims.iter().filter(|_| !matches!(gate, Gate::Closed(_))) {
            plan.apply_to(uid, claim);
        }
        match &growth.release {
            // It is made anew when it is gone, by a round that sees that; until then it is not written to.
            Some(stateful_set) => {
                plan.delete_alone(stateful_set);
            }
            None => build::children(&target, &observed, &gate, &leadership, settled, &servers, &mut plan),
        }
        let without_data = |ordinal: i32| step.others_are_empty() || proof.bereft.contains_key(&ordinal);
        roles::label(&target, &observed, &leadership, step.reserved(), without_data, &mut plan);
        if let Replacement::Now(pod) = &replacement {
            plan.event(Severity::Normal, "ReplacingPod", "Update", format!("Replacing pod '{}', which is of an older revision", pod.name));
            plan.delete(pod);
        }
        let pause = pause(&target, &observed, &leadership);
        plan.after(step.look_again.map_or(pause, |sooner| sooner.min(pause)));
        Ok(plan)
    }
}

/// What is done about the primary.
fn act(step: &Step, observed: &Observed, plan: &mut Plan) {
    for (severity, reason, action, message) in &step.events {
        plan.event(*severity, reason, action, message.clone());
    }
    match &step.act {
        Some(Act::StepDown(execution)) => {
            plan.sql((**execution).clone());
        }
        Some(Act::Promote { execution, .. }) => {
            if let Some(pod) = &step.passed_over {
                fence(pod, plan);
            }
            // Should the lost one come back before its successor is seen to answer, nobody must be led to it.
            if let Some(pod) = step.replaced().and_then(|lost| observed.pods.get(&lost)).filter(|pod| !pod.header.deleting)
                && pod.header.label(crds::names::LABEL_CLUSTER_ROLE) == Some(crds::names::ROLE_PRIMARY)
            {
                plan.label(&pod.header, &[(crds::names::LABEL_CLUSTER_ROLE, None)]);
            }
            plan.sql((**execution).clone());
        }
        Some(Act::Fence(pod)) => fence(pod, plan),
        None => {}
    }
}

/// Takes a pod out of the Services, and away.
fn fence(pod: &Header, plan: &mut Plan) {
    plan.label(pod, &[(crds::names::LABEL_CLUSTER_ROLE, None)]);
    plan.delete_within(pod, Some(primary::FENCE_GRACE));
}

/// What has been decided about a DoltDB.
struct Decision<'a> {
    target: &'a Target,
    observed: &'a Observed,
    gate: &'a Gate,
    leadership: &'a Leadership,
    step: &'a Step,
    proof: &'a Proof,
    replacement: &'a Replacement,
    password: Option<&'a Change>,
    kept: Vec<crds::KeptData>,
    growth: &'a Growth,
}

impl Decision<'_> {
    /// Status and events.
    fn tell(&self, world: &dyn World, request: &Request, plan: &mut Plan) -> Result<(), Failure> {
        let Decision { target, observed, gate, leadership, step, proof, replacement, password, kept, growth } = self;
        let roles = status::roles_ready(target, observed, leadership, step, proof);
        let leader = match leadership {
            Leadership::One(leader) => Some(*leader),
            _ => None,
        };
        let way = target.form.progress(target, observed, leader);
        let (ready, warn) = status::ready(target, observed, gate.obstacle(), request.last.as_ref(), way.as_ref(), roles, growth);
        let mut conditions = dolt::conditions(target.header.generation, &target.status.conditions);
        let said = conditions.get(dolt::READY).map(|ready| ready.message.clone());
        if let Some(way) = way.filter(|way| ready.reason == way.reason && said.as_ref() != Some(&way.message)) {
            plan.event(Severity::Normal, way.reason, "TurnReplication", way.message);
        }
        // What is done about the primary is told by a condition and an event of its own.
        report(world, &mut conditions, plan, &ready, warn && step.verdict.is_none());
        if let Some((verdict, warn)) = &step.verdict
            && conditions.set(world, primary::SWITCHED, verdict)
            && !verdict.holds
        {
            let severity = if *warn { Severity::Warning } else { Severity::Normal };
            plan.event(severity, &verdict.reason, "SwitchPrimary", verdict.message.clone());
        }
        if let Some(update) = status::Update::of(target, observed) {
            conditions.set(world, "Updated", &update.verdict(replacement));
        }
        if let Some(verdict) = &growth.verdict
            && conditions.set(world, STORAGE_RESIZED, verdict)
        {
            let severity = if growth.refused { Severity::Warning } else { Severity::Normal };
            plan.event(severity, &verdict.reason, "Resize", verdict.message.clone());
        }
        if let Some(from) = observed.restore.from.as_ref().filter(|_| target.status.restored_from.is_none()) {
            let message = format!("Filling the volumes from VolumeSnapshot \"{from}\"");
            plan.event(Severity::Normal, "RestoringFromSnapshot", "Restore", message);
        }
        let said_before = conditions.get("PasswordChanged").is_some();
        let changed = password.and_then(|password| password::verdict(password, target, said_before));
        if let Some(verdict) = changed
            && conditions.set(world, "PasswordChanged", &verdict)
        {
            let severity = if verdict.reason == password::WAITING_FOR_PODS { Severity::Warning } else { Severity::Normal };
            plan.event(severity, &verdict.reason, "ChangePassword", verdict.message.clone());
        }
        dolt::tell_ignored(world, &mut conditions, plan, &target.spec.ignored());
        let seen = highest_epoch(&observed.servers, target.recorded_epoch());
        let epoch = match step.act {
            Some(Act::Promote { epoch, .. }) => seen.max(epoch),
            _ => seen,
        };
        let mut status = status::status(target, observed, leadership, epoch, &ready, gate.obstacle().is_some());
        status.kept_data.clone_from(kept);
        status.listener_tls = listener::status(target, &observed.pods, leader.unwrap_or_else(|| target.recorded_primary()));
        let leads_at = leader.and_then(|leader| observed.server(leader)).map_or(epoch, |server| server.report.epoch);
        changes::count(world, &mut status, target, leader, leads_at);
        status::remember(world, &mut status, target, observed, leadership, step, proof);
        status.conditions = dolt::said(conditions);
        plan.status(Written(serde_json::to_string(&status).map_err(|error| status::unwritable(&error))?));
        Ok(())
    }
}

fn pause(target: &Target, observed: &Observed, leadership: &Leadership) -> Duration {
    if !target.replication.enabled {
        return AUDIT;
    }
    let silent = observed.servers.values().any(Result::is_err);
    let unclear = !observed.servers.is_empty() && !matches!(leadership, Leadership::One(_));
    if silent || unclear { ROLE_RETRY } else { ROLE_AUDIT }
}
