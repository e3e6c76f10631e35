//! Packets that don't arrive. The rules stand in the cluster's own network, in which this program runs, in chains of their own.

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// Where packets between pods come through.
const FORWARD: &str = "FORWARD";
/// Where packets from pods to the node itself come through, the API server among its programs.
const INPUT: &str = "INPUT";
/// Where the API server listens.
const API_PORT: &str = "6443";
/// Where a Dolt server takes what its primary sends.
const REMOTES_PORT: &str = "50051";

/// Parts of the network that packets don't pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing is replicated to the pod with this address.
    Replication(String),
    /// The pod with this address on one side; the API server and all other pods on the other. Clients on the node still reach it.
    Pod(String),
}

impl Cut {
    fn rules(&self) -> Vec<(&'static str, Vec<&str>)> {
        match self {
            Self::Replication(to) => vec![(FORWARD, vec!["--destination", to, "--protocol", "tcp", "--dport", REMOTES_PORT])],
            Self::Pod(address) => vec![
                (FORWARD, vec!["--source", address]),
                (FORWARD, vec!["--destination", address]),
                (INPUT, vec!["--source", address, "--protocol", "tcp", "--dport", API_PORT]),
            ],
        }
    }
}

/// Makes a cut, beside those that there are.
///
/// # Errors
/// When iptables fails.
pub async fn cut(cut: &Cut) -> Result<()> {
    for (hook, rule) in cut.rules() {
        let chain = chain(hook);
        // Either may be there already. The jump has to be the first again: the proxy of the node puts rules in front that let packets pass.
        iptables(&["--new-chain", &chain]).await.ok();
        iptables(&["--delete", hook, "--jump", &chain]).await.ok();
        iptables(&["--insert", hook, "1", "--jump", &chain]).await?;
        iptables(&[&["--append", &chain], &rule[..], &["--jump", "DROP"]].concat()).await?;
    }
    Ok(())
}

/// Lets all packets pass again.
///
/// # Errors
/// When iptables fails.
pub async fn heal() -> Result<()> {
    for hook in [FORWARD, INPUT] {
        let chain = chain(hook);
        if iptables(&["--list-rules", &chain]).await.is_ok() {
            iptables(&["--flush", &chain]).await?;
        }
    }
    Ok(())
}

fn chain(hook: &str) -> String {
    format!("FAILOVER-{hook}")
}

async fn iptables(arguments: &[&str]) -> Result<()> {
    let output = Command::new("iptables").arg("--wait").args(arguments).output().await.context("cannot run iptables")?;
    ensure!(output.status.success(), "iptables {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_on_the_node_reach_a_pod_that_is_cut_off() {
        // Their packets come through neither of the two, but for the answers, which go to other ports.
        for (hook, rule) in Cut::Pod("10.88.0.7".to_owned()).rules() {
            assert!(hook == FORWARD || rule.contains(&API_PORT), "{hook} {rule:?}");
        }
    }
}
