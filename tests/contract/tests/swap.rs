//! Hot swap with real components and a source of offers that a test holds in its hands: what is refused, what is tried, what is promoted by
//! which policy, and what goes back by itself.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod bench;

use std::time::{Duration, Instant};

use bench::{Bench, Offering, no_compiler, slow_compiler};
use contract::components::{as_of, ordered, replaced};
use host::swap::{Past, Policy, Standing};
use rstest::rstest;
use serde_json::{Value, json};

/// The hostile component with another version.
fn newer(version: &str) -> Vec<u8> {
    replaced(bench::hostile(), "hostile0.1.0", &format!("hostile{version}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_decides_the_same_is_promoted_by_itself_and_every_object_looked_at_again() {
    let bench = Bench::start().await;
    let first = bench.digest();
    bench.create("w").await;
    bench.offer(Offering::of(&newer("0.1.9"))).await;
    let told = bench.stands("m", Standing::PROBATION).await;
    assert!(told.summary.as_deref().is_some_and(|s| s.ends_with("of 1 live decisions are the same") && !s.contains("0 of ")), "{told:?}");
    assert!(told.message.starts_with("version 0.1.9 is active, and watched closely until "), "{told:?}");
    let second = bench.digest();
    assert_ne!(first, second);
    bench.decided("w", &second).await;

    let report = serde_json::to_value(bench.modules.report(true)).unwrap();
    let slot = &report[0];
    assert_eq!(
        (&slot["version"], &slot["previous"]["version"], &slot["previous"]["digest"]),
        (&json!("0.1.9"), &json!("0.1.0"), &json!(first))
    );
    assert_eq!(slot["source"], json!({"from": "configMap", "name": "m"}));
    assert_eq!(
        (&slot["offers"][0]["state"], &slot["offers"][0]["comparison"]["comparisons"][0]["outcome"]),
        (&json!("Probation"), &json!("equal"))
    );

    bench.withdraw().await;
    bench.is_active(&first).await;
    bench.decided("w", &first).await;
}

/// Objects are often applied together with the module that they need.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_module_of_a_slot_is_promoted_also_where_objects_waited_for_it() {
    let mut settings = bench::settings();
    settings["reconcilers"]["hostile"]["inImage"] = json!(false);
    let bench = Bench::with(settings, bench::own_compiler()).await;
    bench.create_and_go("w");
    bench.happens("NoModule").await;
    assert_eq!(bench.deciders(), [""; 0], "nobody has decided");
    bench.offer(Offering::of(bench::hostile())).await;
    let told = bench.stands("m", Standing::PROBATION).await;
    assert_eq!(told.summary.as_deref(), Some("0 of 0 replayed and 1 of 1 live decisions are the same"));
    bench.decided("w", &told.digest).await;
}

#[rstest]
#[case::equal(Policy::Equal, "count", false)]
#[case::always(Policy::Always, "count", true)]
#[case::approve(Policy::Approve, "count", false)]
#[case::approve_also_what_is_equal(Policy::Approve, "echo", false)]
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_decides_and_an_approval_helps(#[case] policy: Policy, #[case] does: &str, #[case] by_itself: bool) {
    let bench = Bench::start().await;
    let first = bench.digest();
    bench.create("w").await;
    let mut offering = Offering::of(&ordered(bench::hostile(), does));
    offering.wishes.policy = policy;
    bench.offer(offering.clone()).await;
    if !by_itself {
        let told = bench.stands("m", Standing::WAITING).await;
        assert_eq!(bench.digest(), first);
        let different = told.summary.as_deref().is_some_and(|summary| summary.contains("/effects/0/Status"));
        assert_eq!(different, does == "count", "{told:?}");
        offering.wishes.approved = Some("0123456789ab".into());
        bench.offer(offering.clone()).await;
        offering.wishes.approved = Some(told.digest[..12].to_owned());
        bench.offer(offering).await;
    }
    let told = bench.stands("m", Standing::PROBATION).await;
    bench.decided("w", &told.digest).await;
}

#[rstest]
#[case::traps("panic", "ShadowFailed", "Panicked: panicked at")]
#[case::loops("loop", "ShadowFailed", "CpuLimit")]
#[case::hoards("memory", "ShadowFailed", "MemoryLimit")]
#[case::reaches_out(
    "smuggle",
    "ShadowFailed",
    "its plan would be denied: effect 1 (apply): applying rbac.authorization.k8s.io/v1 ClusterRole"
)]
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_the_shadow_never_runs(#[case] does: &str, #[case] reason: &str, #[case] message: &str) {
    let bench = Bench::start().await;
    let first = bench.digest();
    bench.create("w").await;
    let mut offering = Offering::of(&ordered(bench::hostile(), does));
    offering.wishes.policy = Policy::Always;
    bench.offer(offering).await;
    let told = bench.stands("m", Standing::REFUSED).await;
    assert_eq!(told.reason, Some(reason));
    assert!(told.message.contains(message), "{told:?}");
    bench.create("another").await;
    assert!(bench.deciders().iter().all(|digest| *digest == first), "only the first has decided");
}

#[rstest]
#[case::traps("panic", "Panicked: panicked at")]
#[case::reaches_out_in_the_middle("smuggle", "was denied: effect 1 (apply)")]
#[tokio::test(flavor = "multi_thread")]
async fn what_fails_on_its_first_object_is_gone_within_5_seconds(#[case] does: &str, #[case] message: &str) {
    let bench = Bench::start().await;
    let first = bench.digest();
    // Without an object there is nothing to try it with.
    bench.offer(Offering::of(&ordered(bench::hostile(), does))).await;
    let told = bench.stands("m", Standing::PROBATION).await;
    assert_eq!(told.summary.as_deref(), Some("there was nothing to compare with"));
    let started = Instant::now();
    bench.create_and_go("w");
    bench.is_active(&first).await;
    bench.decided("w", &first).await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    eprintln!("{does}: back after {took:?}");
    let told = bench.stands("m", Standing::ROLLED_BACK).await;
    assert!(told.message.contains(message) && told.message.contains("back to version 0.1.0"), "{told:?}");
    assert!(bench.applied().iter().all(|effect| effect == "status"), "nothing of its plans has happened: {:?}", bench.applied());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_does_not_wait_for_the_next_module_to_be_compiled() {
    let bench = Bench::start().await;
    let first = bench.digest();
    bench.offer(Offering::of(&ordered(bench::hostile(), "panic"))).await;
    bench.stands("m", Standing::PROBATION).await;
    let slow = Bench::restarted(&bench, slow_compiler()).await;
    let panics = Offering::of(&ordered(bench::hostile(), "panic")).after(&bench.past("m"));
    slow.offer_both(panics.clone(), Offering::of(&newer("0.2.0")).named("n").created(9)).await;
    slow.is_active(&panics.digest()).await;
    slow.lead();
    slow.stands("n", Standing::CHECKING).await;
    slow.create_and_go("w");
    slow.is_active(&first).await;
    slow.decided("w", &first).await;
    assert_eq!(slow.stands("n", Standing::CHECKING).await.message, "it is being checked", "its compiler has not come to its end");
}

#[rstest]
#[case::digest(|o: &mut Offering, _: &mut Value| o.announced = Some("00".into()), "OtherDigest", "and 00 was announced")]
#[case::unsigned(|_: &mut Offering, s: &mut Value| s["modules"]["signatures"] = json!({"mode": "required"}), "Unsigned", "only signed modules may run")]
#[case::unknown_signature(
    |o: &mut Offering, s: &mut Value| {
        s["modules"]["signatures"] = json!({"mode": "required", "keys": {"release": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}});
        o.signature = Some("c2lnbmVk".into());
    },
    "UnknownSignature",
    "by none of the keys release"
)]
#[case::no_component(|o: &mut Offering, _: &mut Value| o.wasm = b"hello".to_vec(), "NotCompiled", "not a valid component")]
#[case::core_module(|o: &mut Offering, _: &mut Value| o.wasm = b"\0asm\x01\0\0\0".to_vec(), "NotCompiled", "not a valid component")]
#[case::empty_component(|o: &mut Offering, _: &mut Value| o.wasm = b"\0asm\x0d\0\x01\0".to_vec(), "OtherWorld", "it does not export describe, reconcile")]
#[case::too_long(|o: &mut Offering, _: &mut Value| o.wasm = zstd::encode_all(&vec![0; (64 << 20) + 1][..], 1).unwrap(), "TooLong", "longer than 64 MiB")]
#[case::damaged(|o: &mut Offering, _: &mut Value| o.wasm = b"\x28\xb5\x2f\xfd?".to_vec(), "NotUnpackable", "cannot be unpacked")]
#[case::later_world(
    |o: &mut Offering, _: &mut Value| o.wasm = as_of(bench::hostile(), "0.3.0"),
    "OtherWorld",
    "is built for controller:reconciler@0.3.0, and this host runs 0.2.0 and 0.1.0"
)]
#[case::name(|o: &mut Offering, _: &mut Value| o.wasm = replaced(bench::hostile(), "hostile0.1.0", "hostage0.1.0"), "OtherName", "is reconciler hostage")]
#[case::kind(
    |_: &mut Offering, s: &mut Value| s["reconcilers"]["hostile"]["reconciles"]["kind"] = "Gadget".into(),
    "OtherKind",
    "reconciles example.com/v1 Widget, and reconcilers.hostile.reconciles says example.com/v1 Gadget"
)]
#[case::grant(
    |_: &mut Offering, s: &mut Value| s["reconcilers"]["hostile"]["grant"]["apply"] = json!([]),
    "BeyondGrant",
    "missing in the settings: reconcilers.hostile.grant.apply: v1 ConfigMap"
)]
#[case::settings(|_: &mut Offering, s: &mut Value| s["reconcilers"]["hostile"]["settings"] = json!({}), "OtherSettings", "do is missing")]
#[case::slot(|o: &mut Offering, _: &mut Value| o.slot = "hostage".into(), "NoSuchSlot", "is for slot hostage, and the slots are hostile")]
#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_run_is_refused_and_says_why(
    #[case] change: impl FnOnce(&mut Offering, &mut Value),
    #[case] reason: &str,
    #[case] message: &str,
) {
    let mut offering = Offering::of(&newer("0.1.9"));
    let mut settings = bench::settings();
    change(&mut offering, &mut settings);
    let bench = Bench::with(settings, bench::own_compiler()).await;
    let before = bench.modules.active("hostile").map(|active| active.digest.clone());
    bench.offer(offering).await;
    let told = bench.stands("m", Standing::REFUSED).await;
    assert_eq!(told.reason, Some(reason), "{told:?}");
    assert!(told.message.contains(message), "{told:?}");
    assert_eq!(bench.modules.active("hostile").map(|active| active.digest.clone()), before);
    assert!(bench.metrics().contains(&format!("reason=\"{reason}\"")) || reason == "NoSuchSlot", "{}", bench.metrics());
}

#[rstest]
#[case::slow(bench::program("sleep 60"), "CompileTime", "longer than 0 s")]
#[case::killed(bench::program("kill -9 $$"), "CompileMemory", "the compiler was ended")]
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_much_to_compile_is_refused(#[case] compiler: host::module::Compiler, #[case] reason: &str, #[case] message: &str) {
    let bench = Bench::start().await;
    let bench = Bench::restarted(&bench, compiler.within(Duration::from_millis(300))).await;
    bench.lead();
    bench.offer(Offering::of(&newer("0.3.0"))).await;
    let told = bench.stands("m", Standing::REFUSED).await;
    assert_eq!(told.reason, Some(reason));
    assert!(told.message.contains(message), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_module_runs_where_signatures_are_required() {
    let key = bench::private_key();
    let offering = Offering::of(&newer("0.1.9"));
    let signed = host::module::sign(&offering.digest(), &key).unwrap();
    let mut settings = bench::settings();
    settings["modules"]["signatures"] = json!({"mode": "required", "keys": {"release": signed.public_key}});
    let bench = Bench::with(settings, bench::own_compiler()).await;
    bench.offer(Offering { signature: Some(signed.signature), ..offering }).await;
    let told = bench.stands("m", Standing::PROBATION).await;
    assert_eq!(told.reason, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_signatures_are_only_missed_an_unsigned_module_runs_with_a_warning() {
    let mut settings = bench::settings();
    settings["modules"]["signatures"] = json!({"mode": "warn"});
    let bench = Bench::with(settings, bench::own_compiler()).await;
    bench.offer(Offering::of(&newer("0.1.9"))).await;
    let told = bench.stands("m", Standing::PROBATION).await;
    assert!(told.reason == Some("NotVouchedFor") && told.message.ends_with("it is not signed"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_offer_counts_and_what_is_under_it_comes_back() {
    let bench = Bench::start().await;
    let (older, newest) = (Offering::of(&newer("0.1.8")).named("older"), Offering::of(&newer("0.1.9")).named("newest").created(9));
    bench.offer(older.clone()).await;
    bench.is_active(&older.digest()).await;
    bench.offer_both(older.clone(), newest.clone()).await;
    bench.is_active(&newest.digest()).await;
    assert!(bench.stands("older", Standing::SUPERSEDED).await.message.contains("another one comes before it"));
    bench.offer(older.clone()).await;
    bench.is_active(&older.digest()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_new_content_leaves_the_former_one_running() {
    let bench = Bench::start().await;
    let good = Offering::of(&newer("0.1.9"));
    bench.offer(good.clone()).await;
    bench.is_active(&good.digest()).await;
    bench.offer(Offering { wasm: b"hello".to_vec(), ..good.clone() }).await;
    let told = bench.stands("m", Standing::REFUSED).await;
    assert!(told.message.ends_with("the module of ConfigMap m goes on"), "{told:?}");
    assert_eq!(bench.digest(), good.digest());
    bench.withdraw().await;
    bench.is_active(&bench.image()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_author_may_take_a_module_back_and_give_it_again() {
    let bench = Bench::start().await;
    let mut offering = Offering::of(&newer("0.1.9"));
    bench.offer(offering.clone()).await;
    bench.is_active(&offering.digest()).await;
    offering.wishes.rollback = Some(offering.digest()[..12].to_owned());
    bench.offer(offering.clone()).await;
    bench.is_active(&bench.image()).await;
    assert!(bench.stands("m", Standing::ROLLED_BACK).await.message.starts_with("its author wants it so; module "));
    offering.wishes.rollback = None;
    // What was told of it stands there, and any news comes with it.
    let told = bench.past("m");
    for _ in 0..3 {
        bench.offer(offering.clone().after(&told)).await;
        tokio::task::yield_now().await;
    }
    bench.is_active(&offering.digest()).await;
}

#[rstest]
#[case::active(Standing::ACTIVE, true)]
#[case::on_probation(Standing::PROBATION, true)]
#[case::rolled_back(Standing::ROLLED_BACK, false)]
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_it_is_as_it_was_and_nothing_is_compiled(#[case] state: &'static str, #[case] active: bool) {
    let former = Bench::start().await;
    let offering = Offering::of(&newer("0.1.9"));
    former.offer(offering.clone()).await;
    former.is_active(&offering.digest()).await;
    let past = Past { digest: offering.digest(), state: state.into(), message: "as it was".into() };
    let bench = Bench::restarted(&former, no_compiler()).await;
    bench.offer_before_leading(offering.clone().after(&past)).await;
    assert_eq!(bench.digest() == offering.digest(), active, "before anybody leads");
    bench.lead();
    let expected = if active { state } else { Standing::ROLLED_BACK };
    bench.stands("m", expected).await;
    assert_eq!(bench.digest() == offering.digest(), active, "and afterwards");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_lead_promotes_nothing_new_and_tells_nothing() {
    let bench = Bench::followers().await;
    let offering = Offering::of(&newer("0.1.9"));
    bench.offer_before_leading(offering.clone()).await;
    assert_eq!((bench.digest(), bench.told()), (bench.image(), vec![]));
    bench.lead();
    bench.is_active(&offering.digest()).await;
}
