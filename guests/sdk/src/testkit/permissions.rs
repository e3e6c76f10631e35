//! Which permissions a reconcile makes use of, to compare with those that its description asks for.

use crate::{Argument, Effect, Endpoint, Permission, Plan, Statement, Task, Value, kind};

/// What the effects of a plan for an object in `own` need. Status and finalizers of the reconciled object need nothing.
pub(super) fn of_plan(plan: &Plan, own: &str) -> Vec<Permission> {
    let mut used = Vec::new();
    for effect in &plan.effects {
        match effect {
            Effect::Apply(a) => used.push(Permission::Apply(kind(&a.object.api_version, &a.object.kind))),
            Effect::Delete(d) => used.push(Permission::Delete(kind(&d.object.api_version, &d.object.kind))),
            Effect::Label(l) => used.push(Permission::Label(kind(&l.object.api_version, &l.object.kind))),
            Effect::GenerateSecret(secret) => used.push(Permission::GenerateSecret(secret.name.clone())),
            Effect::Sql(execution) => {
                used.push(Permission::SqlWrite(execution.endpoint.host.clone()));
                used.extend(secrets(&execution.endpoint, &execution.statements, own));
            }
            // What the statements of a task answer is read.
            Effect::Start(Task { execution, .. }) => {
                used.push(Permission::SqlWrite(execution.endpoint.host.clone()));
                used.push(Permission::SqlRead(execution.endpoint.host.clone()));
                used.extend(secrets(&execution.endpoint, &execution.statements, own));
            }
            Effect::Finalizer(_) | Effect::Status(_) | Effect::Forget(_) => {}
        }
    }
    used
}

/// A Secret, with its namespace where that is another one than the object's.
pub(super) fn secret(own: &str, namespace: &str, name: &str) -> Permission {
    Permission::Secret(if namespace == own { name.to_owned() } else { format!("{namespace}/{name}") })
}

fn authority(own: &str, namespace: &str, name: &str) -> Permission {
    Permission::Authority(if namespace == own { name.to_owned() } else { format!("{namespace}/{name}") })
}

/// The Secrets that a session and its statements refer to.
pub(super) fn secrets(endpoint: &Endpoint, statements: &[Statement], own: &str) -> Vec<Permission> {
    let arguments = statements.iter().flat_map(|statement| &statement.arguments);
    let named = arguments.filter_map(|argument| match argument {
        Argument::Value(Value::Secret(secret)) => Some((&secret.namespace, &secret.name)),
        _ => None,
    });
    let namespace = &endpoint.credentials.namespace;
    let authority = endpoint.tls.iter().map(|tls| authority(own, namespace, &tls.secret));
    let used = named.chain([(namespace, &endpoint.credentials.secret)]).map(|(namespace, name)| secret(own, namespace, name));
    used.chain(authority).collect()
}

/// Whether one that is asked for allows what is used.
pub(super) fn covers(asked: &Permission, used: &Permission) -> bool {
    match (asked, used) {
        (Permission::Secret(pattern), Permission::Secret(name) | Permission::Authority(name))
        | (Permission::Authority(pattern), Permission::Authority(name)) => secret_matches(pattern, name),
        (Permission::GenerateSecret(pattern), Permission::GenerateSecret(name))
        | (Permission::SqlRead(pattern), Permission::SqlRead(name))
        | (Permission::SqlWrite(pattern), Permission::SqlWrite(name)) => matches(pattern, name),
        _ => asked == used,
    }
}

/// A pattern with a namespace is for Secrets there, one without for those of the object's own namespace.
fn secret_matches(pattern: &str, name: &str) -> bool {
    match (pattern.split_once('/'), name.split_once('/')) {
        (Some((place, pattern)), Some((namespace, name))) => matches(place, namespace) && matches(pattern, name),
        (Some((place, pattern)), None) => place == "*" && matches(pattern, name),
        (None, Some(_)) => false,
        (None, None) => matches(pattern, name),
    }
}

/// `*` stands for any run of characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(left) = name.strip_prefix(start) else { return false };
    (0..=left.len()).filter(|at| left.is_char_boundary(*at)).any(|at| matches(rest, &left[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        assert!(matches("*-credentials", "a-credentials"));
        assert!(matches("*.*-internal.*.svc.*", "a-0.a-internal.n.svc.cluster.local"));
        assert!(!matches("*-credentials", "a-credentials-b"));
        assert!(!matches("a", "ab"));
    }

    #[test]
    fn a_secret_of_another_namespace_takes_a_pattern_that_names_it() {
        assert!(!secret_matches("*", "prod/demo-credentials"));
        assert!(secret_matches("*/*-credentials", "prod/demo-credentials"));
        assert!(secret_matches("*/*-credentials", "demo-credentials"));
        assert!(!secret_matches("*/*-credentials", "prod/password"));
    }
}
