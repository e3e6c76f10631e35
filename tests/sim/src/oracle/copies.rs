//! Backups and what makes them: a complete one has what was there when it began, no two are made at a time, none replaces what is another's, and
//! of those of a schedule there are as many as it says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::names;
use host::{
    cluster::Stored,
    contract::{Argument, Execution, Rows, SqlErrorKind, Value},
    gateway::ObjectKey,
    sql::ExecuteError,
};
use serde_json::Value as Json;

use super::label;
use crate::{api::Change, world::World};

/// For how long what one round has written may be unknown to another one, in milliseconds.
const MOMENT: u64 = 500;

/// What is remembered of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Copies {
    /// Backups as they were last seen.
    backups: BTreeMap<ObjectKey, Arc<Stored>>,
    /// When each Backup began by its status, and which databases there were; by uid.
    began: BTreeMap<String, (u64, BTreeSet<String>)>,
    /// How many copies to each destination failed.
    failed: BTreeMap<String, usize>,
}

/// The seconds of `@every 12s`.
pub(super) fn period(schedule: &Json) -> u64 {
    let text = schedule.as_str().unwrap_or_default();
    text.strip_prefix("@every ").and_then(|rest| rest.strip_suffix('s')).and_then(|rest| rest.parse().ok()).unwrap_or_default()
}

/// The seconds at the end of a name.
fn second(name: &str) -> Option<u64> {
    name.rsplit_once('-')?.1.parse().ok()
}

fn phase(object: &Stored) -> &str {
    object.body["status"]["phase"].as_str().unwrap_or_default()
}

fn has_ended(object: &Stored) -> bool {
    matches!(phase(object), "Completed" | "Failed")
}

fn schedule_of(object: &Stored) -> Option<&str> {
    label(object, names::LABEL_BACKUP_SCHEDULE)
}

fn databases(object: &Stored) -> impl Iterator<Item = (&Json, &str, &str)> {
    let all = object.body["status"]["databases"].as_array().into_iter().flatten();
    all.filter_map(|database| Some((database, database["name"].as_str()?, database["destination"].as_str()?)))
}

impl World {
    /// Copies have begun, perhaps. This is after each event.
    pub(crate) fn note_copies(&mut self) {
        for id in self.dolt.take_begun().into_iter().flatten() {
            let Some((_, copy)) = self.dolt.copies().find(|(other, _)| *other == id) else { continue };
            let (database, url) = (copy.database.clone(), copy.url.clone());
            // Two Backups of one moment do not see each other where one is heard of late.
            let is_seen = |since: u64| self.faults.watch_delay(self.now) == 0 || self.now - since > MOMENT;
            // What a host that stands still has begun nobody can end.
            let other =
                self.dolt.copies().find(|(other, copy)| *other != id && !copy.orphan && is_seen(copy.since) && !self.has_former_host());
            let told = other.map(|(_, other)| format!("{url} is copied to while {} is", other.url));
            self.say(|| format!("{database} is copied to {url}"));
            if let Some(told) = told {
                return self.violated("one-copy-at-a-time", told);
            }
            let before = self.dolt.at(None, &url).map(|at| at.database.clone());
            if let Some(before) = before.filter(|before| *before != database) {
                return self.violated("no-copy-replaced", format!("{database} is copied to {url}, where {before} is"));
            }
        }
    }

    /// A task has ended by itself.
    pub(crate) fn on_task_ended(&mut self, execution: &Execution, done: &Result<Vec<Rows>, ExecuteError>) {
        self.say(|| format!("a task on {} has ended: {:?}", execution.endpoint.host, done.as_ref().err()));
        let counts = matches!(done, Err(ExecuteError::Sql(error)) if error.kind != SqlErrorKind::Unreachable);
        let urls = execution.statements.iter().filter(|statement| statement.text.contains("dolt_backup"));
        for argument in urls.filter_map(|statement| statement.arguments.last()).filter(|_| counts) {
            if let Argument::Value(Value::Text(url)) = argument {
                *self.oracle.copies.failed.entry(url.clone()).or_default() += 1;
            }
        }
    }

    /// A server was promoted: what it has not is not there any more for Backups that have begun, even if one that has it leads again later.
    pub(super) fn on_other_primary(&mut self, pod: &str) {
        let there = self.databases_of_users(pod);
        self.oracle.copies.began.values_mut().for_each(|(_, had)| had.retain(|database| there.contains(database)));
    }

    /// A Backup was made, has changed, or is gone.
    pub(super) fn on_backup(&mut self, change: &Change) {
        let Some(object) = &change.object else {
            if let Some(gone) = self.oracle.copies.backups.remove(&change.key) {
                self.on_backup_gone(&gone);
            }
            return;
        };
        let before = self.oracle.copies.backups.insert(change.key.clone(), object.clone());
        if change.is_new {
            self.on_backup_made(object);
        }
        let uid = &object.header.uid;
        if object.body["status"]["startedAt"].is_string() && !self.oracle.copies.began.contains_key(uid) {
            let there = self.on_primary();
            self.oracle.copies.began.insert(uid.clone(), (self.now, there));
        }
        if phase(object) == "Completed" && before.is_none_or(|before| phase(&before) != "Completed") {
            self.on_backup_completed(object);
        }
    }

    /// Databases with data of the user's on the primary.
    fn on_primary(&self) -> BTreeSet<String> {
        self.leader().map(|leader| self.databases_of_users(&leader)).unwrap_or_default()
    }

    fn databases_of_users(&self, pod: &str) -> BTreeSet<String> {
        let volume = self.dolt.volume(&super::volume_of(pod));
        let names = volume.into_iter().flat_map(|volume| volume.databases.keys());
        names.filter(|name| *name != "mysql" && *name != "dolt_branch_control").cloned().collect()
    }

    fn on_backup_made(&mut self, object: &Arc<Stored>) {
        let Some(schedule) = schedule_of(object).map(ToOwned::to_owned) else { return };
        let name = object.header.name.clone();
        let others = self.oracle.copies.backups.values();
        let others: Vec<_> = others.filter(|other| other.header.name != name && schedule_of(other) == Some(&schedule)).cloned().collect();
        if let Some(other) = others.iter().find(|other| !has_ended(other)) {
            return self.violated("one-backup-at-a-time", format!("{name} is made while {} has not ended", other.header.name));
        }
        let every = self.api.all("BackupSchedule").find(|(key, _)| key.name == schedule).map(|(_, s)| period(&s.body["spec"]["schedule"]));
        let apart = |other: &Arc<Stored>| Some(second(&name)?.abs_diff(second(&other.header.name)?));
        let close = others.iter().find(|other| apart(other).zip(every).is_some_and(|(apart, every)| apart < every));
        if let Some(other) = close {
            self.violated("one-backup-a-time", format!("{name} is made, and {} was for the same time", other.header.name));
        }
    }

    /// A Backup of a schedule that is there was deleted: there are enough newer ones.
    fn on_backup_gone(&mut self, gone: &Arc<Stored>) {
        let Some(schedule) = schedule_of(gone) else { return };
        let Some((_, owner)) = self.api.all("BackupSchedule").find(|(key, _)| key.name == schedule) else { return };
        let spec = &owner.body["spec"];
        let keep = match phase(gone) {
            "Completed" => spec["successfulHistory"].as_u64().unwrap_or(30).max(1),
            "Failed" => spec["failedHistory"].as_u64().unwrap_or(10),
            _ => u64::MAX,
        };
        let newer = self.oracle.copies.backups.values().filter(|other| {
            schedule_of(other) == Some(schedule) && phase(other) == phase(gone) && second(&other.header.name) > second(&gone.header.name)
        });
        let newer = newer.count() as u64;
        if newer < keep {
            let message = format!("{} ({}) is deleted, with {newer} newer ones", gone.header.name, phase(gone));
            self.violated("keeps-history", message);
        }
    }

    /// Whoever says that a Backup is complete has copied all that there was when it began.
    fn on_backup_completed(&mut self, object: &Arc<Stored>) {
        let name = object.header.name.clone();
        let Some((began, there)) = self.oracle.copies.began.get(&object.header.uid).cloned() else {
            return self.violated("backup-has-all", format!("Backup {name} is complete, and has never begun"));
        };
        let still = self.on_primary();
        let named = object.body["spec"]["databases"].as_array().is_some_and(|named| !named.is_empty());
        let copied: BTreeSet<&str> =
            databases(object).filter(|(database, ..)| database["phase"] == "Completed").map(|(_, name, _)| name).collect();
        let left_out = there.intersection(&still).find(|database| !named && !copied.contains(database.as_str()));
        if let Some(database) = left_out {
            return self.violated("backup-has-all", format!("Backup {name} is complete without {database}"));
        }
        let mut missing = None;
        for (_, database, url) in databases(object).filter(|(_, database, url)| copied.contains(database) && !url.starts_with("file://")) {
            let at = self.dolt.at(None, url);
            if at.is_none_or(|at| at.database != database) {
                missing = Some(format!("Backup {name} is complete, but {database} is not at {url}"));
                break;
            }
            if let Some(at) = at.filter(|at| database == crate::client::DATABASE && !at.by_orphan) {
                let has: BTreeSet<u64> = at.content.writes.iter().collect();
                let lost = self.lost_in(&has, began);
                if let Some((write, _)) = lost {
                    missing = Some(format!("Backup {name} is complete, but {url} lacks write {write}, acknowledged before it began"));
                    break;
                }
            }
        }
        if let Some(missing) = missing {
            self.violated("backup-has-all", missing);
        }
    }

    /// How many Backups have not come to their end, or have failed there.
    pub(super) fn backups_in_vain(&self) -> u64 {
        self.api.all("Backup").filter(|(_, backup)| phase(backup) != "Completed").count() as u64
    }

    /// What is not as it should be with Backups and their schedules.
    pub(super) fn unsettled_copies(&self) -> Option<String> {
        for (key, backup) in self.api.all("Backup") {
            if !has_ended(backup) {
                return Some(format!("Backup {} is {}", key.name, backup.body["status"]));
            }
            if phase(backup) == "Failed"
                && let Some(why) = self.fails_in_vain(backup)
            {
                return Some(why);
            }
        }
        if let Some((_, copy)) = self.dolt.copies().find(|(_, copy)| !copy.orphan) {
            return Some(format!("{} is still being copied to", copy.url));
        }
        for (key, schedule) in self.api.all("BackupSchedule") {
            let of = |what: &str| {
                let all = self.api.all("Backup").filter(|(_, backup)| schedule_of(backup) == Some(&key.name) && phase(backup) == what);
                all.count() as u64
            };
            let spec = &schedule.body["spec"];
            if of("Completed") > spec["successfulHistory"].as_u64().unwrap_or(30).max(1)
                || of("Failed") > spec["failedHistory"].as_u64().unwrap_or(10)
            {
                return Some(format!("{} complete and {} failed Backups are kept", of("Completed"), of("Failed")));
            }
            if let Some(why) = self.not_ready(schedule) {
                return Some(why);
            }
        }
        self.unsettled_snapshots()
    }

    /// Why a Backup had no reason to fail.
    fn fails_in_vain(&self, backup: &Stored) -> Option<String> {
        let limit = backup.body["spec"]["backoffLimit"].as_u64().unwrap_or(2);
        let failed: usize = databases(backup).filter_map(|(_, _, url)| self.oracle.copies.failed.get(url)).sum();
        let conditions = backup.body["status"]["conditions"].as_array();
        let reason = conditions.into_iter().flatten().find(|condition| condition["type"] == "Ready").map(|ready| &ready["reason"]);
        let taken = databases(backup).any(|(_, name, url)| self.dolt.at(None, url).is_some_and(|at| at.database != name));
        let is_real = reason.is_some_and(|reason| reason == "DestinationTaken") && taken;
        let named = backup.body["spec"]["databases"].as_array().into_iter().flatten().filter_map(Json::as_str);
        let there = self.on_primary();
        let is_real = is_real || named.into_iter().any(|name| !there.contains(name));
        (!is_real && (failed as u64) < limit)
            .then(|| format!("Backup {} has failed, with {failed} failed copies: {}", backup.header.name, backup.body["status"]["error"]))
    }
}
