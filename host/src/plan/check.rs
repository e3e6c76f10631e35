//! The check of a whole plan against the grant, before its first effect.

use super::{body::Described, grant::Reach};
use crate::{
    contract::{Application, Effect, Execution, ObjectRef, Plan, Statement, Task},
    gateway::Subject,
    settings::Limits,
};

/// Why a plan may not be applied: the effect's place in the plan and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("effect {effect} ({name}): {why}")]
pub struct Denial {
    /// From 0.
    pub effect: usize,
    /// The effect's kind.
    pub name: &'static str,
    /// What is not granted, or malformed.
    pub why: String,
}

/// An effect's kind, as metrics and messages name it.
pub(crate) fn name(effect: &Effect) -> &'static str {
    match effect {
        Effect::Apply(_) => "apply",
        Effect::Delete(_) => "delete",
        Effect::Label(_) => "label",
        Effect::Finalizer(_) => "finalizer",
        Effect::Status(_) => "status",
        Effect::Sql(_) => "sql",
        Effect::GenerateSecret(_) => "generate-secret",
        Effect::Start(_) => "start",
        Effect::Forget(_) => "forget",
    }
}

/// Checks a plan. `passed` is an earlier plan for the same subject that passed, if there is one: a body that it has too is not read again.
///
/// # Errors
/// The first effect that the grant does not allow, or that is malformed. Nothing of the plan may happen then.
pub fn check(plan: &Plan, subject: &Subject, reach: &Reach, limits: &Limits, passed: Option<&Plan>) -> Result<(), Denial> {
    if plan.effects.len() > limits.effects as usize {
        let why = format!("the plan has {} effects, {} are allowed", plan.effects.len(), limits.effects);
        return Err(Denial { effect: limits.effects as usize, name: "plan", why });
    }
    for (effect, one) in plan.effects.iter().enumerate() {
        check_one(one, subject, reach, passed).map_err(|why| Denial { effect, name: name(one), why })?;
    }
    Ok(())
}

fn check_one(effect: &Effect, subject: &Subject, reach: &Reach, passed: Option<&Plan>) -> Result<(), String> {
    match effect {
        Effect::Apply(Application { object, body, .. }) => {
            allowed(reach.applies(&object.api_version, &object.kind), "applying", object)?;
            placed(object, subject, reach)?;
            if is_known(passed, |one| matches!(one, Effect::Apply(before) if before.object == *object && before.body == *body)) {
                return Ok(());
            }
            describes(body, object)
        }
        Effect::Delete(deletion) => {
            allowed(reach.deletes(&deletion.object.api_version, &deletion.object.kind), "deleting", &deletion.object)?;
            placed(&deletion.object, subject, reach)?;
            identified(&deletion.uid)
        }
        Effect::Label(labelling) => {
            allowed(reach.labels(&labelling.object.api_version, &labelling.object.kind), "labelling", &labelling.object)?;
            placed(&labelling.object, subject, reach)?;
            identified(&labelling.uid)
        }
        Effect::Finalizer(finalizer) if finalizer.name.contains('/') => Ok(()),
        Effect::Finalizer(finalizer) => Err(format!("finalizer {:?} has no domain", finalizer.name)),
        Effect::Status(status) if is_known(passed, |one| matches!(one, Effect::Status(before) if before == status)) => Ok(()),
        Effect::Status(status) => match Described::read(status) {
            Ok(Described { is_object: true, .. }) => Ok(()),
            Ok(_) => Err("the status is not a JSON object".into()),
            Err(e) => Err(format!("the status is not JSON: {e}")),
        },
        Effect::Sql(execution) => executes(execution, subject, reach),
        Effect::Start(Task { name, execution }) => {
            named(name)?;
            // What its statements answer is read.
            if !reach.queries(&execution.endpoint.host) {
                return Err(format!("querying host {} is not granted", execution.endpoint.host));
            }
            executes(execution, subject, reach)
        }
        Effect::Forget(name) => named(name),
        Effect::GenerateSecret(secret) if reach.generates(subject, &secret.namespace, &secret.name) => Ok(()),
        Effect::GenerateSecret(secret) => Err(format!("generating Secret {}/{} is not granted", secret.namespace, secret.name)),
    }
}

fn is_known(passed: Option<&Plan>, is_the_same: impl Fn(&Effect) -> bool) -> bool {
    passed.is_some_and(|passed| passed.effects.iter().any(is_the_same))
}

fn executes(execution: &Execution, subject: &Subject, reach: &Reach) -> Result<(), String> {
    if !reach.writes(&execution.endpoint.host) {
        return Err(format!("writing on host {} is not granted", execution.endpoint.host));
    }
    let mut statements: Vec<Statement> = execution.statements.clone();
    statements.extend(execution.guard.iter().map(|guard| guard.statement.clone()));
    match reach.foreign_secret(subject, &execution.endpoint, &statements) {
        Some(secret) => Err(format!("using Secret {secret} is not granted")),
        None => Ok(()),
    }
}

/// A task's name is kept for as long as the task is, and stands in logs.
fn named(task: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if (1..=63).contains(&task.len()) && task.chars().all(fits) {
        Ok(())
    } else {
        let shown: String = task.chars().take(63).collect();
        Err(format!("{shown:?} is no name of a task: 1 to 63 letters, digits, '-', '.' and '_'"))
    }
}

fn allowed(allowed: bool, verb: &str, object: &ObjectRef) -> Result<(), String> {
    if allowed { Ok(()) } else { Err(format!("{verb} {} {} is not granted", object.api_version, object.kind)) }
}

fn placed(object: &ObjectRef, subject: &Subject, reach: &Reach) -> Result<(), String> {
    if reach.namespace(subject, &object.namespace, reach.cluster_scoped(&object.api_version, &object.kind)) {
        Ok(())
    } else {
        Err(format!("{} {} is in namespace {:?}, which is not granted", object.kind, object.name, object.namespace))
    }
}

fn identified(uid: &str) -> Result<(), String> {
    if uid.is_empty() { Err("the uid is missing".into()) } else { Ok(()) }
}

/// The body must be of the object that the effect names: the check of the name would be worth nothing otherwise.
fn describes(body: &str, object: &ObjectRef) -> Result<(), String> {
    let body = Described::read(body).map_err(|e| format!("the body is not JSON: {e}"))?;
    let pairs = [
        ("apiVersion", &body.api_version, &object.api_version),
        ("kind", &body.kind, &object.kind),
        ("metadata.name", &body.name, &object.name),
        ("metadata.namespace", &body.namespace, &object.namespace),
    ];
    match pairs.into_iter().find(|(_, has, wants)| has != wants) {
        Some((field, has, wants)) => Err(format!("{field} of the body is {has:?}, the effect says {wants:?}")),
        None => Ok(()),
    }
}
