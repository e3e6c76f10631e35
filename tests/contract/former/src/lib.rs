//! A reconciler without the SDK, whose source fits two versions of the contract. It asks everything that there is to ask, shows the answers
//! in a status, and plans one effect of each kind.
#![cfg_attr(not(target_arch = "wasm32"), allow(dead_code, reason = "only a component has entry points"))]

#[cfg(not(feature = "present"))]
#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, reason = "generated; the docs stand in the WIT file")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit/blessed/0.1.0/reconciler.wit", world: "reconciler" });
}

#[cfg(feature = "present")]
#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, reason = "generated; the docs stand in the WIT file")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit/reconciler.wit", world: "reconciler" });
}

use bindings::{
    Guest,
    controller::reconciler::{clock, cluster, log, sql, types::*},
};

/// The reconciler.
#[derive(Debug, Clone, Copy)]
pub struct Former;

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, missing_docs, reason = "the component's entry points, generated")]
mod component {
    use super::{Former, bindings};
    bindings::export!(Former with_types_in bindings);
}

fn kind(api_version: &str, kind: &str) -> Kind {
    Kind { api_version: api_version.into(), kind: kind.into() }
}

fn named(kind: &str, name: &str) -> ObjectRef {
    ObjectRef { api_version: "v1".into(), kind: kind.into(), namespace: "default".into(), name: name.into() }
}

fn endpoint() -> Endpoint {
    let [namespace, secret, user_key, password_key] = ["default", "widget-root", "user", "password"].map(Into::into);
    let credentials = Credentials { namespace, secret, user_key, password_key };
    Endpoint {
        host: "db.svc".into(),
        port: 3306,
        credentials,
        #[cfg(feature = "present")]
        tls: None,
    }
}

impl Guest for Former {
    fn describe() -> Description {
        Description {
            name: "former".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            reconciles: kind("example.com/v1", "Widget"),
            permissions: vec![
                Permission::Read(kind("v1", "Pod")),
                Permission::Secret("widget-*".into()),
                Permission::SqlRead("*.svc".into()),
            ],
            settings_schema: r#"{"type":"object"}"#.into(),
        }
    }

    fn reconcile(request: Request) -> Result<Plan, Failure> {
        let pod = cluster::get(&named("Pod", "some"), &["/metadata/name".into()]);
        let labels = vec![Requirement { key: "app".into(), operator: Operator::Exists, values: vec![] }];
        let selection =
            Selection { kind: kind("v1", "Pod"), namespace: "default".into(), labels, fields: vec![], limit: 0, page: Some("none".into()) };
        let pods = cluster::select(&selection);
        let digests = cluster::secret("default", "widget-root");
        let arguments = vec![
            Argument::Identifier("t".into()),
            Argument::Value(Value::Signed(-1)),
            Argument::Value(Value::Unsigned(u64::MAX)),
            Argument::Value(Value::Double(0.1)),
            Argument::Value(Value::Bytes(vec![0, 255])),
            Argument::Value(Value::Null),
        ];
        let statement = |text: &str| Statement { text: text.into(), arguments: vec![] };
        let asked = Statement { text: "SELECT ??, ?, ?, ?, ?, ?".into(), arguments };
        let query = |statement| Query { endpoint: endpoint(), database: None, statements: vec![statement], deadline: 1_000, max_rows: 9 };
        let answers = sql::run(&[query(asked.clone()), query(statement("SELECT NOTHING"))]);
        let now = clock::now();
        log::write(log::Level::Info, "asked everything", &[("now".into(), now.to_string())]);
        let header = &request.object.header;
        let seen = format!("{pod:?} {pods:?} {digests:?} {answers:?} {now} {} {:?}", request.settings, request.last);
        let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"default"}}"#;
        let secret = SecretRef { namespace: "default".into(), name: "widget-root".into(), key: "password".into() };
        let writes = Statement { text: "SET x = ?".into(), arguments: vec![Argument::Value(Value::Secret(secret))] };
        let guard =
            Some(Guard { statement: statement("SELECT ROLE"), expected: vec![Value::Text("primary".into()), Value::Boolean(true)] });
        let effects = vec![
            Effect::Status(format!("{{\"seen\":{seen:?}}}")),
            Effect::Apply(Application { object: named("ConfigMap", "c"), uid: String::new(), body: body.into() }),
            Effect::Delete(Deletion {
                object: named("Pod", "some"),
                uid: "some-uid".into(),
                propagation: Propagation::Foreground,
                grace: Some(1),
            }),
            Effect::Label(Labelling {
                object: named("Pod", "some"),
                uid: "some-uid".into(),
                labels: vec![("a".into(), Some("b".into())), ("c".into(), None)],
            }),
            Effect::Finalizer(Finalizer { name: "example.com/f".into(), present: !header.deleting }),
            Effect::Sql(Execution {
                endpoint: endpoint(),
                database: Some("d".into()),
                guard,
                statements: vec![writes, asked],
                deadline: 9,
            }),
            Effect::GenerateSecret(GeneratedSecret {
                namespace: header.namespace.clone(),
                name: "s".into(),
                labels: vec![("l".into(), "m".into())],
                fixed: vec![("user".into(), "root".into())],
                random: vec![("password".into(), 24)],
                owned: true,
            }),
        ];
        let event = Event { severity: Severity::Warning, reason: "Asked".into(), action: "Ask".into(), message: "everything".into() };
        Ok(Plan { effects, events: vec![event], next: Next::At(now + 1) })
    }
}
