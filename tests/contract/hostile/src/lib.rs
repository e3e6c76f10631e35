//! A reconciler that does what its settings say: `{"do": "loop"}` and so on. Each behaviour passes one limit of the host, or shows that
//! an honest reconciler stays clear of it. A variant of it that does something else whatever its settings say is made without another
//! build: by other words in the place of its orders (`contract::components::ordered`).

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
};

use sdk::{
    Credentials, Description, Effect, Endpoint, Failure, Level, ObjectRef, Permission, Plan, Query, Reconciler, Request, Selection, World,
    kind,
};
use serde::Deserialize;
use serde_json::json;

/// What is done whatever the settings say. Other words of this length may take the place of these in the component.
static ORDERS: &str = "orders: as the settings say             ";

/// What to do, and how much of it.
#[derive(Deserialize)]
struct Settings {
    r#do: String,
    #[serde(default)]
    times: usize,
}

/// The hostile reconciler.
#[derive(Debug, Clone, Copy)]
pub struct Hostile;

sdk::export!(crate::Hostile);

impl Reconciler for Hostile {
    fn describe() -> Description {
        Description {
            name: "hostile".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            reconciles: kind("example.com/v1", "Widget"),
            permissions: vec![
                Permission::Read(kind("v1", "Pod")),
                Permission::Apply(kind("v1", "ConfigMap")),
                Permission::Secret("widget-*".into()),
                Permission::SqlRead("*.svc".into()),
            ],
            settings_schema: json!({"type": "object", "required": ["do"]}).to_string(),
        }
    }

    fn reconcile(world: &dyn World, request: &Request) -> Result<Plan, Failure> {
        let settings: Settings =
            serde_json::from_str(&request.settings).map_err(|e| Failure { reason: "BadSettings".into(), message: e.to_string() })?;
        let times = settings.times;
        let mut plan = Plan::new();
        // Only at run time is it known what stands there.
        let orders = black_box(ORDERS).trim_start_matches("orders: ").trim_end();
        match if orders == "as the settings say" { settings.r#do.as_str() } else { orders } {
            "loop" => loop {
                black_box(0);
            },
            "memory" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(black_box(vec![1_u8; 1 << 20]));
                }
            }
            "panic" => panic!("told to panic"),
            "error" => world.log(Level::Error, "not a panic", &[]),
            "abort" => std::process::abort(),
            "recursion" => {
                plan.status(&json!({"depth": deeper(black_box(1))}));
            }
            "recursion with large frames" => {
                plan.status(&json!({"depth": deeper_with_large_frames(black_box(1))}));
            }
            "reads" => (0..times).for_each(|i| drop(world.get(&pod(&i.to_string()), &[]))),
            "queries" => drop(world.query(&vec![query(); times])),
            "no queries" => (0..times).for_each(|_| drop(world.query(&[]))),
            "smuggle" => {
                for (api_version, kind) in [("v1", "ConfigMap"), ("rbac.authorization.k8s.io/v1", "ClusterRole"), ("v1", "ConfigMap")] {
                    let object =
                        ObjectRef { api_version: api_version.into(), kind: kind.into(), namespace: "default".into(), name: "x".into() };
                    let metadata = json!({"name": "x", "namespace": "default"});
                    let body = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata}).to_string();
                    plan.effects.push(Effect::Apply(sdk::Application { object, uid: String::new(), body }));
                }
            }
            "effects" => plan.effects = vec![Effect::Status("{}".into()); times],
            "bytes" => plan.effects = vec![Effect::Status("x".repeat(times))],
            "log" => world.log(Level::Info, &"x".repeat(times), &[("field", "y".repeat(times))]),
            // Each item is some bytes in the guest and more in the host.
            "many small things" => drop(world.select(&many_fields(times))),
            "depth" => plan.effects = vec![Effect::Status(format!("{{\"a\":{}{}}}", "[".repeat(times), "]".repeat(times)))],
            "never the same" => {
                plan.status(&json!({"now": world.now()}));
            }
            "panic every second time" => {
                plan.status(&json!({"last": request.last.is_some()}));
                assert!(request.last.is_none(), "this is the second time");
            }
            "lines" => (0..times).for_each(|i| world.log(Level::Info, &format!("line {i}"), &[])),
            "work between reads" => {
                for _ in 0..times {
                    black_box(work());
                    drop(world.get(&pod("some"), &[]));
                }
            }
            "echo" => {
                let answer = world.get(&pod("some"), &[]);
                let (first, second) = (world.now(), world.now());
                plan.status(
                    &json!({"name": request.object.header.name, "found": answer.is_ok_and(|o| o.is_some()), "now": [first, second]}),
                );
            }
            "count" => {
                // Were an instance used twice, it would count on.
                static CALLS: AtomicU64 = AtomicU64::new(0);
                plan.status(&json!({"calls": CALLS.fetch_add(1, Ordering::Relaxed) + 1}));
            }
            other => return Err(Failure { reason: "BadSettings".into(), message: format!("cannot do {other}") }),
        }
        Ok(plan)
    }
}

/// A recursion that no compiler makes a loop of: it uses up the engine's stack.
fn deeper(depth: u64) -> u64 {
    if depth == 0 { 0 } else { deeper(depth.wrapping_add(1)).wrapping_mul(3) ^ depth }
}

/// One that uses up the part of the memory where a program keeps what has an address.
fn deeper_with_large_frames(depth: u64) -> u64 {
    let here = black_box([depth; 64]);
    if here[3] == 0 { 0 } else { deeper_with_large_frames(black_box(depth + 1)) + here[5] }
}

/// Some tens of milliseconds.
fn work() -> u64 {
    (0..30_000_000_u64).fold(0, |sum, i| black_box(sum ^ i))
}

fn pod(name: &str) -> ObjectRef {
    ObjectRef { api_version: "v1".into(), kind: "Pod".into(), namespace: "default".into(), name: name.into() }
}

fn query() -> Query {
    let credentials =
        Credentials { namespace: "default".into(), secret: "widget-root".into(), user_key: "user".into(), password_key: "password".into() };
    let endpoint = Endpoint { host: "db.svc".into(), port: 3306, credentials, tls: None };
    Query { endpoint, database: None, statements: Vec::new(), deadline: 1_000, max_rows: 1 }
}

/// A question that takes more room in the host than in here.
fn many_fields(times: usize) -> Selection {
    let (namespace, fields) = ("default".to_owned(), vec![String::new(); times]);
    Selection { kind: kind("v1", "Pod"), namespace, labels: Vec::new(), fields, limit: 0, page: None }
}
