//! Which server has the data to become primary without the help of the one that was.
//!
//! A candidate must have been caught up when the primary was last asked, and must have its databases: without such a server nobody is promoted,
//! however healthy another looks. Of several the one whose data are ahead is taken. What a primary sent last may have reached one that came back
//! only just now, or one that is about to go: where such a server has all that the candidates have, and more, it is that one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dolt::Role;
use sdk::Timestamp;

use super::{
    Situation,
    content::{Content, Standing, contents, databases_of, standing, unclear},
    heard::{heard_in, heard_of},
};

/// How long to wait for the return of a primary that may be the only one to have the latest data: its standbys were restarted with it, or nothing says
/// which of them has most.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait for a standby that had all data and is being restarted, as long as nothing is seen of its new start: it may have got the last
/// write alone.
const RESTART: Duration = Duration::from_secs(10);

/// The server that should become primary.
pub(super) struct Elected {
    pub(super) ordinal: i32,
    /// All whose data it has been compared with, itself included.
    pub(super) among: Vec<i32>,
    /// Those of them that have not the same.
    pub(super) behind: Vec<i32>,
    /// For how long the lost primary or another standby should be waited for first, as nothing says that this one has as much as they have.
    patience: Option<Duration>,
    /// How long ago, by its own clock, one that may have more heard from the primary.
    heard: Option<Duration>,
}

impl Elected {
    /// How much longer the lost primary or another standby should be waited for, if at all. A clock of the operator that was set forward does not
    /// end it where another clock tells the time, too.
    pub(super) fn wait(&self, s: &Situation<'_>, lost_since: impl FnOnce() -> Timestamp) -> Option<Duration> {
        let patience = self.patience?;
        let by_others = self.heard.and_then(|ago| patience.checked_sub(ago)).filter(|left| !left.is_zero());
        s.left(patience, lost_since()).max(by_others)
    }
}

/// The server that should become primary in the place of the lost one.
///
/// # Errors
/// Why there is none.
pub(super) fn elect(s: &Situation<'_>, lost: i32) -> Result<Elected, String> {
    let mut proven = Vec::new();
    let mut reasons = Vec::new();
    for ordinal in s.ordinals().into_iter().filter(|ordinal| *ordinal != lost) {
        match proof(s, lost, ordinal) {
            Ok(()) => proven.push(ordinal),
            Err(why) => reasons.push(why),
        }
    }
    if proven.is_empty() {
        return Err(if reasons.is_empty() { "there is no other server".to_owned() } else { reasons.join("; ") });
    }
    let followers = followers(s, lost, &proven);
    let elected = most_advanced(s, lost, &proven, &followers);
    // One that cannot be compared holds nobody up, unless it had all data, too.
    match followers.iter().any(|ordinal| s.had_all_data(*ordinal)) {
        false if !followers.is_empty() => elected.or_else(|_| {
            let elected = most_advanced(s, lost, &proven, &[])?;
            // What has heard nothing since its own start has nothing new.
            let heard = heard_of(s, &followers).into_iter().filter_map(|heard| heard.ok().flatten()).min();
            Ok(Elected { patience: heard.map(|_| PATIENCE).or(elected.patience), heard, ..elected })
        }),
        _ => elected,
    }
}

/// For how long to wait for a standby that had all data, is there no more, and not yet again, if there is one: longer where it is on its way.
fn restart(s: &Situation<'_>, lost: i32) -> Option<Duration> {
    let is_on_its_way = |ordinal: i32| {
        s.observed.pods.get(&ordinal).is_some_and(|pod| !pod.header.deleting && !pod.body.is_at_its_end() && pod.body.trouble().is_none())
    };
    let restarted = s.ordinals().into_iter().filter(|ordinal| *ordinal != lost && s.had_all_data(*ordinal));
    let away = restarted.filter(|ordinal| !s.observed.servers.contains_key(ordinal));
    away.map(|ordinal| if is_on_its_way(ordinal) { PATIENCE } else { RESTART }).max()
}

/// The standbys of the lost primary that are not among the candidates. What they have is worth something only in comparison with a candidate.
fn followers(s: &Situation<'_>, lost: i32, proven: &[i32]) -> Vec<i32> {
    let epoch = proven.iter().filter_map(|ordinal| s.server(*ordinal)).map(|server| server.report.epoch).max();
    let others = s.ordinals().into_iter().filter(|ordinal| *ordinal != lost && !proven.contains(ordinal));
    others
        .filter(|ordinal| {
            s.server(*ordinal).is_some_and(|server| server.report.role == Role::Standby && Some(server.report.epoch) >= epoch)
        })
        .collect()
}

/// Whether a server is known to have the data.
fn proof(s: &Situation<'_>, lost: i32, ordinal: i32) -> Result<(), String> {
    let name = s.pod_name(ordinal);
    let server = match s.observed.servers.get(&ordinal) {
        Some(Ok(server)) => server,
        Some(Err(why)) => return Err(format!("{name} gives no answer: {why}")),
        None => return Err(format!("{name} does not run")),
    };
    if server.report.has_no_cluster() {
        return Err(format!("{name} has no cluster configuration"));
    }
    if server.report.role == Role::Primary {
        return Err(format!("{name} is primary of epoch {}, which is over", server.report.epoch));
    }
    if s.observed.pods.get(&ordinal).is_some_and(|pod| pod.header.deleting) {
        return Err(format!("{name} is being deleted"));
    }
    if s.has_lost_its_volume(ordinal) {
        return Err(format!("{name} has lost its volume, and was not seen to have got back what {} had", s.pod_name(lost)));
    }
    if !s.had_all_data(ordinal) {
        return Err(format!("{name} had not all data when {} was last asked", s.pod_name(lost)));
    }
    let has = databases_of(s.world, s.target, ordinal)?;
    match s.target.status.databases.iter().find(|database| !has.contains(database)) {
        Some(missing) => Err(format!("{name} has no database {missing}")),
        None => Ok(()),
    }
}

/// The candidate whose data all others are behind or equal to; a follower only where it is ahead.
fn most_advanced(s: &Situation<'_>, lost: i32, proven: &[i32], followers: &[i32]) -> Result<Elected, String> {
    let preferred = s.target.replication.pod_index;
    let mut candidates = [proven, followers].concat();
    candidates.sort_by_key(|ordinal| (followers.contains(ordinal), *ordinal != preferred, *ordinal));
    let (ordinal, behind) = match candidates.as_slice() {
        [only] => (*only, Vec::new()),
        _ => {
            let contents = contents(s.world, s.target, &candidates)?;
            let ordinal = ahead_of_all(s, &candidates, &contents)?;
            (ordinal, candidates.iter().copied().filter(|other| contents.get(other) != contents.get(&ordinal)).collect())
        }
    };
    Ok(Elected { ordinal, among: candidates, behind, patience: restart(s, lost), heard: None })
}

/// The first candidate that nobody is ahead of.
fn ahead_of_all(s: &Situation<'_>, candidates: &[i32], contents: &BTreeMap<i32, Content>) -> Result<i32, String> {
    let mut claims = Vec::new();
    for candidate in candidates {
        if let Some(rivals) = rivals(s, *candidate, contents)? {
            claims.push(Claim { candidate: *candidate, rivals });
        }
    }
    match claims.iter().find(|claim| claim.rivals.is_empty()) {
        Some(claim) => Ok(claim.candidate),
        None if claims.is_empty() => Err(format!("each of {} has data that another lacks", names(s, candidates))),
        None => last_to_hear(s, candidates, &claims),
    }
}

/// A candidate that has all commits of all others.
struct Claim {
    candidate: i32,
    /// Those with the same commits and other changes that are in no commit yet, each with the databases of which that is so.
    rivals: Vec<Rival>,
}

/// A server, and the databases of which it is not known who has more.
type Rival = (i32, Vec<String>);

/// The rivals of a candidate; none where another has commits that it lacks.
fn rivals(s: &Situation<'_>, candidate: i32, contents: &BTreeMap<i32, Content>) -> Result<Option<Vec<Rival>>, String> {
    let Some(data) = contents.get(&candidate) else { return Ok(None) };
    let mut rivals = Vec::new();
    for (other, theirs) in contents.iter().filter(|(other, _)| **other != candidate) {
        match standing(s.world, s.target, (candidate, data), (*other, theirs))? {
            Standing::Same | Standing::Ahead => {}
            Standing::Unclear => rivals.push((*other, unclear(data, theirs))),
            Standing::Lacks => return Ok(None),
        }
    }
    Ok(Some(rivals))
}

/// By database and server.
type Heard<'a> = BTreeMap<(&'a str, i32), Option<Duration>>;

/// Changes that are in no commit yet have no order, but a primary sends all that it has, and tells a standby that it is there only as long as that
/// one has it: whoever heard from it last has most.
///
/// Each server says how long ago that was, but it is not known when exactly it says so. So one counts as the last for certain when it is asked after
/// its rivals, and has heard from the primary for a shorter time all the same.
fn last_to_hear(s: &Situation<'_>, candidates: &[i32], claims: &[Claim]) -> Result<i32, String> {
    const TRIES: usize = 5;
    let databases: BTreeSet<&str> =
        claims.iter().flat_map(|claim| &claim.rivals).flat_map(|(_, unclear)| unclear).map(String::as_str).collect();
    let databases: Vec<&str> = databases.into_iter().collect();
    let ask = || -> Result<Heard<'_>, String> {
        let heard = heard_in(s, candidates, &databases)?;
        let of = |(ordinal, times): (&i32, Vec<Option<Duration>>)| -> Vec<_> {
            databases.iter().zip(times).map(|(database, ago)| ((*database, *ordinal), ago)).collect()
        };
        Ok(candidates.iter().zip(heard).flat_map(of).collect())
    };
    // Whether a candidate heard later than all its rivals, or one of the two has heard nothing since its own start.
    let compare = |claim: &Claim, now: &Heard<'_>, before: &Heard<'_>| -> Option<bool> {
        let mut last = true;
        for (rival, unclear) in &claim.rivals {
            for database in unclear.iter().map(String::as_str) {
                let (ours, theirs) = (now.get(&(database, claim.candidate))?, before.get(&(database, *rival))?);
                last &= (*ours)? < (*theirs)?;
            }
        }
        Some(last)
    };
    let mut before = ask()?;
    for _ in 0..TRIES {
        let now = ask()?;
        let last: Vec<Option<bool>> = claims.iter().map(|claim| compare(claim, &now, &before)).collect();
        if let Some(claim) = last.iter().position(|last| *last == Some(true)).and_then(|at| claims.get(at)) {
            return Ok(claim.candidate);
        }
        before = now;
        // Asking again does not tell more.
        if last.iter().all(Option::is_none) {
            break;
        }
    }
    // They heard within the time that a question takes, or one of one database and another of another: the least is lost by who is closest.
    let missed = |claim: &Claim| -> Option<(Duration, i32)> {
        compare(claim, &before, &before)?;
        let times: Option<Vec<Duration>> =
            databases.iter().map(|database| before.get(&(*database, claim.candidate)).copied().flatten()).collect();
        Some((times?.into_iter().sum(), claim.candidate))
    };
    match claims.iter().filter_map(missed).min() {
        Some((_, candidate)) => Ok(candidate),
        None => Err(format!("{} have different changes that are in no commit, and nothing says who has more", names(s, candidates))),
    }
}

fn names(s: &Situation<'_>, ordinals: &[i32]) -> String {
    let names: Vec<String> = ordinals.iter().map(|ordinal| s.pod_name(*ordinal)).collect();
    names.join(", ")
}
