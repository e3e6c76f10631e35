//! Which server has the data to become primary without the help of the one that was.
//!
//! A candidate must have been caught up when the primary was last asked, and must have its databases: a server without this proof is never
//! promoted, however healthy it looks. Of several the one whose data are ahead is taken.

use std::{collections::BTreeMap, time::Duration};

use dolt::Role;

use super::{
    Situation,
    content::{Content, Standing, contents, databases, standing},
    failover::heard_of,
};

/// The server that should become primary in the place of the lost one.
///
/// # Errors
/// Why there is none.
pub(super) fn elect(s: &Situation<'_>, lost: i32) -> Result<i32, String> {
    let mut proven = Vec::new();
    let mut reasons = Vec::new();
    for ordinal in s.ordinals().into_iter().filter(|ordinal| *ordinal != lost) {
        match proof(s, lost, ordinal) {
            Ok(()) => proven.push(ordinal),
            Err(why) => reasons.push(why),
        }
    }
    match proven.as_slice() {
        [] if reasons.is_empty() => Err("there is no other server".to_owned()),
        [] => Err(reasons.join("; ")),
        [only] => Ok(*only),
        _ => most_advanced(s, &proven),
    }
}

/// Whether a server is known to have the data.
fn proof(s: &Situation<'_>, lost: i32, ordinal: i32) -> Result<(), String> {
    let name = s.pod_name(ordinal);
    let server = match s.observed.servers.get(&ordinal) {
        Some(Ok(server)) => server,
        Some(Err(why)) => return Err(format!("{name} gives no answer: {why}")),
        None => return Err(format!("{name} does not run")),
    };
    if server.report.role == Role::Broken && server.report.epoch == 0 {
        return Err(format!("{name} has no cluster configuration"));
    }
    if s.observed.pods.get(&ordinal).is_some_and(|pod| pod.header.deleting) {
        return Err(format!("{name} is being deleted"));
    }
    if !s.target.status.caught_up_standbys.contains(&name) {
        return Err(format!("{name} had not all data when {} was last asked", s.pod_name(lost)));
    }
    let has = databases(s.world, s.target, &[ordinal])?.remove(&ordinal).unwrap_or_default();
    match s.target.status.databases.iter().find(|database| !has.contains(database)) {
        Some(missing) => Err(format!("{name} has no database {missing}")),
        None => Ok(()),
    }
}

/// The candidate whose data all others are behind or equal to.
fn most_advanced(s: &Situation<'_>, candidates: &[i32]) -> Result<i32, String> {
    let preferred = s.target.replication.pod_index;
    let mut candidates = candidates.to_vec();
    candidates.sort_by_key(|ordinal| (*ordinal != preferred, *ordinal));
    let contents = contents(s.world, s.target, &candidates)?;
    for candidate in &candidates {
        if covers_all(s, *candidate, &contents, false)? {
            return Ok(*candidate);
        }
    }
    // What is in no commit yet has no order. Of those that differ only in that, the one has most that heard from the primary last.
    let heard = heard_of(s, &candidates).into_iter().collect::<Result<Vec<_>, _>>()?;
    let heard: BTreeMap<i32, Duration> =
        candidates.iter().zip(heard).map(|(ordinal, ago)| (*ordinal, ago.unwrap_or(Duration::MAX))).collect();
    candidates.sort_by_key(|ordinal| heard.get(ordinal).copied());
    for candidate in &candidates {
        if covers_all(s, *candidate, &contents, true)? {
            return Ok(*candidate);
        }
    }
    let names: Vec<String> = candidates.iter().map(|ordinal| s.pod_name(*ordinal)).collect();
    Err(format!("each of {} has data that another lacks", names.join(", ")))
}

fn covers_all(s: &Situation<'_>, candidate: i32, contents: &BTreeMap<i32, Content>, tolerant: bool) -> Result<bool, String> {
    let Some(data) = contents.get(&candidate) else { return Ok(false) };
    for (other, theirs) in contents.iter().filter(|(other, _)| **other != candidate) {
        let covered = match standing(s.world, s.target, (candidate, data), (*other, theirs))? {
            Standing::Same | Standing::Ahead => true,
            Standing::Unclear => tolerant,
            Standing::Lacks => false,
        };
        if !covered {
            return Ok(false);
        }
    }
    Ok(true)
}
