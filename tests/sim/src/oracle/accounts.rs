//! Databases, accounts and privileges: what is Ready is on the primary, what has no object any more is not, and nothing is done twice.

use std::collections::{BTreeMap, BTreeSet};

use host::contract::{Argument, Execution};
use serde_json::Value as Json;

use crate::{dolt::stored, world::World};

/// Kinds of objects on a server.
const KINDS: [&str; 3] = ["Database", "User", "Grant"];

/// Something on a server that an object rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Database(String),
    Account(String, String),
}

/// What is remembered of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct OnServers {
    /// Whatever an object has ever ruled.
    ruled: BTreeSet<Thing>,
    /// What came back with a server that had not heard that it was gone: nobody rules it any more.
    came_back: BTreeSet<Thing>,
    /// How often each statement that makes or drops something was done.
    done: BTreeMap<String, usize>,
    /// Whether once is enough for each of them.
    once: bool,
}

impl OnServers {
    /// For another run, in which nothing goes wrong where each statement is done `once`.
    pub(crate) fn begin_again(&mut self, once: bool) {
        self.done.clear();
        self.once = once;
    }

    /// An object of one of the kinds is there.
    pub(super) fn on_object(&mut self, kind: &str, spec: &Json) {
        self.ruled.extend(Thing::of(kind, spec));
    }
}

impl Thing {
    fn of(kind: &str, spec: &Json) -> Option<Self> {
        let text = |field: &str| spec[field].as_str().map(ToOwned::to_owned);
        match kind {
            "Database" => Some(Self::Database(text("name")?)),
            "User" => Some(Self::Account(text("name")?, text("host").unwrap_or_else(|| "%".into()))),
            _ => None,
        }
    }
}

impl World {
    /// An execution has come to its end without an error.
    pub(crate) fn on_executed(&mut self, execution: &Execution) {
        for statement in &execution.statements {
            let repeatable = !["CREATE ", "DROP ", "ALTER ", "GRANT ", "REVOKE "].iter().any(|verb| statement.text.starts_with(verb));
            let words: Vec<String> = statement.arguments.iter().map(word).collect();
            let times = self.oracle.on_servers.done.entry(format!("{} with {}", statement.text, words.join(", "))).or_default();
            *times += 1;
            if *times > 1 && !repeatable && self.oracle.on_servers.once {
                let message = format!("{} with {} was done before", statement.text, words.join(", "));
                return self.violated("done-once", message);
            }
        }
    }

    /// A server has become primary: what it still has although its object is gone is nobody's fault, as replication is waited for by nobody.
    pub(super) fn excuse_what_came_back(&mut self, server: &str) {
        let ruled = self.ruled_now();
        let back: Vec<Thing> = self.oracle.on_servers.ruled.difference(&ruled).filter(|thing| self.has(server, thing)).cloned().collect();
        self.oracle.on_servers.came_back.extend(back);
    }

    /// What the objects that are there rule.
    fn ruled_now(&self) -> BTreeSet<Thing> {
        KINDS.iter().flat_map(|kind| self.api.all(kind).filter_map(move |(_, object)| Thing::of(kind, &object.body["spec"]))).collect()
    }

    fn has(&self, server: &str, thing: &Thing) -> bool {
        match thing {
            Thing::Database(name) => self.dolt.database(server, name).is_some(),
            Thing::Account(name, host) => self.dolt.accounts(server).contains_key(&(name.clone(), host.clone())),
        }
    }

    /// What is not as it should be on the primary.
    pub(super) fn unsettled_on(&self, primary: &str) -> Option<String> {
        for kind in KINDS {
            for (key, object) in self.api.all(kind) {
                if object.header.deleting {
                    return Some(format!("{kind} {} is still being deleted", key.name));
                }
                if let Some(why) = self.not_ready(object) {
                    return Some(why);
                }
                if let Some(why) = self.differs(primary, kind, &object.body["spec"]) {
                    return Some(format!("{kind} {} is Ready, but {why} on {primary}", key.name));
                }
            }
        }
        let ruled = self.ruled_now();
        let servers = &self.oracle.on_servers;
        let left = servers.ruled.difference(&ruled).find(|thing| !servers.came_back.contains(thing) && self.has(primary, thing));
        left.map(|thing| format!("{thing:?} is left on {primary} without an object"))
    }

    /// In what a server is not as a spec says.
    fn differs(&self, server: &str, kind: &str, spec: &Json) -> Option<String> {
        let texts = |field: &str| -> Vec<String> {
            spec[field].as_array().into_iter().flatten().filter_map(|text| text.as_str().map(ToOwned::to_owned)).collect()
        };
        let text = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
        let whose = |name: &str| (text(name), spec["host"].as_str().unwrap_or("%").to_owned());
        match kind {
            "Database" => {
                let Some(content) = self.dolt.database(server, &text("name")) else { return Some("there is no such database".into()) };
                if let Some(branch) = texts("systemBranches").into_iter().find(|branch| !content.branches.contains_key(branch)) {
                    return Some(format!("there is no branch {branch}"));
                }
                let ignored = |pattern: &String| content.ignore.patterns.get(pattern) == Some(&true);
                if !texts("doltIgnorePatterns").iter().all(ignored) || !content.ignore.is_committed() {
                    return Some(format!("the patterns are {:?}", content.ignore));
                }
            }
            "User" => {
                let accounts = self.dolt.accounts(server);
                let Some(account) = accounts.get(&whose("name")) else { return Some("there is no such account".into()) };
                if self.password_of(spec).is_none_or(|password| stored(&password) != account.password) {
                    return Some("the password is another one".into());
                }
            }
            _ => {
                let accounts = self.dolt.accounts(server);
                let place = format!("`{}`.*", text("database"));
                let mut wanted: BTreeSet<String> = texts("privileges").into_iter().collect();
                if spec["grantOption"] == true {
                    wanted.insert("GRANT OPTION".into());
                }
                let held = accounts.get(&whose("username")).and_then(|account| account.held.get(&place)).cloned().unwrap_or_default();
                if held != wanted {
                    return Some(format!("{held:?} are held"));
                }
            }
        }
        None
    }
}

fn word(argument: &Argument) -> String {
    match argument {
        Argument::Identifier(name) => name.clone(),
        Argument::Value(value) => format!("{value:?}"),
    }
}
