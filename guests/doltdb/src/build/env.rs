//! The variables of the containers.

use std::borrow::Cow;

use crds::{EnvVar, SecretKeySelector, names};
use sdk::{Json, List, With, object};

use crate::target::Target;

/// A variable of a container.
pub(super) struct Variable<'a> {
    name: &'a str,
    value: Value<'a>,
}

/// Where its value is from.
enum Value<'a> {
    /// It is this one.
    Text(Cow<'a, str>),
    /// A field of the pod.
    Field(&'static str),
    /// A key of a Secret.
    Secret { name: &'a str, key: &'a str },
    /// The user says it, with all that belongs to it.
    Given(&'a EnvVar),
}

impl Json for &Variable<'_> {
    fn write(self, out: &mut String) {
        let name = self.name;
        match &self.value {
            Value::Text(text) => object! { "name": name, "value": text }.write(out),
            Value::Field(path) => {
                object! { "name": name, "valueFrom": object! { "fieldRef": object! { "fieldPath": *path } } }.write(out);
            }
            Value::Secret { name: secret, key } => {
                object! { "name": name, "valueFrom": object! { "secretKeyRef": object! { "key": *key, "name": *secret } } }.write(out);
            }
            Value::Given(variable) => (&variable.0).write(out),
        }
    }
}

/// The environment, in an order that does not change; the user's own variables come last and win over ours of the same name.
pub(super) fn env<'a>(target: &Target, own: impl IntoIterator<Item = Variable<'a>>) -> impl Json {
    With(move |out: &mut String| {
        let credentials = names::credentials_secret(target.name());
        let mut env = vec![
            literal("DOLT_ROOT_PATH", "/db"),
            Variable { name: "POD_NAME", value: Value::Field("metadata.name") },
            from_secret("DOLT_USERNAME", &credentials, names::ADMIN_USER_KEY),
            from_secret("DOLT_PASSWORD", &credentials, names::ADMIN_PASSWORD_KEY),
        ];
        if let Some(mcp) = &target.spec.server.mcp_server {
            env.extend(mcp.user.as_deref().filter(|user| !user.is_empty()).map(|user| literal("DOLT_MCP_USER", user)));
            env.push(match &mcp.password_secret_key_ref {
                Some(SecretKeySelector { name, key }) => from_secret("DOLT_MCP_PASSWORD", name, key),
                None => from_secret("DOLT_MCP_PASSWORD", &credentials, names::ADMIN_PASSWORD_KEY),
            });
        }
        for variable in own {
            env.push(variable);
        }
        for variable in &target.spec.env {
            env.retain(|other| other.name != variable.name());
            env.push(Variable { name: variable.name(), value: Value::Given(variable) });
        }
        List(&env).write(out);
    })
}

/// A variable with this very value: Kubernetes would put other variables in for `$(NAME)`, the password's among them.
pub(super) fn literal<'a>(name: &'a str, value: impl Into<Cow<'a, str>>) -> Variable<'a> {
    let value = value.into();
    let value = if value.contains('$') { value.replace('$', "$$").into() } else { value };
    Variable { name, value: Value::Text(value) }
}

fn from_secret<'a>(name: &'a str, secret: &'a str, key: &'a str) -> Variable<'a> {
    Variable { name, value: Value::Secret { name: secret, key } }
}
