//! Replication: a primary sends each database to each standby, as soon as something is new, and again after a while when that fails.
//! Nothing waits for it.

use std::{collections::BTreeSet, sync::Arc};

use super::{Content, Dolt, Hook, Later, Place, Role, SYSTEM, Server, TICK, accounts::ACCOUNTS, disk::NO_SPACE};

impl Server {
    /// A standby notes when it heard of a database, towards each of the others: it does not say from whom.
    fn heard(&mut self, database: &str, now: u64) {
        let mut is_known = false;
        for (_, hook) in self.hooks.iter_mut().filter(|(place, _)| place.0 == database) {
            hook.last_success = Some(now);
            is_known = true;
        }
        if !is_known {
            let hook = Hook { last_success: Some(now), ..Hook::default() };
            for peer in &self.peers {
                self.hooks.insert(Arc::new((database.to_owned(), peer.clone())), hook.clone());
            }
        }
    }
}

impl Dolt {
    /// A new primary sends everything to everybody.
    pub(super) fn push_all(&mut self, name: &str) {
        let Some(server) = self.servers.get(name) else { return };
        let (life, places): (u64, Vec<_>) = (server.life, server.hooks.places().cloned().collect());
        for place in places {
            let delay = self.rng.within(2..60);
            self.later.plan(self.now + delay, Later::Push { server: name.into(), life, place });
        }
    }

    pub(super) fn on_push(&mut self, name: &str, life: u64, place: &Place) {
        let (database, peer) = &**place;
        let Some(server) = self.servers.get(name).filter(|server| server.life == life && !server.frozen && !server.alone) else { return };
        let Some(volume) = self.volumes.get(&server.volume).filter(|volume| volume.leads()) else { return };
        let content = volume.databases.get(database).cloned();
        if server.hooks.get(place).is_none_or(|hook| hook.is_caught_up(content.as_ref())) {
            return self.look_at_transition(name);
        }
        let sent = self.contact(name, peer).and_then(|()| content.clone().map_or(Ok(()), |content| self.receive(peer, database, content)));
        let now = self.now;
        // A contact that was in vain can have changed this server's own role, and with it its hooks.
        let is_primary = sent.is_ok() || self.state(name).is_some_and(|(role, _)| role == Role::Primary);
        if let Some(hook) = self.servers.get_mut(name).and_then(|server| server.hooks.get_mut(place)).filter(|_| is_primary) {
            match sent {
                Ok(()) => {
                    hook.pushed = Some(content.unwrap_or_default());
                    hook.last_success = Some(now);
                    hook.error = None;
                    hook.failures = 0;
                }
                Err(why) => {
                    // Accounts and rights are tried again after ever longer times, databases each second.
                    let pause = if SYSTEM.contains(&database.as_str()) {
                        (TICK * 3_u64.pow(hook.failures) / 2_u64.pow(hook.failures)).min(60_000)
                    } else {
                        TICK
                    };
                    hook.failures = (hook.failures + 1).min(12);
                    hook.next_try = now + pause;
                    hook.error = Some(format!("failed to commit chunks on destDB: {why}"));
                }
            }
        }
        self.look_at_transition(name);
    }

    /// A standby takes over what a primary sends, whatever it had. Accounts it has even where it cannot keep them.
    fn receive(&mut self, name: &str, database: &str, content: Arc<Content>) -> Result<(), String> {
        let Some(server) = self.servers.get_mut(name) else { return Ok(()) };
        let Some(volume) = self.volumes.get_mut(&server.volume) else { return Ok(()) };
        let has_room = !volume.is_full();
        if has_room {
            server.heard(database, self.now);
        }
        if has_room || database == ACCOUNTS {
            if database == ACCOUNTS {
                volume.keeps_accounts();
            }
            match volume.databases.get_mut(database) {
                Some(there) => *there = content,
                None => drop(volume.databases.insert(database.into(), content)),
            }
        }
        if has_room { Ok(()) } else { Err(NO_SPACE.into()) }
    }

    /// Something is written to each database of each primary that leaves it as it was, as a tag that is made and deleted.
    pub(crate) fn touch_all(&mut self) {
        let servers: Vec<String> = self.servers.keys().filter(|name| self.takes_writes(name)).cloned().collect();
        for name in servers {
            let Some(server) = self.servers.get_mut(&name) else { continue };
            server.hooks.iter_mut().filter(|(place, _)| !SYSTEM.contains(&place.0.as_str())).for_each(|(_, hook)| hook.pushed = None);
            self.push_all(&name);
        }
    }

    /// A standby gets a sign of life about a database.
    fn hear(&mut self, name: &str, database: &str) {
        let Some(server) = self.servers.get_mut(name) else { return };
        server.heard(database, self.now);
        let Some(volume) = self.volumes.get_mut(&server.volume) else { return };
        if !volume.databases.contains_key(database) {
            volume.databases.insert(database.into(), Arc::new(Content::anew(&mut self.made)));
        }
    }

    /// Tries again what has failed, and gives signs of life to those who are caught up.
    pub(super) fn on_tick(&mut self, name: &str, life: u64) {
        let Some(server) = self.servers.get(name).filter(|server| server.life == life && !server.frozen) else { return };
        self.later.plan(self.now + TICK, Later::Tick { server: name.into(), life });
        if self.state(name).is_none_or(|(role, _)| role != Role::Primary) {
            return;
        }
        let databases = self.databases(name);
        let mut behind = Vec::new();
        let mut caught_up = BTreeSet::new();
        for (place, hook) in server.hooks.iter() {
            let (database, peer) = &**place;
            if !hook.is_caught_up(databases.get(database)) {
                if hook.next_try <= self.now {
                    behind.push(place.clone());
                }
            } else if !SYSTEM.contains(&database.as_str()) && hook.last_success.is_none_or(|at| self.now - at >= TICK) {
                caught_up.insert((peer.clone(), database.clone()));
            }
        }
        for place in behind {
            self.on_push(name, life, &place);
        }
        for (peer, database) in caught_up {
            // A sign of life moves no data, and whoever gets it notes when it came, whatever it has. One that has no such database makes an empty one.
            // It is how two primaries of one cluster meet.
            if self.contact(name, &peer).is_ok() {
                self.hear(&peer, &database);
            }
        }
        self.look_at_transition(name);
    }
}
