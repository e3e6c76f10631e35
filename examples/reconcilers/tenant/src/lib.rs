//! Reconciler of Tenant: a namespace of its own for a team, with a quota, and how much of the quota is used.
//!
//! An example for `docs/write-a-reconciler.md`. It knows nothing of databases.

use std::collections::BTreeMap;

use sdk::{
    Condition, Conditions, Description, Failure, Permission, Plan, Reconciler, Request, Severity, Typed, Verdict, World, kind,
    owner_reference, reference,
};
use serde::Deserialize;
use serde_json::json;

const API_VERSION: &str = "example.com/v1";

/// Reconciles Tenant.
#[derive(Debug, Clone, Copy)]
pub struct TenantReconciler;

sdk::export!(crate::TenantReconciler);

#[derive(Deserialize)]
struct Tenant {
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Spec {
    /// Resources by their names in a ResourceQuota, and how much of each there may be.
    quota: BTreeMap<String, String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

/// The part of a ResourceQuota that the quota controller writes.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Quota {
    status: QuotaStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct QuotaStatus {
    hard: BTreeMap<String, String>,
    used: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Settings {
    namespace_prefix: String,
}

const SETTINGS_SCHEMA: &str = r#"{
    "type": "object",
    "required": ["namespacePrefix"],
    "properties": {"namespacePrefix": {"type": "string", "description": "What a tenant's namespace is called before the tenant's name."}}
}"#;

impl Reconciler for TenantReconciler {
    fn describe() -> Description {
        Description {
            name: "tenant".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reconciles: kind(API_VERSION, "Tenant"),
            permissions: vec![
                Permission::Apply(kind("v1", "Namespace")),
                Permission::Apply(kind("v1", "ResourceQuota")),
                Permission::Read(kind("v1", "ResourceQuota")),
            ],
            settings_schema: SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn reconcile(world: &dyn World, request: &Request) -> Result<Plan, Failure> {
        let tenant: Typed<Tenant> = request.object_as()?;
        let settings: Settings = request.settings_as()?;
        let mut plan = Plan::new();
        if tenant.header.deleting {
            // What it owns goes with it.
            return Ok(plan);
        }
        let namespace = format!("{}{}", settings.namespace_prefix, tenant.header.name);
        let owner = owner_reference(&tenant.header);
        plan.apply(&json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": tenant.body.spec.labels, "ownerReferences": [owner]},
        }));
        plan.apply(&json!({
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "tenant", "namespace": namespace, "ownerReferences": [owner]},
            "spec": {"hard": tenant.body.spec.quota},
        }));

        // The read is also a subscription: when the quota controller writes, this runs again.
        let quota = world.get_as::<Quota>(&reference("v1", "ResourceQuota", &namespace, "tenant"), &["/status"])?;
        let quota = quota.map(|quota| quota.body.status).unwrap_or_default();
        let enforced = quota.hard.keys().eq(tenant.body.spec.quota.keys());
        let verdict = if enforced {
            Verdict::yes("QuotaEnforced", format!("namespace {namespace} is there, and its quota is enforced"))
        } else {
            Verdict::no("WaitingForQuota", format!("the quota of namespace {namespace} is not enforced yet"))
        };
        let mut conditions = Conditions::new(tenant.header.generation, tenant.body.status.conditions);
        if conditions.set(world, "Ready", &verdict) && enforced {
            plan.event(Severity::Normal, &verdict.reason, "Reconcile", verdict.message);
        }
        plan.status(&json!({"namespace": namespace, "used": quota.used, "conditions": conditions.into_list()}));
        Ok(plan)
    }
}
