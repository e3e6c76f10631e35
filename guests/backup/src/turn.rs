//! Other Backups: whose turn it is on a DoltDB, and whether somebody else's data is at a destination.
//!
//! Two copies at once would share the primary's disk and network for nothing, and the second of two copies to one destination replaces the first.

use crds::{Backup, BackupPhase, BackupSpec, DoltDB};
use dolt::{claims, destination, is_about, name_for};
use sdk::{Failure, Header, Typed, World};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    metadata: Metadata,
    spec: BackupSpec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    creation_timestamp: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: Option<BackupPhase>,
    databases: Vec<Copied>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Copied {
    name: String,
    destination: String,
    started_at: Option<String>,
}

impl Body {
    fn running(&self) -> bool {
        self.status.phase == Some(BackupPhase::Running)
    }

    fn ended(&self) -> bool {
        matches!(self.status.phase, Some(BackupPhase::Completed | BackupPhase::Failed))
    }

    /// The databases that are or may be at this destination, where one of this name would be. One that failed has what it began to copy.
    fn at(&self, destination: &str, name: &str) -> Vec<String> {
        if self.status.phase == Some(BackupPhase::Failed) {
            let begun = self.status.databases.iter().filter(|copied| copied.started_at.is_some() && copied.destination == destination);
            return begun.map(|copied| copied.name.clone()).collect();
        }
        let Self { spec, .. } = self;
        let databases = if spec.databases.is_empty() { vec![name.to_owned()] } else { spec.databases.clone() };
        databases.into_iter().filter(|theirs| dolt::destination(&spec.storage, &spec.databases, theirs) == destination).collect()
    }
}

/// The other Backups in the namespace of the DoltDB, and in all others where it allows some.
pub(crate) struct Others<'a> {
    target: &'a Typed<DoltDB>,
    header: &'a Header,
    backup: &'a Backup,
    others: Vec<Typed<Body>>,
}

impl<'a> Others<'a> {
    pub(crate) fn of(world: &dyn World, target: &'a Typed<DoltDB>, header: &'a Header, backup: &'a Backup) -> Result<Self, Failure> {
        let fields = [
            "/metadata/creationTimestamp",
            "/spec/doltDBRef",
            "/spec/storage",
            "/spec/databases",
            "/status/phase",
            "/status/databases/name",
            "/status/databases/destination",
            "/status/databases/startedAt",
        ];
        let mut others = claims::<Body>(world, target, Backup::KIND, |backups| backups.fields(&fields))?;
        others.retain(|other| other.header.uid != header.uid && !other.header.deleting);
        Ok(Self { target, header, backup, others })
    }

    /// Whether another one is about the same DoltDB.
    fn is_about_it(&self, other: &Typed<Body>) -> bool {
        is_about(self.target, &other.header.namespace, &other.body.spec.dolt_db_ref)
    }

    /// The Backup of the same DoltDB that comes first: one that runs, else the oldest.
    pub(crate) fn in_front(&self) -> Option<String> {
        let running = self.backup.status.phase == Some(BackupPhase::Running);
        let waiting = self.others.iter().filter(|other| !other.body.ended() && self.is_about_it(other));
        // Of two that run the older one goes on, so that they never wait for each other.
        let first = waiting.filter(|other| {
            if running { other.body.running() && self.is_older(other) } else { other.body.running() || self.is_older(other) }
        });
        let first = first.min_by_key(|other| (!other.body.running(), age(other)))?;
        Some(name_for(&self.header.namespace, &first.header))
    }

    /// The older Backup of something else that has this destination, and what it is about.
    pub(crate) fn in_place(&self, database: &str) -> Option<String> {
        let spec = &self.backup.spec;
        if spec.storage.local.is_some() {
            // Each pod has a volume of its own.
            return None;
        }
        let own = destination(&spec.storage, &spec.databases, database);
        let mut older = self.others.iter().filter(|other| self.is_older(other) && other.body.spec.storage.local.is_none());
        older.find_map(|other| {
            let same_server = self.is_about_it(other);
            let theirs = other.body.at(&own, database).into_iter().find(|theirs| !(same_server && theirs == database))?;
            Some(format!(
                "database \"{theirs}\" of DoltDB \"{}\" (Backup \"{}\")",
                other.body.spec.dolt_db_ref.name,
                name_for(&self.header.namespace, &other.header)
            ))
        })
    }

    fn is_older(&self, other: &Typed<Body>) -> bool {
        let own = self.backup.metadata.creation_timestamp.as_deref().unwrap_or_default();
        age(other) < (own, &self.header.uid)
    }
}

/// Any order will do that everybody comes to.
fn age(backup: &Typed<Body>) -> (&str, &str) {
    (&backup.body.metadata.creation_timestamp, &backup.header.uid)
}
