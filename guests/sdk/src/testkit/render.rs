//! Plans in a form that people read and that is always the same: bodies as structure instead of text, keys in order.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::{Argument, Effect, Execution, Failure, Next, ObjectRef, Plan, Statement, Tls, Value};

/// A plan as structure.
pub fn render(plan: &Plan) -> Json {
    let effects: Vec<Json> = plan.effects.iter().map(effect).collect();
    let events: Vec<Json> = plan
        .events
        .iter()
        .map(|e| json!({ "severity": e.severity, "reason": e.reason, "action": e.action, "message": e.message }))
        .collect();
    let next = match plan.next {
        Next::Change => json!("change"),
        Next::After(time) => json!(format!("after {time} ms")),
        Next::At(time) => json!(format!("at {}", crate::rfc3339(time))),
    };
    sorted(json!({ "effects": effects, "events": events, "next": next }))
}

/// A plan or a failure, with the reads that led to it.
pub fn render_answer(answer: &Result<Plan, Failure>, reads: &[String]) -> Json {
    match answer {
        Ok(plan) => json!({ "plan": render(plan), "reads": reads }),
        Err(failure) => json!({ "failure": { "reason": failure.reason, "message": failure.message }, "reads": reads }),
    }
}

/// Puts names in place of applied objects.
pub(super) fn shorten(answer: &mut Json) {
    let effects = answer.pointer_mut("/plan/effects").and_then(Json::as_array_mut);
    for effect in effects.into_iter().flatten() {
        if let Some(body) = effect.get_mut("apply") {
            let text = |pointer: &str| body.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
            *body = json!(format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name")));
        }
    }
}

fn effect(effect: &Effect) -> Json {
    match effect {
        Effect::Apply(a) if a.uid.is_empty() => json!({ "apply": parsed(&a.body) }),
        Effect::Apply(a) => json!({ "apply": parsed(&a.body), "uid": a.uid }),
        Effect::Delete(d) => {
            let mut rendered = json!({ "delete": object(&d.object), "uid": d.uid, "propagation": d.propagation });
            if let Some(grace) = d.grace {
                rendered["grace"] = json!(format!("{grace} s"));
            }
            rendered
        }
        Effect::Label(l) => {
            let labels: Map<String, Json> = l.labels.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
            json!({ "label": object(&l.object), "uid": l.uid, "labels": labels })
        }
        Effect::Finalizer(f) => json!({ "finalizer": f.name, "present": f.present }),
        Effect::Status(status) => json!({ "status": parsed(status) }),
        Effect::Sql(execution) => json!({ "sql": sql(execution) }),
        Effect::GenerateSecret(secret) => json!({ "generateSecret": secret }),
        Effect::Start(task) => json!({ "start": task.name, "sql": sql(&task.execution) }),
        Effect::Forget(name) => json!({ "forget": name }),
    }
}

fn object(object: &ObjectRef) -> String {
    format!("{} {} {}/{}", object.api_version, object.kind, object.namespace, object.name)
}

fn parsed(body: &str) -> Json {
    serde_json::from_str(body).unwrap_or_else(|_| json!({ "not JSON": body }))
}

fn sql(execution: &Execution) -> Json {
    let mut sql = json!({
        "endpoint": format!("{}:{}", execution.endpoint.host, execution.endpoint.port),
        "credentials": format!("{}/{}", execution.endpoint.credentials.namespace, execution.endpoint.credentials.secret),
        "deadline": format!("{} ms", execution.deadline),
        "statements": execution.statements.iter().map(statement).collect::<Vec<_>>(),
    });
    if let Some(tls) = &execution.endpoint.tls {
        sql["tls"] = json!(format!("{} of {}{}", tls.key, tls.secret, unless(tls)));
    }
    if let Some(database) = &execution.database {
        sql["database"] = json!(database);
    }
    if let Some(guard) = &execution.guard {
        let expected: Vec<Json> = guard.expected.iter().map(value_to_json).collect();
        sql["guard"] = json!({ "statement": statement(&guard.statement), "expected": expected });
    }
    sql
}

/// What a server without TLS comes to.
pub(super) fn unless(tls: &Tls) -> &'static str {
    if tls.plaintext { " or in plain text" } else { "" }
}

fn statement(statement: &Statement) -> Json {
    if statement.arguments.is_empty() {
        return json!(statement.text);
    }
    let arguments: Vec<Json> = statement
        .arguments
        .iter()
        .map(|argument| match argument {
            Argument::Value(value) => json!({ "value": value_to_json(value) }),
            Argument::Identifier(name) => json!({ "identifier": name }),
        })
        .collect();
    json!({ "text": statement.text, "arguments": arguments })
}

/// A value as it stands in a fixture.
pub fn value_to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(v) => json!(v),
        Value::Signed(v) => json!(v),
        Value::Unsigned(v) => json!(v),
        Value::Double(v) => json!(v),
        Value::Text(v) => json!(v),
        Value::Bytes(v) => json!({ "bytes": v }),
        Value::Secret(s) => json!({ "secret": format!("{}/{}", s.namespace, s.name), "key": s.key }),
    }
}

/// What stands in a fixture as a value.
pub fn value_from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(v) => Value::Boolean(*v),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(v), _) => Value::Signed(v),
            (None, Some(v)) => Value::Unsigned(v),
            (None, None) => Value::Double(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(v) => Value::Text(v.clone()),
        other => Value::Text(other.to_string()),
    }
}

/// The same with the keys of every object in order, whatever order the JSON library keeps.
fn sorted(json: Json) -> Json {
    match json {
        Json::Array(list) => list.into_iter().map(sorted).collect(),
        Json::Object(map) => {
            let map: BTreeMap<String, Json> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            Json::Object(map.into_iter().collect())
        }
        other => other,
    }
}
