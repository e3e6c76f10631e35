//! Mistakes on purpose: a reconciler whose plans are changed on their way to the host. The oracles have to find each of them.

use std::sync::Arc;

use async_trait::async_trait;
use clap::ValueEnum;
use host::{
    contract::{Argument, Effect, Execution, Failure, Plan, Request, Value},
    controller::Decide,
    gateway::{SharedGateway, Subject},
    runtime::CallError,
};
use serde_json::{Value as Json, json};

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mutant {
    /// The status is written after the other effects.
    StatusLast,
    /// The status does not say an epoch.
    ForgetsEpoch,
    /// Epochs are not raised.
    SameEpoch,
    /// Epochs are raised further than is recorded.
    LaterEpoch,
    /// Executions have no guard.
    NoGuard,
    /// The primary is not asked to step down.
    NoStepDown,
    /// Pods are not deleted.
    NoFence,
    /// Everything happens in the opposite order.
    Reversed,
    /// Whoever is to be promoted, another is.
    WrongPod,
    /// Pods get no role labels.
    NoLabels,
    /// The role labels do not follow what the servers say.
    WrongLabels,
    /// A pod is deleted where nothing is to be done.
    RestartsIdly,
    /// The Services do not follow.
    NoServices,
    /// Something outside of the grant is asked for.
    BeyondGrant,
    /// Every plan writes something new.
    NeverQuiet,
}

struct Mutated {
    mutant: Mutant,
    inner: Arc<dyn Decide>,
}

impl Mutant {
    /// All of them.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    pub(crate) fn of(self, inner: Arc<dyn Decide>) -> Arc<dyn Decide> {
        Arc::new(Mutated { mutant: self, inner })
    }

    fn mutate(self, plan: &mut Plan, request: &Request, gateway_now: u64) {
        let effects = &mut plan.effects;
        match self {
            Self::StatusLast => {
                let (status, rest): (Vec<_>, Vec<_>) = std::mem::take(effects).into_iter().partition(|e| matches!(e, Effect::Status(_)));
                *effects = rest.into_iter().chain(status).collect();
            }
            Self::ForgetsEpoch => each_status(effects, |status| {
                let before = serde_json::from_str::<Json>(&request.object.body).unwrap_or_default();
                let epoch = before.pointer("/status/replicationEpoch").cloned();
                match (epoch, status.as_object_mut()) {
                    (Some(epoch), Some(status)) => drop(status.insert("replicationEpoch".into(), epoch)),
                    (None, Some(status)) => drop(status.remove("replicationEpoch")),
                    _ => {}
                }
            }),
            Self::SameEpoch => each_epoch(effects, |epoch| epoch.saturating_sub(1)),
            Self::LaterEpoch => each_epoch(effects, |epoch| epoch + 1),
            Self::NoGuard => each_execution(effects, |execution| execution.guard = None),
            Self::NoStepDown => effects.retain(|effect| !is_sql(effect, "TRANSITION_TO_STANDBY")),
            Self::NoFence => effects.retain(|effect| !matches!(effect, Effect::Delete(deletion) if deletion.object.kind == "Pod")),
            Self::Reversed => effects.reverse(),
            Self::WrongPod => each_execution(effects, |execution| {
                let is_promotion =
                    execution.statements.iter().any(|s| s.arguments.contains(&Argument::Value(Value::Text("primary".into()))));
                if is_promotion {
                    let other = if execution.endpoint.host.starts_with("db-0.") { "db-1." } else { "db-0." };
                    let rest = execution.endpoint.host.split_once('.').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
                    execution.endpoint.host = format!("{other}{rest}");
                    execution.guard = None;
                }
            }),
            Self::NoLabels => effects.retain(|effect| !matches!(effect, Effect::Label(_))),
            Self::WrongLabels => {
                for effect in effects.iter_mut() {
                    if let Effect::Label(labelling) = effect {
                        labelling.labels.iter_mut().for_each(|(_, value)| *value = Some("primary".into()));
                    }
                }
            }
            Self::RestartsIdly => {
                let uids: Vec<String> = effects
                    .iter()
                    .filter_map(|effect| match effect {
                        Effect::Label(labelling) if labelling.object.kind == "Pod" => Some(labelling.uid.clone()),
                        _ => None,
                    })
                    .collect();
                let object = json!({"api_version": "v1", "kind": "Pod", "namespace": "default", "name": "db-1"});
                for uid in uids {
                    let deletion = json!({"object": object, "uid": uid, "propagation": "Background"});
                    effects.extend(serde_json::from_value(deletion).map(Effect::Delete));
                }
            }
            Self::NoServices => effects.retain(|effect| !matches!(effect, Effect::Apply(apply) if apply.object.kind == "Service")),
            Self::BeyondGrant => {
                if let Some(Effect::Apply(apply)) = effects.iter().find(|effect| matches!(effect, Effect::Apply(_))) {
                    let mut smuggled = apply.clone();
                    smuggled.object.kind = "ClusterRole".into();
                    effects.push(Effect::Apply(smuggled));
                }
            }
            Self::NeverQuiet => each_status(effects, |status| status["phase"] = gateway_now.to_string().into()),
        }
    }
}

#[async_trait]
impl Decide for Mutated {
    fn digest(&self) -> &str {
        "mutant"
    }

    async fn decide(&self, subject: &Subject, gateway: SharedGateway, request: &Request) -> Result<Result<Plan, Failure>, CallError> {
        let now = gateway.now();
        let mut decided = self.inner.decide(subject, gateway, request).await?;
        if let Ok(plan) = &mut decided {
            self.mutant.mutate(plan, request, now);
        }
        Ok(decided)
    }
}

fn each_execution(effects: &mut [Effect], change: impl Fn(&mut Execution)) {
    for effect in effects {
        if let Effect::Sql(execution) = effect {
            change(execution);
        }
    }
}

fn each_status(effects: &mut [Effect], change: impl Fn(&mut Json)) {
    for effect in effects {
        if let Effect::Status(status) = effect
            && let Ok(mut body) = serde_json::from_str::<Json>(status)
        {
            change(&mut body);
            *status = body.to_string();
        }
    }
}

/// Changes the epochs in calls of the two procedures: the first number among their arguments.
fn each_epoch(effects: &mut [Effect], change: impl Fn(u64) -> u64) {
    each_execution(effects, |execution| {
        for statement in
            execution.statements.iter_mut().filter(|s| s.text.contains("CALL DOLT_ASSUME") || s.text.contains("CALL DOLT_CLUSTER"))
        {
            let epoch = statement.arguments.iter_mut().find_map(|argument| match argument {
                Argument::Value(Value::Unsigned(epoch)) => Some(epoch),
                _ => None,
            });
            if let Some(epoch) = epoch {
                *epoch = change(*epoch);
            }
        }
    });
}

fn is_sql(effect: &Effect, procedure: &str) -> bool {
    matches!(effect, Effect::Sql(execution) if execution.statements.iter().any(|s| s.text.contains(procedure)))
}
