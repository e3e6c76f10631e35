//! How each scenario goes: the fault, and the wait for what should come of it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::{Event, MINUTE, Operator, seconds, wait_for};
use futures::future::try_join_all;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    fault::{Cut, cut, heal},
    scenario::Scenario,
    stage::{DOLTDB, Stage, pod},
    writer::Patience,
};

/// How long clients write while nothing happens.
const QUIET: Duration = seconds(5);
/// For another server to take over.
const TAKEOVER: Duration = seconds(60);
/// How long a primary that is cut off may go on.
const FENCED: Duration = seconds(10);

/// Plays a scenario until what should come of it has come.
///
/// # Errors
/// With what has not.
pub(crate) async fn act(scenario: Scenario, stage: &mut Stage<'_>, round: u32) -> Result<()> {
    match scenario {
        Scenario::Quiet => quiet(stage).await,
        Scenario::Kill => kill(stage).await,
        Scenario::KillAcknowledged => {
            measure_rate(stage).await;
            kill(stage).await
        }
        Scenario::Switchover => switchover(stage).await,
        Scenario::BlockedSwitchover => blocked_switchover(stage).await,
        Scenario::RollingUpdate => rolling_update(stage).await,
        Scenario::Freeze => freeze(stage).await,
        Scenario::Partition => partition(stage).await,
        Scenario::OperatorKilled => operator_killed(stage, round).await,
        Scenario::AllKilled => all_killed(stage).await,
        Scenario::Scale => scale(stage).await,
        Scenario::Delete => delete(stage).await,
    }
}

async fn quiet(stage: &mut Stage<'_>) -> Result<()> {
    stage.strikes();
    measure_rate(stage).await;
    Ok(())
}

/// How many writes are acknowledged in a second while nothing happens.
async fn measure_rate(stage: &mut Stage<'_>) {
    let since = stage.log.now();
    sleep(QUIET).await;
    let rate = stage.log.acknowledged_since(since).len() as f64 / QUIET.as_secs_f64();
    stage.notes.push(format!("{rate:.0} writes acknowledged in a second"));
}

async fn kill(stage: &mut Stage<'_>) -> Result<()> {
    stage.strikes();
    kill_primary(stage, 0).await?;
    stage.log.flows(10, TAKEOVER).await
}

/// Kills the primary, and notes what the others have when it is dead: its pod is gone before its process is.
async fn kill_primary(stage: &mut Stage<'_>, primary: u32) -> Result<()> {
    let since = stage.log.now();
    stage.namespace.kill(&pod(primary)).await?;
    stage.log.fails(since, TAKEOVER).await?;
    stage.replicated = stage.on_others_than(primary).await;
    Ok(())
}

/// Asks for another primary.
async fn ask_for(stage: &mut Stage<'_>, ordinal: u32) -> Result<()> {
    stage.strikes();
    stage.change(json!({"spec": {"replication": {"primary": {"podIndex": ordinal}}}})).await
}

async fn switchover(stage: &mut Stage<'_>) -> Result<()> {
    ask_for(stage, 1).await?;
    stage.leads(1, TAKEOVER).await
}

async fn blocked_switchover(stage: &mut Stage<'_>) -> Result<()> {
    cut(&Cut::Replication(stage.address(1).await?)).await?;
    // So that the standby lags by something.
    stage.log.flows(100, MINUTE).await?;
    let before = stage.namespace.events_of("DoltDB", DOLTDB).await?;
    ask_for(stage, 1).await?;
    let told = wait_for("an event says why the switchover waits", seconds(15), async || {
        let events = stage.namespace.events_of("DoltDB", DOLTDB).await?;
        let new: Vec<&Event> = events.iter().filter(|event| !before.contains(event)).collect();
        // By how much it lags is a figure, and that it does has some word.
        let lags =
            |message: &str| ["behind", "lag"].iter().any(|word| message.contains(word)) && message.contains(|c: char| c.is_ascii_digit());
        let tells = |event: &&&Event| event.message.contains(&pod(1)) && lags(&event.message.replace(&pod(0), "").replace(&pod(1), ""));
        let found = new.iter().find(tells).with_context(|| format!("the new events are {new:?}"))?;
        Ok(format!("{}: {}", found.reason, found.message))
    })
    .await;
    match told {
        Ok(told) => stage.notes.push(told),
        Err(error) => stage.wrong.push(format!("{error:#}")),
    }
    // Whether it was refused or waits: nobody else may be primary as long as the standby lacks something.
    let role = stage.server(1).role().await?;
    ensure!(role == "standby", "{} lacks data and is {role}", pod(1));
    heal().await?;
    stage.leads(1, TAKEOVER).await.context("after the standby could be reached again")
}

async fn rolling_update(stage: &mut Stage<'_>) -> Result<()> {
    stage.strikes();
    let before = stage.namespace.pods().await?;
    stage.change(json!({"spec": {"server": {"listener": {"maxConnections": 900}}}})).await?;
    wait_for("every pod was replaced", 3 * MINUTE, async || {
        let now = stage.namespace.pods().await?;
        let old: Vec<_> = before.iter().filter(|(name, pod)| now.get(*name).is_none_or(|now| now.uid == pod.uid)).collect();
        ensure!(old.is_empty(), "still there are {old:?}");
        Ok(())
    })
    .await
}

async fn freeze(stage: &mut Stage<'_>) -> Result<()> {
    stage.pin(0, Patience::LONG).await?;
    stage.strikes();
    stage.namespace.freeze(&pod(0)).await?;
    stage.replicated = stage.on_others_than(0).await;
    let taken_over = taken_over(stage, seconds(25)).await;
    let thawed = stage.log.now();
    if stage.namespace.thaw(&pod(0)).await.is_err() {
        stage.notes.push("the frozen server was ended before it could be thawed".to_owned());
    }
    taken_over?;
    // What waits in the thawed server's sockets is answered now, if ever.
    sleep(seconds(3)).await;
    let late = stage.late(thawed).len();
    stage.notes.push(format!("acknowledged by the thawed server: {late}"));
    ensure!(late == 0, "the thawed server acknowledged {late} writes");
    Ok(())
}

/// Waits until clients get answers of another server than the first one.
async fn taken_over(stage: &Stage<'_>, limit: Duration) -> Result<()> {
    let since = stage.fault.unwrap_or_default();
    wait_for("another server takes writes", limit, async || {
        let answered = stage.log.acknowledged_since(since);
        ensure!(answered.iter().any(|(_, server)| server.name != pod(0)), "{} answers of {}", answered.len(), pod(0));
        Ok(())
    })
    .await
}

async fn partition(stage: &mut Stage<'_>) -> Result<()> {
    stage.pin(0, Patience::SHORT).await?;
    let address = stage.address(0).await?;
    stage.strikes();
    cut(&Cut::Pod(address)).await?;
    let struck = stage.log.now();
    stage.replicated = stage.on_others_than(0).await;
    let taken_over = taken_over(stage, 2 * FENCED).await;
    sleep((struck + 2 * FENCED).saturating_sub(stage.log.now())).await;
    let last = stage.late(struck).into_iter().max().unwrap_or(struck);
    let fenced = stage.log.now().saturating_sub(last) > seconds(2);
    let lasted = last.saturating_sub(struck);
    stage.notes.push(if fenced { format!("fenced after {:.1} s", lasted.as_secs_f64()) } else { "not fenced".to_owned() });
    stage.notes.push(if taken_over.is_ok() { "another server took over".to_owned() } else { "nobody took over".to_owned() });
    heal().await?;
    ensure!(fenced && lasted <= FENCED, "the primary that was cut off acknowledged writes for {:.1} s", lasted.as_secs_f64());
    Ok(())
}

/// A switchover, a failover and a rolling update, one after the other; at some moment of each the operator is killed. Each run takes other moments.
async fn operator_killed(stage: &mut Stage<'_>, round: u32) -> Result<()> {
    let operator = Operator::of(&stage.namespace.cluster);
    stage.strikes();
    for protocol in 0..3 {
        // A pod that has crashed before would be kept waiting by the kubelet.
        operator.renew().await?;
        stage.log.flows(10, TAKEOVER).await?;
        let moment = Duration::from_millis(u64::from(round * 3 + protocol) * 400 % 1900);
        let crash = async {
            sleep(moment).await;
            operator.crash().await.map(drop)
        };
        let primary = stage.primary().await?;
        match protocol {
            0 => {
                let (asked, crashed) = tokio::join!(ask_for(stage, 1 - primary), crash);
                asked.and(crashed)?;
                stage.notes.push(format!("{} ms into a switchover", moment.as_millis()));
                stage.leads(1 - primary, 2 * TAKEOVER).await?;
            }
            1 => {
                let (killed, crashed) = tokio::join!(kill_primary(stage, primary), crash);
                killed.and(crashed)?;
                stage.notes.push(format!("{} ms into a failover", moment.as_millis()));
                stage.log.flows(10, 2 * TAKEOVER).await?;
                stage.in_order(2 * MINUTE).await.context("after the failover")?;
            }
            _ => {
                let (updated, crashed) = tokio::join!(rolling_update(stage), crash);
                stage.notes.push(format!("{} ms into a rolling update", moment.as_millis()));
                updated.and(crashed)?;
            }
        }
    }
    Ok(())
}

async fn all_killed(stage: &mut Stage<'_>) -> Result<()> {
    stage.strikes();
    let pods: Vec<_> = (0..stage.replicas().await?).map(pod).collect();
    try_join_all(pods.iter().map(|pod| stage.namespace.kill(pod))).await?;
    stage.log.flows(10, 2 * MINUTE).await
}

async fn scale(stage: &mut Stage<'_>) -> Result<()> {
    // It was made with this one as primary, and not with the first.
    stage.leads(2, TAKEOVER).await?;
    stage.strikes();
    let restarts = stage.starts().await?;
    stage.change(json!({"spec": {"replicas": 2, "replication": {"primary": {"podIndex": 0}}}})).await?;
    stage.in_order(2 * MINUTE).await.context("from three to two")?;
    stage.log.flows(20, MINUTE).await.context("with two")?;
    stage.change(json!({"spec": {"replicas": 1, "replication": {"enabled": false, "primary": null}}})).await?;
    stage.in_order(2 * MINUTE).await.context("from two to one")?;
    stage.log.flows(20, MINUTE).await.context("with one")?;
    stage.change(json!({"spec": {"replicas": 3, "replication": {"enabled": true}}})).await?;
    let alone = stage.starts().await?;
    stage.in_order(3 * MINUTE).await.context("from one to three")?;
    stage.log.flows(20, MINUTE).await.context("with three")?;
    let all = stage.starts().await?;
    stage.notes.push(format!("pods at first {restarts:?}, alone {alone:?}, at the end {all:?}"));
    Ok(())
}

async fn delete(stage: &mut Stage<'_>) -> Result<()> {
    stage.strikes();
    let before = stage.namespace.pods().await?;
    stage.namespace.delete("Pod", &pod(0)).await?;
    wait_for("the pod was replaced", 2 * MINUTE, async || {
        let now = stage.namespace.pods().await?;
        let Some(new) = now.get(&pod(0)) else { bail!("it is gone") };
        ensure!(new.ready && before.get(&pod(0)).is_none_or(|old| old.uid != new.uid), "it is {new:?}");
        Ok(())
    })
    .await
}
