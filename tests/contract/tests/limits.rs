//! Limits that a reconciler cannot pass: each ends the call with an error that says which one, and nothing else happens.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use contract::{
    components,
    world::{Played, cross, subject},
};
use host::{
    contract::{Effect, Plan, Request},
    gateway::SharedGateway,
    runtime::{CallError, Guest, Runtime},
    settings::Limits,
};
use rstest::rstest;
use sdk::testkit::Fixture;
use serde_json::{Value, json};

/// Small, so that the tests are quick.
fn limits() -> Limits {
    Limits { memory_mib: 32, cpu_ms: 300, wall_ms: 3_000, reads: 50, effects: 20, ..Limits::default() }
}

/// The hostile reconciler's machine code, compiled once.
fn code() -> &'static [u8] {
    static CODE: OnceLock<Vec<u8>> = OnceLock::new();
    CODE.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        host::runtime::compile(components::hostile(target)).unwrap()
    })
}

fn hostile(limits: &Limits) -> Guest {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hostile.cwasm");
    std::fs::write(&file, code()).unwrap();
    // The guest keeps what it needs of both.
    Runtime::new(limits).unwrap().load(&file).unwrap()
}

fn world(delay: Duration) -> SharedGateway {
    let fixture = json!({
        "object": {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "default", "uid": "1"}},
        "objects": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "some", "namespace": "default"}}],
        "now": "2026-03-01T12:00:00Z",
    });
    Arc::new(Played { fixture: Fixture::parse(&fixture.to_string()).unwrap(), delay })
}

fn request(settings: &Value) -> Request {
    let object = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "default", "uid": "1"}});
    let fixture = Fixture::parse(&json!({"object": object, "settings": settings}).to_string()).unwrap();
    cross(&fixture.request())
}

async fn call(guest: &Guest, settings: &Value) -> Result<Plan, CallError> {
    call_in(guest, settings, world(Duration::ZERO)).await
}

async fn call_in(guest: &Guest, settings: &Value, world: SharedGateway) -> Result<Plan, CallError> {
    let request = request(settings);
    guest.reconcile(&subject("hostile", &request), world, &request).await.map(|answer| answer.expect("its settings are right"))
}

/// The status that a plan writes.
fn status(plan: &Plan) -> Value {
    let [Effect::Status(status)] = plan.effects.as_slice() else { panic!("no status: {plan:?}") };
    serde_json::from_str(status).unwrap()
}

async fn is_well(guest: &Guest) {
    let plan = call(guest, &json!({"do": "echo"})).await.unwrap();
    assert_eq!(status(&plan)["name"], "w");
}

#[rstest]
#[case::memory(json!({"do": "memory"}), "MemoryLimit", "more than 32 MiB of memory")]
#[case::endless_loop(json!({"do": "loop"}), "CpuLimit", "more than 300 ms on the CPU without a read")]
#[case::reads(json!({"do": "reads", "times": 51}), "ReadLimit", "more than 50 reads")]
#[case::queries(json!({"do": "queries", "times": 51}), "ReadLimit", "more than 50 reads")]
#[case::no_queries(json!({"do": "no queries", "times": 51}), "ReadLimit", "more than 50 reads")]
#[case::effects(json!({"do": "effects", "times": 10_000}), "EffectLimit", "a plan with 10000 effects and 0 events, of each at most 20")]
#[case::bytes(json!({"do": "bytes", "times": 17_000_000}), "SizeLimit", "more than 16384 KiB handed to the host at once")]
#[case::many_reads(json!({"do": "reads", "times": 10_000}), "ReadLimit", "more than 50 reads")]
#[case::many_small_things(json!({"do": "many small things", "times": 800_000}), "SizeLimit", "more than 16384 KiB handed to the host at once")]
#[case::log_of_100_mib(json!({"do": "log", "times": 100 << 20}), "MemoryLimit", "more than 32 MiB of memory")]
#[case::log(json!({"do": "log", "times": 9_000_000}), "SizeLimit", "more than 16384 KiB handed to the host at once")]
#[case::recursion(json!({"do": "recursion"}), "StackLimit", "more than 512 KiB of stack, in hostile")]
#[case::deep_frames(json!({"do": "recursion with large frames"}), "Trapped", "out of bounds memory access, in hostile")]
#[case::panic(json!({"do": "panic"}), "Panicked", "told to panic")]
#[case::abort(json!({"do": "abort"}), "Trapped", "unreachable")]
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_ends_the_call_and_no_other(#[case] settings: Value, #[case] reason: &str, #[case] message: &str) {
    let guest = hostile(&limits());
    let bystander = tokio::spawn({
        let guest = hostile(&Limits { cpu_ms: 10_000, ..limits() });
        async move {
            for _ in 0..20 {
                is_well(&guest).await;
            }
        }
    });
    for _ in 0..3 {
        let error = call(&guest, &settings).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{error}");
        assert!(error.to_string().contains(message), "{error}");
        is_well(&guest).await;
    }
    bystander.await.unwrap();
}

#[rstest]
#[case::reads(json!({"do": "reads", "times": 50}))]
#[case::effects(json!({"do": "effects", "times": 20}))]
#[case::long_line(json!({"do": "log", "times": 500_000}))]
#[case::many_lines(json!({"do": "lines", "times": 20_000}))]
#[case::work(json!({"do": "work between reads", "times": 20}))]
#[tokio::test(flavor = "multi_thread")]
async fn within_the_limits_a_call_ends_well(#[case] settings: Value) {
    call(&hostile(&limits()), &settings).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_an_answer_is_not_held_against_the_cpu() {
    let slow = world(Duration::from_millis(600));
    let plan = call_in(&hostile(&limits()), &json!({"do": "echo"}), slow).await.unwrap();
    assert_eq!(status(&plan)["found"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_an_answer_ends_with_the_calls_time() {
    let started = Instant::now();
    let guest = hostile(&Limits { wall_ms: 300, ..limits() });
    let error = call_in(&guest, &json!({"do": "echo"}), world(Duration::from_secs(60))).await.unwrap_err();
    assert_eq!((error.reason(), error.to_string().as_str()), ("TimeLimit", "longer than 300 ms"));
    assert!(started.elapsed() < Duration::from_secs(10));
    is_well(&guest).await;
}

#[tokio::test]
async fn an_endless_loop_leaves_its_thread_to_others() {
    // One thread for both: the other calls come to their ends while the loop runs.
    let (busy, guest) = (hostile(&Limits { cpu_ms: 2_000, ..limits() }), hostile(&limits()));
    let looping = tokio::spawn(async move { call(&busy, &json!({"do": "loop"})).await });
    let loops = looping.abort_handle();
    let others = tokio::spawn(async move {
        for _ in 0..5 {
            is_well(&guest).await;
        }
        assert!(!loops.is_finished(), "the loop ended first: the others had to wait for it");
    });
    others.await.unwrap();
    assert_eq!(looping.await.unwrap().unwrap_err().reason(), "CpuLimit");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_places_wait_for_their_turn() {
    let guest = hostile(&limits());
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let guest = guest.clone();
            tokio::spawn(async move { call_in(&guest, &json!({"do": "echo"}), world(Duration::from_millis(20))).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_call_has_one_time_and_an_instance_of_its_own() {
    let guest = hostile(&limits());
    let plan = call(&guest, &json!({"do": "echo"})).await.unwrap();
    assert_eq!(status(&plan)["now"], json!([1_772_366_400_000_u64, 1_772_366_400_000_u64]));
    for _ in 0..3 {
        let plan = call(&guest, &json!({"do": "count"})).await.unwrap();
        assert_eq!(status(&plan), json!({"calls": 1}));
    }
}

#[tokio::test]
async fn a_panic_is_told_with_its_place_and_functions() {
    let error = call(&hostile(&limits()), &json!({"do": "panic"})).await.unwrap_err();
    assert!(error.to_string().contains("hostile/src/lib.rs:"), "{error}");
    assert!(error.frames().iter().any(|f| f.contains("rust_panic") || f.contains("hostile")), "{:?}", error.frames());
}

#[tokio::test]
async fn an_error_in_the_log_is_no_panic() {
    call(&hostile(&limits()), &json!({"do": "error"})).await.unwrap();
}

#[tokio::test]
async fn a_description_is_to_be_had_without_a_world() {
    let description = hostile(&limits()).describe().await.unwrap();
    assert_eq!((description.name.as_str(), description.reconciles.kind.as_str()), ("hostile", "Widget"));
}
