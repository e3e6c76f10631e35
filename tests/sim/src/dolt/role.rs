//! Roles and epochs: who may become what, and what two servers learn of each other when one sends something to the other.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::{Dolt, Hook, Later, Place, Stepped, TRANSITION_WAIT, Transition};

/// What a server does in its cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Takes writes.
    Primary,
    /// Follows.
    #[default]
    Standby,
    /// Has met another primary of its own epoch.
    Broken,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::Broken => "detected_broken_config",
        })
    }
}

/// What a try to step down is told while another one waits: by databases, accounts and rights.
const CONFLICT: [&str; 3] = [
    "cluster/controller: failed to transition from primary to standby gracefully; did not gain exclusive access to commithooks.",
    "cluster: mysqldb replication: could not wait for replication. Concurrent waiters conflicted with each other.",
    "cluster: dolt_branch_control replication: could not wait for replication. Concurrent waiters conflicted with each other.",
];

/// What a call of a procedure came to.
pub(super) enum Called {
    /// Done; whether the role is another, which ends the session.
    Done { changed: bool },
    /// It waits for standbys.
    Waits(u64),
}

impl Dolt {
    /// `dolt_assume_cluster_role`.
    pub(super) fn assume(&mut self, name: &str, role: &str, epoch: u64) -> Result<Called, String> {
        let (is, at) = self.state(name).ok_or("no such server")?;
        let wanted = match role {
            "primary" => Role::Primary,
            "standby" => Role::Standby,
            "detected_broken_config" => {
                return Err("cannot set role to detected_broken_config; valid values are 'primary' and 'standby'".into());
            }
            _ => return Err(format!("error assuming role '{role}'; valid roles are 'primary' and 'standby'")),
        };
        if wanted == is && epoch == at {
            return Ok(Called::Done { changed: false });
        }
        if epoch < at {
            return Err(format!("error assuming role '{role}' at epoch {epoch}; already at epoch {at}"));
        }
        if epoch == at {
            return Err(format!("error assuming role '{role}' at epoch {epoch}; already at epoch {at} with different role, '{is}'"));
        }
        if wanted == Role::Standby && is != wanted {
            return self.step_down(name, epoch, 0);
        }
        self.set(name, wanted, epoch);
        Ok(Called::Done { changed: wanted != is })
    }

    /// `dolt_cluster_transition_to_standby`.
    pub(super) fn transition(&mut self, name: &str, epoch: u64, least: u64) -> Result<Called, String> {
        let (is, at) = self.state(name).ok_or("no such server")?;
        // It is no procedure for a server that takes no writes, as one that is about to step down.
        if self.servers.get(name).is_some_and(|server| server.read_only) {
            return Err("database server is set to read only mode".into());
        }
        if epoch < at {
            return Err(format!("error assuming role 'standby' at epoch {epoch}; already at epoch {at}"));
        }
        if epoch == at {
            return Err(format!("error assuming role 'standby' at epoch {epoch}; already at epoch {at} with different role, '{is}'"));
        }
        self.step_down(name, epoch, least)
    }

    /// Read-only at once; then it waits for its standbys.
    fn step_down(&mut self, name: &str, epoch: u64, least: u64) -> Result<Called, String> {
        let began_as = self.state(name).ok_or("no such server")?;
        let id = self.transitions + 1;
        let server = self.servers.get_mut(name).ok_or("no such server")?;
        server.read_only = true;
        server.connections += 1;
        if let Some(first) = &server.transition {
            // The second try fails, gives the writes back, and ends the first one's connection, while the first goes on.
            server.read_only = began_as.0 != Role::Primary;
            self.unheard.insert(first.id);
            return Err(CONFLICT.join("\n"));
        }
        self.transitions = id;
        server.transition = Some(Transition { id, epoch, least, caught_up: BTreeSet::new(), began_as });
        self.later.plan(self.now + TRANSITION_WAIT, Later::GiveUp { server: name.into(), transition: id });
        self.look_at_transition(name);
        Ok(Called::Waits(id))
    }

    /// Whether nobody hears any more what a try to step down comes to.
    pub(super) fn is_unheard(&self, id: u64) -> bool {
        self.unheard.contains(&id)
    }

    /// What a try to step down came to, once it is known.
    pub(super) fn stepped(&self, id: u64) -> Option<&Stepped> {
        self.stepped.get(&id)
    }

    /// Notes standbys that are caught up; where all are, the wait is over.
    pub(super) fn look_at_transition(&mut self, name: &str) {
        if self.servers.get(name).is_none_or(|server| server.transition.is_none()) {
            return;
        }
        let databases = self.databases(name);
        // Who is no primary any more has nobody to send to.
        let nobody = self.state(name).is_none_or(|(role, _)| role != Role::Primary);
        let Some(server) = self.servers.get_mut(name) else { return };
        let Some(transition) = &mut server.transition else { return };
        for (place, hook) in server.hooks.iter() {
            if nobody || hook.is_caught_up(databases.get(&place.0)) {
                transition.caught_up.insert(place.clone());
            }
        }
        if transition.caught_up.len() == server.hooks.len() {
            self.finish_transition(name);
        }
    }

    pub(super) fn on_give_up(&mut self, name: &str, id: u64) {
        if self.servers.get(name).and_then(|server| server.transition.as_ref()).is_some_and(|transition| transition.id == id) {
            self.finish_transition(name);
        }
    }

    fn finish_transition(&mut self, name: &str) {
        let Some(now_is) = self.state(name) else { return };
        let Some(server) = self.servers.get_mut(name) else { return };
        let Some(transition) = server.transition.take() else { return };
        let outcome = transition.outcome(server.hooks.places().cloned().collect(), now_is);
        match &outcome {
            Ok(_) => self.set(name, Role::Standby, transition.epoch),
            Err(_) => {
                server.read_only = now_is.0 != Role::Primary;
                server.connections += 1;
            }
        }
        self.stepped.insert(transition.id, outcome);
    }

    /// Takes on a role and an epoch.
    fn set(&mut self, name: &str, role: Role, epoch: u64) {
        let Some(server) = self.servers.get_mut(name) else { return };
        let Some(volume) = self.volumes.get_mut(&server.volume) else { return };
        let changed = volume.state.is_none_or(|(is, _)| is != role);
        volume.put_state(role, epoch);
        if role == Role::Primary {
            self.promoted.push((name.into(), epoch));
        }
        if !changed {
            return;
        }
        server.read_only = role != Role::Primary;
        server.connections += 1;
        server.hooks.iter_mut().for_each(|(_, hook)| *hook = Hook::default());
        if role == Role::Primary {
            self.push_all(name);
        }
        self.look_at_transition(name);
    }

    /// A server sends something to another: both look at what the other is. Gives whether it is taken.
    ///
    /// Roles are looked at before names are: a server follows a later epoch of one that its configuration does not know, takes nothing from it,
    /// and does not tell it what it is itself.
    pub(super) fn contact(&mut self, from: &str, to: &str) -> Result<(), String> {
        let ends = self.servers.get(from).zip(self.servers.get(to)).filter(|ends| self.connected((from, ends.0), (to, ends.1)));
        let states = ends.and_then(|(sender, receiver)| sender.state(&self.volumes).zip(receiver.state(&self.volumes)));
        let (Some((_, receiver)), Some(((from_role, from_epoch), (mut role, mut epoch)))) = (ends, states) else {
            return Err("rpc error: code = Unavailable desc = no connection".into());
        };
        let is_known = receiver.peers.iter().any(|peer| peer == from);
        if from_role != Role::Primary {
            return Err("rpc error: code = FailedPrecondition desc = this server is not currently replicating".into());
        }
        let meets_another = from_epoch == epoch && role == Role::Primary;
        if meets_another || from_epoch > epoch {
            self.set(to, if meets_another { Role::Broken } else { Role::Standby }, from_epoch);
            (role, epoch) = self.state(to).unwrap_or((role, epoch));
        }
        // Roles are looked at before keys: one that it does not know by its configuration can make it step down, and is told nothing for that.
        if !is_known {
            return Err("rpc error: code = Unauthenticated desc = unauthenticated".into());
        }
        match role {
            Role::Primary if epoch == from_epoch => self.set(from, Role::Broken, epoch),
            Role::Primary if epoch > from_epoch => self.set(from, Role::Standby, epoch),
            Role::Broken if epoch >= from_epoch => self.set(from, Role::Broken, epoch),
            _ => {}
        }
        // A standby of a higher epoch takes what a primary of a lower one sends.
        if role == Role::Standby { Ok(()) } else { Err(format!("rpc error: code = FailedPrecondition desc = this server is {role}")) }
    }
}

impl Transition {
    fn outcome(&self, hooks: BTreeSet<Place>, now_is: (Role, u64)) -> Stepped {
        let rows: Vec<(bool, String, String)> =
            hooks.iter().map(|place| (self.caught_up.contains(place), place.0.clone(), place.1.clone())).collect();
        if self.least == 0 {
            if rows.iter().any(|(caught_up, ..)| !caught_up) {
                return Err(
                    "cluster/controller: failed to transition from primary to standby gracefully; could not replicate databases to \
                            standby in a timely manner."
                        .into(),
                );
            }
        } else {
            let databases: BTreeSet<&String> = rows.iter().map(|(_, database, _)| database).collect();
            let peers: BTreeSet<&String> = rows.iter().map(|(.., peer)| peer).collect();
            let complete = peers.iter().filter(|peer| rows.iter().all(|(caught_up, _, p)| p != **peer || *caught_up)).count();
            if (complete as u64) < self.least {
                return Err(format!(
                    "cluster/controller: failed to transition from primary to standby gracefully; could not ensure {} replicas were caught up \
                     on all {} databases. Only caught up {complete} standbys fully.",
                    self.least,
                    databases.len()
                ));
            }
        }
        if now_is != self.began_as {
            return Err(format!(
                "error assuming role 'standby' at epoch {}: the role configuration changed while we were replicating to our standbys. Please \
                 try again",
                self.epoch
            ));
        }
        Ok(rows)
    }
}
