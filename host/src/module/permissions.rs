//! What a module wants, compared with what its slot grants. It knows nothing of how a grant is enforced.

use crate::{
    contract::{Kind, Permission},
    plan::fits,
    settings::{Reconciler, Resource},
};

/// Each permission that the slot does not grant, as a place in the settings and what is missing there.
pub(super) fn missing(wanted: &[Permission], slot: &str, granted: &Reconciler) -> Vec<String> {
    let grant = &granted.grant;
    let own = std::slice::from_ref(&granted.reconciles);
    let kind = |place: &str, lists: &[&[Resource]], kind: &Kind| {
        let has = lists.iter().copied().flatten().any(|r| r.api_version == kind.api_version && r.kind == kind.kind);
        (!has).then(|| format!("reconcilers.{slot}.grant.{place}: {} {}", kind.api_version, kind.kind))
    };
    let name = |place: &str, patterns: &[String], wanted: &str| {
        (!patterns.iter().any(|pattern| fits(pattern, wanted))).then(|| format!("reconcilers.{slot}.grant.{place}: {wanted}"))
    };
    let missing = |permission: &Permission| match permission {
        Permission::Read(k) => kind("read", &[&grant.read, own], k),
        Permission::Apply(k) => kind("apply", &[&grant.apply], k),
        Permission::Delete(k) => kind("delete", &[&grant.delete], k),
        Permission::Label(k) => kind("label", &[&grant.label], k),
        Permission::Secret(n) => {
            let granted = grant.secrets.iter().any(|pattern| covers(pattern, n));
            (!granted).then(|| format!("reconcilers.{slot}.grant.secrets: {n}"))
        }
        Permission::Authority(n) => {
            let granted = grant.secrets.iter().chain(&grant.authorities).any(|pattern| covers(pattern, n));
            (!granted).then(|| format!("reconcilers.{slot}.grant.authorities: {n}"))
        }
        Permission::GenerateSecret(n) => name("generateSecrets", &grant.generate_secrets, n),
        Permission::SqlRead(n) => name("sql.read", &grant.sql.read, n),
        Permission::SqlWrite(n) => name("sql.write", &grant.sql.write, n),
    };
    wanted.iter().filter_map(missing).collect()
}

/// Whether a pattern for Secrets covers another one: with a namespace it is about Secrets there, without one about those of the object's own.
fn covers(granted: &str, wanted: &str) -> bool {
    match (granted.split_once('/'), wanted.split_once('/')) {
        (Some((place, granted)), Some((namespace, wanted))) => fits(place, namespace) && fits(granted, wanted),
        (Some((place, granted)), None) => place == "*" && fits(granted, wanted),
        (None, Some(_)) => false,
        (None, None) => fits(granted, wanted),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a", "a", true)]
    #[case("a", "b", false)]
    #[case("a", "*", false)]
    #[case("*", "*", true)]
    #[case("*", "a-*", true)]
    #[case("a-*", "a-*", true)]
    #[case("a-*", "a-b-*", true)]
    #[case("a-b-*", "a-*", false)]
    #[case("*-credentials", "*-credentials", true)]
    #[case("*-credentials", "*", false)]
    #[case("*.svc.*", "*.*.svc.cluster.local", true)]
    #[case("*.svc.*", "*.svc", false)]
    #[case("aa*aa", "aaa", false)]
    fn a_grant_covers_what_is_wanted(#[case] granted: &str, #[case] wanted: &str, #[case] expected: bool) {
        assert_eq!(fits(granted, wanted), expected);
    }

    #[rstest]
    #[case("*", "*/*-credentials", false)]
    #[case("*/*-credentials", "*/*-credentials", true)]
    #[case("*/*-credentials", "*-credentials", true)]
    #[case("*/*", "a/*", true)]
    #[case("a/*", "*/*", false)]
    #[case("a/*", "*", false)]
    #[case("a/*", "a/b", true)]
    fn a_grant_of_secrets_covers_namespaces_that_it_names(#[case] granted: &str, #[case] wanted: &str, #[case] expected: bool) {
        assert_eq!(covers(granted, wanted), expected);
    }

    #[test]
    fn each_missing_permission_is_named_with_its_place() {
        let pods = || Kind { api_version: "v1".into(), kind: "Pod".into() };
        let granted: Reconciler = serde_json::from_value(serde_json::json!({
            "reconciles": {"apiVersion": "example.com/v1", "kind": "Widget", "resource": "widgets"},
            "grant": {"read": [{"apiVersion": "v1", "kind": "Pod", "resource": "pods"}], "secrets": ["widget-*"]},
        }))
        .unwrap();
        let wanted = [
            Permission::Read(pods()),
            Permission::Read(Kind { api_version: "example.com/v1".into(), kind: "Widget".into() }),
            Permission::Delete(pods()),
            Permission::Secret("widget-password".into()),
            Permission::Secret("*".into()),
            Permission::SqlWrite("*.svc".into()),
            Permission::Authority("widget-authority".into()),
            Permission::Authority("*".into()),
        ];
        let expected = [
            "reconcilers.widget.grant.delete: v1 Pod",
            "reconcilers.widget.grant.secrets: *",
            "reconcilers.widget.grant.sql.write: *.svc",
            "reconcilers.widget.grant.authorities: *",
        ];
        assert_eq!(missing(&wanted, "widget", &granted), expected);
    }
}
