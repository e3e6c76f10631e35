//! What the operator has recorded of its reconciles gives the same plans again, and holds nobody's secrets.

use std::{env, fs, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use e2e::{MINUTE, Namespace, Operator, PASSWORD, credentials, database, in_namespace, replicated};
use host::{
    gateway::{Ending, Journal, Replay},
    runtime::{Guest, Runtime},
    settings::Limits,
};
use k8s_openapi::ByteString;

#[tokio::test]
async fn recorded_reconciles_replay_to_the_same_plans_and_hold_no_secret() -> Result<()> {
    in_namespace("replay", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        namespace.apply(&replicated("dolt")).await?;
        namespace.apply(&database("app", "dolt", "app")).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        namespace.ready("Database", "app", MINUTE).await?;

        let operator = Operator::of(&namespace.cluster);
        // The last round of all has no effects: it is asked for before it has pushed out the rounds that have.
        for (slot, least_effects) in [("doltdb", 5), ("database", 1)] {
            let text = operator.ask(&format!("/journals/{slot}")).await?;
            for secret in [PASSWORD, &base64(PASSWORD)] {
                ensure!(!text.contains(secret), "a journal of {slot} holds the administrator's password");
            }
            let journals: Vec<Journal> = serde_json::from_str(&text).with_context(|| format!("the journals of {slot} are not journals"))?;
            replays(namespace, slot, &journals, least_effects).await?;
        }
        let log = operator.last_words(10_000).await?;
        ensure!(!log.contains(PASSWORD) && !log.contains(&base64(PASSWORD)), "the log holds the administrator's password");
        Ok(())
    })
    .await
}

async fn replays(namespace: &Namespace, slot: &str, journals: &[Journal], least_effects: usize) -> Result<()> {
    let guest = guest(slot)?;
    let ours = journals.iter().filter(|journal| journal.subject.object.namespace == namespace.name);
    let (mut plans, mut most_effects) = (0, 0);
    for journal in ours {
        let Ending::Plan(recorded) = &journal.ending else { continue };
        let replay = Arc::new(Replay::new(journal.reads.clone()));
        let answer = guest.reconcile(&journal.subject, Arc::clone(&replay) as _, &journal.request).await?;
        if let Some(divergence) = replay.divergence() {
            bail!("{slot}: {divergence}");
        }
        ensure!(replay.unread() == 0, "{slot}: {} reads of the journal were not asked for", replay.unread());
        ensure!(answer.as_ref() == Ok(recorded), "{slot}: recorded was {recorded:#?}, the replay says {answer:#?}");
        plans += 1;
        most_effects = most_effects.max(recorded.effects.len());
    }
    e2e::say(format_args!("{slot}: {plans} plans replayed, the longest with {most_effects} effects"));
    ensure!(most_effects >= least_effects, "no journal of {slot} has {least_effects} effects: nothing was proved");
    Ok(())
}

/// The reconciler as it is in the operator's image.
fn guest(slot: &str) -> Result<Guest> {
    let folder = env::var_os("MODULES_DIR").context("MODULES_DIR is not set; run: cargo xtask test")?;
    let file = PathBuf::from(folder).join(format!("{slot}.wasm"));
    let wasm = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let runtime = Runtime::new(&Limits::default())?;
    let folder = tempfile::tempdir()?;
    let code = folder.path().join("code");
    fs::write(&code, runtime.compile(&wasm)?)?;
    Ok(runtime.load(&code)?)
}

/// As a Secret holds it.
fn base64(text: &str) -> String {
    let value = serde_json::to_value(ByteString(text.as_bytes().to_vec())).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
