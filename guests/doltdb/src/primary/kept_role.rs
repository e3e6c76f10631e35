//! Whether a new primary has kept its role: a Dolt server whose volume is full takes on any role in memory, says that all is well, and has forgotten
//! it when it ends, which it does at its first write. So nobody is led to a primary before its volume says the same as the server.
//!
//! It knows nothing of what fills a volume.

use std::{collections::BTreeMap, time::Duration};

use dolt::{READ_DEADLINE, Report, Role};
use sdk::{Query, RowsExt, SqlErrorKind, Verdict, World, sql, value};

use super::{Situation, Step, Transition, recovery::recovery, switchover::promote};
use crate::{
    observe::Observed,
    roles::{Leadership, leadership},
    target::Target,
};

/// Where a server of a pod keeps its role and epoch.
const FILE: &str = "/db/.dolt/config_global.json";
const ROLE: &str = "sqlserver.cluster.dolt_cluster_role";
const EPOCH: &str = "sqlserver.cluster.dolt_cluster_role_epoch";
/// Between two attempts to have it kept: each takes an epoch.
const RETRY: Duration = Duration::from_secs(5);

/// The primary that has not kept its role, if it is one that nobody has been led to yet. One that gives no answer any more leads nobody.
pub(crate) fn forgetful(world: &dyn World, target: &Target, observed: &mut Observed, led: &mut Leadership) -> Option<i32> {
    let Leadership::One(leader) = *led else { return None };
    if !observed.is_as_specified(target) {
        return None;
    }
    let report = observed.server(leader)?.report;
    let label = observed.pods.get(&leader)?.header.label(crds::names::LABEL_CLUSTER_ROLE);
    let is_new = label != Some(crds::names::ROLE_PRIMARY) || Transition::of(target).is_some_and(|transition| transition.to == leader);
    if !is_new || report.role != Role::Primary {
        return None;
    }
    match is_kept(world, target, leader, report) {
        Ok(is_kept) => (!is_kept).then_some(leader),
        Err(why) => {
            observed.servers.insert(leader, Err(why));
            *led = leadership(target, observed);
            None
        }
    }
}

/// What is not known counts as kept.
///
/// # Errors
/// Why the server gives no answer.
fn is_kept(world: &dyn World, target: &Target, ordinal: i32, report: Report) -> Result<bool, String> {
    let statements = vec![sql!("SELECT LOAD_FILE(?)", value(FILE))];
    let query = Query { endpoint: target.servers.pod(ordinal), database: None, statements, deadline: READ_DEADLINE, max_rows: 1 };
    match world.query(&[query]).pop() {
        Some(Ok(results)) => match results.first().map(|rows| rows.cell(0, 0)) {
            Some(Ok(Some(cell))) => Ok(cell.text().map_or(true, |text| says(text, report))),
            _ => Ok(true),
        },
        Some(Err(error)) if matches!(error.kind, SqlErrorKind::Unreachable | SqlErrorKind::Timeout | SqlErrorKind::Lost) => {
            Err(error.message)
        }
        _ => Ok(true),
    }
}

/// Whether a file says that a server is primary of this epoch. One without content was written where there was no room for it.
fn says(file: &str, report: Report) -> bool {
    let Ok(file) = serde_json::from_str::<BTreeMap<String, serde_json::Value>>(file) else { return false };
    match (file.get(ROLE).and_then(|role| role.as_str()), file.get(EPOCH).and_then(|epoch| epoch.as_str()?.parse::<u64>().ok())) {
        (Some(role), Some(epoch)) => role == "primary" && epoch == report.epoch,
        _ => true,
    }
}

/// It is told once more, as primary of another epoch, until its volume has it.
pub(super) fn insist(s: &Situation<'_>, leader: i32) -> Step {
    let name = s.pod_name(leader);
    let message =
        format!("the volume of {name} does not have that it is to be, as when there is no room on it: no client is led to {name} yet");
    let told = Transition::of(s.target).filter(|transition| transition.to == leader);
    let step = match told {
        Some(told) if told.failures > 0 && s.elapsed(told.since) < RETRY => {
            let left = RETRY.saturating_sub(s.elapsed(told.since));
            Step { transition: Some(told), look_again: Some(left), ..Step::default() }
        }
        told => {
            let told = told.unwrap_or_else(|| recovery(s, leader, leader));
            promote(s, Transition { epoch: s.next_epoch(), since: s.world.now(), failures: told.failures + 1, fencing: None, ..told })
        }
    };
    Step { leaderless: Some(message.clone()), verdict: Some((Verdict::no("PrimaryNotKept", message), true)), ..step }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::the_same(
        r#"{"sqlserver.cluster.dolt_cluster_role":"primary","sqlserver.cluster.dolt_cluster_role_epoch":"7","user.name":"x"}"#,
        true
    )]
    #[case::another_epoch(r#"{"sqlserver.cluster.dolt_cluster_role":"primary","sqlserver.cluster.dolt_cluster_role_epoch":"6"}"#, false)]
    #[case::another_role(r#"{"sqlserver.cluster.dolt_cluster_role":"standby","sqlserver.cluster.dolt_cluster_role_epoch":"7"}"#, false)]
    #[case::empty("", false)]
    #[case::cut_off(r#"{"sqlserver.cluster.dolt_cluster_role":"primary","#, false)]
    #[case::kept_elsewhere(r#"{"user.name":"x"}"#, true)]
    fn a_file_says_whether_the_role_is_kept(#[case] file: &str, #[case] kept: bool) {
        assert_eq!(says(file, Report { role: Role::Primary, epoch: 7 }), kept);
    }
}
