//! The operator's admin server, as a person reaches it: through `kubectl port-forward`.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

use crate::Operator;

/// For starting to forward, and for an answer.
const DEADLINE: Duration = Duration::from_secs(20);

impl Operator {
    /// What the leader's admin server answers to a path.
    ///
    /// # Errors
    /// When it can't be reached or answers anything but 200.
    pub async fn ask(&self, path: &str) -> Result<String> {
        self.admin().await?.ask(path).await
    }

    /// A way to the leader's admin server, for as long as the leader lives.
    ///
    /// # Errors
    /// When there is none.
    pub async fn admin(&self) -> Result<Admin> {
        let pod = self.leader().await?;
        let port = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.ports.as_ref()?.first()).map(|port| port.container_port);
        let port = port.context("the operator's pod declares no port")?;
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let (forwarding, port) =
            timeout(DEADLINE, forward(&namespace, &name, port)).await.with_context(|| format!("{name} is not reached"))??;
        Ok(Admin { port, _forwarding: forwarding })
    }
}

/// A way to an operator's admin server.
pub struct Admin {
    port: u16,
    _forwarding: Child,
}

impl Admin {
    /// What it answers to a path.
    ///
    /// # Errors
    /// When it can't be reached or answers anything but 200.
    pub async fn ask(&self, path: &str) -> Result<String> {
        let answer = timeout(DEADLINE, get(self.port, path)).await;
        answer.with_context(|| format!("{path} was not answered in {} s", DEADLINE.as_secs()))?
    }

    /// What `/modules` says of a slot.
    ///
    /// # Errors
    /// When it can't be reached, or has no such slot.
    pub async fn slot(&self, name: &str) -> Result<Value> {
        let report: Value = serde_json::from_str(&self.ask("/modules").await?)?;
        let slot = report.as_array().into_iter().flatten().find(|slot| slot["slot"] == name);
        slot.cloned().with_context(|| format!("/modules has no slot {name}"))
    }

    /// The metrics of things that went wrong in a slot, as they are.
    ///
    /// # Errors
    /// When it can't be reached.
    pub async fn faults(&self, slot: &str) -> Result<Vec<String>> {
        let metrics = self.ask("/metrics").await?;
        let of_slot = format!("reconciler=\"{slot}\"");
        let wrong = |line: &&str| {
            line.contains(&of_slot) && (line.contains("result=\"failed\"") || line.contains("_traps_total{"))
                || line.contains("module_swaps_total") && line.contains("rolled_back")
        };
        Ok(metrics.lines().filter(wrong).map(str::to_owned).collect())
    }
}

/// Forwards a free local port for as long as the child lives.
async fn forward(namespace: &str, pod: &str, port: i32) -> Result<(Child, u16)> {
    let mut command = Command::new("kubectl");
    command.args(["port-forward", "--namespace", namespace, &format!("pod/{pod}"), &format!(":{port}")]);
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().context("cannot run kubectl")?;
    let output = child.stdout.take().context("kubectl has an output")?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        // Forwarding from 127.0.0.1:40931 -> 8080
        let local = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next()?.parse().ok());
        if let Some(local) = local {
            // Further lines are of no interest, but their pipe has to stay open.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok((child, local));
        }
    }
    anyhow::bail!("kubectl port-forward has ended")
}

async fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    // What is forwarded is closed a second after its end, so the end has to be told by the length.
    while !is_whole(&answer) && stream.read_buf(&mut answer).await? > 0 {}
    let answer = String::from_utf8(answer).context("the answer is no text")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.contains(" 200 "), "{path}: {status}: {body}");
    Ok(body.to_owned())
}

/// Whether an answer has as many bytes as its head says.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    length.is_some_and(|length| answer.len() >= head.len() + 4 + length)
}
