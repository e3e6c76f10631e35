//! A volume without room, as it was seen on Dolt 1.83.2 with a volume of 60 MB:
//!
//! - Reads go on, and so does a server that only reads. What changes a database, a `DROP DATABASE` among it, ends the server (`fatal error: …
//!   no space left on device: error writing to database journal file`), and the client loses its connection. The database does not load again
//!   before there is room.
//! - A change of accounts, and `CREATE DATABASE`, fail with error 1105. The accounts are changed in memory all the same.
//! - A standby takes no data (`error: http 500`), and hears of nothing. Of accounts it tells the primary that it could not keep them, and has them
//!   in memory.
//! - A role and an epoch are taken on in memory, whoever asks for it, and everybody is told that all is well. Whatever was changed in memory only
//!   is forgotten when the server ends, unless a change of the same kind was kept after there was room again.

use std::sync::Arc;

use super::{Content, Dolt, Role, Volume, accounts::ACCOUNTS};

/// What a server says.
pub(super) const NO_SPACE: &str = "no space left on device";

/// The disk of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Disk {
    full: bool,
    /// The role and the epoch that it has, where the server has others.
    state: Option<(Role, u64)>,
    /// The accounts that it has, where the server has others.
    accounts: Option<Arc<Content>>,
}

impl Volume {
    /// Role and epoch as they are on the disk.
    pub(crate) fn kept_state(&self) -> Option<(Role, u64)> {
        self.disk.state.or(self.state)
    }

    /// Whether there is no room on it.
    pub(super) fn is_full(&self) -> bool {
        self.disk.full
    }

    /// The server takes on a role and an epoch.
    pub(super) fn put_state(&mut self, role: Role, epoch: u64) {
        self.disk.state = self.disk.state.or(self.state).filter(|_| self.disk.full);
        self.state = Some((role, epoch));
    }

    /// Accounts are about to be changed. Says whether that is kept.
    pub(super) fn keeps_accounts(&mut self) -> bool {
        let before = self.disk.accounts.take().or_else(|| Some(self.databases.get(ACCOUNTS).cloned().unwrap_or_default()));
        self.disk.accounts = before.filter(|_| self.disk.full);
        !self.disk.full
    }

    /// The server ends: what is on the disk is what there is.
    pub(super) fn forget_what_is_not_kept(&mut self) {
        self.state = self.disk.state.take().or(self.state);
        if let Some(accounts) = self.disk.accounts.take() {
            self.databases.insert(ACCOUNTS.into(), accounts);
        }
    }
}

impl Dolt {
    /// A volume has no room any more, or has some again.
    pub fn fill(&mut self, volume: &str, full: bool) {
        if let Some(volume) = self.volumes.get_mut(volume) {
            volume.disk.full = full;
        }
    }

    /// Whether a volume has no room.
    pub(crate) fn is_full(&self, volume: &str) -> bool {
        self.volumes.get(volume).is_some_and(Volume::is_full)
    }

    /// Whether the volume of a server has no room.
    pub(super) fn has_no_room(&self, server: &str) -> bool {
        self.servers.get(server).is_some_and(|server| self.is_full(&server.volume))
    }

    /// A server that is about to change a database ends where there is no room for it. Says whether it has.
    pub(super) fn ends_without_room(&mut self, server: &str) -> bool {
        let ends = self.has_no_room(server);
        if ends {
            self.stop(server);
            self.ended.push(server.into());
        }
        ends
    }

    /// Servers that have ended by themselves since the last call.
    pub(crate) fn take_ended(&mut self) -> Vec<String> {
        std::mem::take(&mut self.ended)
    }
}
