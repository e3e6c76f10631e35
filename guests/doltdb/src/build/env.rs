//! The variables of the containers.

use std::borrow::Cow;

use crds::{SecretKeySelector, names};
use sdk::{Fields, Json, object};

use crate::target::Target;

/// A variable of a container, with its name beside it.
pub(super) type Variable<'a> = (&'a str, Json<'a>);

/// The environment, in an order that does not change; the user's own variables come last and win over ours of the same name.
pub(super) fn env<'a>(target: &'a Target, own: impl IntoIterator<Item = Variable<'a>>) -> Json<'a> {
    let credentials = names::credentials_secret(target.name());
    let mut env = vec![
        literal("DOLT_ROOT_PATH", "/db"),
        variable("POD_NAME", "fieldRef", object! { "fieldPath": "metadata.name" }),
        from_secret("DOLT_USERNAME", credentials.clone(), names::ADMIN_USER_KEY),
        from_secret("DOLT_PASSWORD", credentials.clone(), names::ADMIN_PASSWORD_KEY),
    ];
    if let Some(mcp) = &target.spec.server.mcp_server {
        env.extend(mcp.user.as_deref().filter(|user| !user.is_empty()).map(|user| literal("DOLT_MCP_USER", user)));
        env.push(match &mcp.password_secret_key_ref {
            Some(SecretKeySelector { name, key }) => from_secret("DOLT_MCP_PASSWORD", name, key),
            None => from_secret("DOLT_MCP_PASSWORD", credentials, names::ADMIN_PASSWORD_KEY),
        });
    }
    env.extend(own);
    for variable in &target.spec.env {
        env.retain(|(name, _)| *name != variable.name());
        env.push((variable.name(), Json::from(&variable.0)));
    }
    env.into_iter().map(|(_, variable)| variable).collect()
}

/// A variable with this very value: Kubernetes would put other variables in for `$(NAME)`, the password's among them.
pub(super) fn literal<'a>(name: &'a str, value: impl Into<Cow<'a, str>>) -> Variable<'a> {
    let value = value.into();
    let value = if value.contains('$') { value.replace('$', "$$").into() } else { value };
    (name, object! { "name": name, "value": value }.into())
}

fn from_secret<'a>(name: &'a str, secret: impl Into<Json<'a>>, key: &'a str) -> Variable<'a> {
    variable(name, "secretKeyRef", object! { "name": secret, "key": key })
}

fn variable<'a>(name: &'a str, source: &'static str, of: Fields<'a>) -> Variable<'a> {
    (name, object! { "name": name, "valueFrom": Fields::from_iter([(source, of)]) }.into())
}
