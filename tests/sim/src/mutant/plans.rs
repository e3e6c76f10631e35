//! Mistakes in plans.

use host::contract::{Argument, Effect, Execution, Plan, Request, Value};
use serde_json::{Value as Json, json};

use super::Mutant;
use crate::scenario::PASSWORD;

impl Mutant {
    /// Changes a plan on its way to the host.
    pub(super) fn mutate(self, plan: &mut Plan, request: &Request, now: u64) {
        let effects = &mut plan.effects;
        let recorded = || {
            let object = serde_json::from_str::<Json>(&request.object.body).unwrap_or_default();
            object.pointer("/status/replicationEpoch").and_then(Json::as_u64)
        };
        match self {
            Self::StatusLast | Self::SetAfterSnapshots => {
                let (status, rest): (Vec<_>, Vec<_>) = std::mem::take(effects).into_iter().partition(|e| matches!(e, Effect::Status(_)));
                *effects = rest.into_iter().chain(status).collect();
            }
            Self::NoStatus => effects.retain(|effect| !matches!(effect, Effect::Status(_))),
            Self::ForgetsEpoch => each_status(effects, |status| {
                let Some(epoch) = recorded() else { return };
                status["replicationEpoch"] = epoch.into();
                if let Some(transition) = status.get_mut("transition") {
                    transition["epoch"] = epoch.into();
                }
            }),
            Self::RestartsEpochs => each_status(effects, |status| status["replicationEpoch"] = 1.into()),
            Self::ForgetsChange => each_status(effects, |status| {
                status.as_object_mut().map(|status| status.remove("transition"));
            }),
            Self::SameEpoch => each_epoch(effects, |epoch| recorded().unwrap_or(epoch)),
            Self::LaterEpoch => each_epoch(effects, |epoch| epoch + 1),
            Self::NoGuard => each_execution(effects, |execution| execution.guard = None),
            Self::NoStepDown => effects.retain(|effect| !is_sql(effect, "TRANSITION_TO_STANDBY")),
            Self::NoFence => effects.retain(|effect| !matches!(effect, Effect::Delete(deletion) if deletion.object.kind == "Pod")),
            Self::Reversed => effects.reverse(),
            Self::WrongPod => each_execution(effects, |execution| {
                if is_promotion(execution) {
                    let other = if execution.endpoint.host.starts_with("db-0.") { 1 } else { 0 };
                    lead_to(execution, other);
                }
            }),
            Self::PromotesAll => {
                let promotions: Vec<Execution> = effects
                    .iter()
                    .filter_map(|effect| match effect {
                        Effect::Sql(execution) if is_promotion(execution) => Some(execution.clone()),
                        _ => None,
                    })
                    .collect();
                for promotion in promotions {
                    for ordinal in (0..3).rev() {
                        let mut another = promotion.clone();
                        lead_to(&mut another, ordinal);
                        effects.push(Effect::Sql(another));
                    }
                }
            }
            Self::NoLabels => effects.retain(|effect| !matches!(effect, Effect::Label(_))),
            Self::WrongLabels => each_label(effects, |value| *value = Some("primary".into())),
            Self::KeepsLabels => {
                for effect in effects.iter_mut() {
                    if let Effect::Label(labelling) = effect {
                        labelling.labels.retain(|(_, value)| value.is_some());
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
            Self::NeverQuiet => each_status(effects, |status| status["phase"] = now.to_string().into()),
            Self::TellsPassword => each_status(effects, |status| status["phase"] = PASSWORD.into()),
            Self::TrustsAnyStandby
            | Self::SilenceIsEnd
            | Self::DeletedIsGone
            | Self::LastAnswerCounts
            | Self::ErrorIsSuccess
            | Self::IndexForOrdinal
            | Self::IgnoresEpochs
            | Self::StaleRoles
            | Self::IgnoresVolumes
            | Self::KeepsTooFew
            | Self::NoTurns
            | Self::FailureIsCopy
            | Self::NeverWaits => {}
        }
    }
}

/// The execution as one for another server, whatever that is.
fn lead_to(execution: &mut Execution, ordinal: i32) {
    let rest = execution.endpoint.host.split_once('.').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    execution.endpoint.host = format!("db-{ordinal}.{rest}");
    execution.guard = None;
}

fn each_execution(effects: &mut [Effect], change: impl Fn(&mut Execution)) {
    for effect in effects {
        if let Effect::Sql(execution) = effect {
            change(execution);
        }
    }
}

fn each_label(effects: &mut [Effect], change: impl Fn(&mut Option<String>)) {
    for effect in effects {
        if let Effect::Label(labelling) = effect {
            labelling.labels.iter_mut().for_each(|(_, value)| change(value));
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

/// The epoch in a call of one of the two procedures.
pub(super) fn epoch_of(execution: &Execution) -> Option<u64> {
    execution.statements.iter().flat_map(|statement| &statement.arguments).find_map(|argument| match argument {
        Argument::Value(Value::Unsigned(epoch)) => Some(*epoch),
        _ => None,
    })
}

/// Whether a server becomes primary by it.
pub(super) fn is_promotion(execution: &Execution) -> bool {
    execution.statements.iter().any(|s| s.arguments.contains(&Argument::Value(Value::Text("primary".into()))))
}

fn is_sql(effect: &Effect, procedure: &str) -> bool {
    matches!(effect, Effect::Sql(execution) if execution.statements.iter().any(|s| s.text.contains(procedure)))
}
