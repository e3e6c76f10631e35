//! What the cluster looks like where a test has failed.

use std::fmt::Write;

use anyhow::Result;

use crate::{Namespace, Operator, condition, text};

/// Objects of ours, pods, events, and the operator's last words. What can't be had is said.
pub(crate) async fn of(namespace: &Namespace) -> String {
    let mut report = format!("---- namespace {} ----\n", namespace.name);
    let parts = [
        ("objects", objects(namespace).await),
        ("pods", pods(namespace).await),
        ("events", events(namespace).await),
        ("operator", Operator::of(&namespace.cluster).last_words(60).await),
    ];
    for (name, part) in parts {
        let part = part.unwrap_or_else(|error| format!("cannot be shown: {error:#}\n"));
        let _ = writeln!(report, "-- {name}\n{part}");
    }
    report
}

async fn objects(namespace: &Namespace) -> Result<String> {
    let mut shown = String::new();
    for kind in ["DoltDB", "Database"] {
        for object in namespace.list(kind).await? {
            let metadata = &object["metadata"];
            let (generation, ending) = (&metadata["generation"], &metadata["deletionTimestamp"]);
            writeln!(shown, "{kind} {} generation {generation} deleted {ending} status {:#}", text(metadata, "/name"), object["status"])?;
        }
    }
    for set in namespace.list("StatefulSet").await? {
        writeln!(shown, "StatefulSet {} status {}", text(&set, "/metadata/name"), set["status"])?;
    }
    Ok(shown)
}

async fn pods(namespace: &Namespace) -> Result<String> {
    let mut shown = String::new();
    for (name, pod) in namespace.pods().await? {
        writeln!(shown, "{name} {pod:?}")?;
    }
    for pod in namespace.list("Pod").await? {
        for list in ["initContainerStatuses", "containerStatuses"] {
            for container in pod["status"][list].as_array().into_iter().flatten().filter(|container| container["ready"] != true) {
                writeln!(shown, "{} {} {}", text(&pod, "/metadata/name"), text(container, "/name"), container["state"])?;
            }
        }
        if let Some(scheduled) = condition(&pod, "PodScheduled").filter(|scheduled| scheduled.status != "True") {
            writeln!(shown, "{} {}", text(&pod, "/metadata/name"), scheduled.message)?;
        }
    }
    Ok(shown)
}

async fn events(namespace: &Namespace) -> Result<String> {
    let mut shown = String::new();
    for event in namespace.events().await? {
        writeln!(shown, "{} {} {} {}: {}", event.at, event.severity, event.about, event.reason, event.message)?;
    }
    Ok(shown)
}
