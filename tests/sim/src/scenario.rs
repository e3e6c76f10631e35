//! Scenarios: what the user and the cluster do, faults aside.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    api::key,
    run,
    schedule::{Schedule, Trouble, Which},
    world::{Event, World, clock},
};

/// The administrator's password. It must be seen nowhere.
pub(crate) const PASSWORD: &str = "swordfish-7261";
const NAME: &str = "db";
const NAMESPACE: &str = "default";

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "camelCase")]
pub enum Scenario {
    /// A DoltDB of two servers is created.
    Create2,
    /// A DoltDB of three servers is created.
    Create3,
    /// Two servers run, nothing is asked for.
    Steady2,
    /// Three servers run, nothing is asked for.
    Steady3,
    /// Two servers run; the primary's pod is killed.
    PrimaryKilled2,
    /// Three servers run; the primary's pod is killed.
    PrimaryKilled3,
    /// Three servers run; the primary stands still for a minute.
    PrimaryFrozen3,
    /// Two servers run; the user wants the other one as primary.
    Switchover2,
    /// Three servers run; the user wants the last one as primary.
    Switchover3,
    /// Two servers run; the user wants another version.
    Update2,
    /// Three servers run; the user wants another version.
    Update3,
    /// Two servers run; the user wants three.
    ScaleUp,
    /// Three servers run; the user wants two.
    ScaleDown,
}

/// Something that the scenario does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// The user creates the DoltDB and its credentials, with so many servers.
    Create(i64),
    /// The client begins to write.
    StartClient,
    /// The user changes the spec: JSON pointer and value.
    Edit(&'static str, Value),
    /// Something goes wrong as a part of the scenario.
    Trouble(Trouble),
}

impl Scenario {
    /// All of them.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// The most servers that there are at any time.
    pub(crate) fn most_replicas(self) -> u64 {
        match self {
            Self::Create2 | Self::Steady2 | Self::PrimaryKilled2 | Self::Switchover2 | Self::Update2 => 2,
            _ => 3,
        }
    }

    /// How many servers run when it begins.
    fn begins_with(self) -> Option<i64> {
        match self {
            Self::Create2 | Self::Create3 => None,
            Self::ScaleUp => Some(2),
            _ => i64::try_from(self.most_replicas()).ok(),
        }
    }

    fn acts(self) -> Vec<(u64, Act)> {
        match self {
            Self::Create2 => vec![(0, Act::Create(2)), (1, Act::StartClient)],
            Self::Create3 => vec![(0, Act::Create(3)), (1, Act::StartClient)],
            Self::Steady2 | Self::Steady3 => vec![],
            Self::PrimaryKilled2 | Self::PrimaryKilled3 => vec![(3_000, Act::Trouble(Trouble::Kill(Which::Primary)))],
            Self::PrimaryFrozen3 => vec![(3_000, Act::Trouble(Trouble::Freeze { pod: Which::Primary, during: 60_000 }))],
            Self::Switchover2 => vec![(3_000, Act::Edit("/spec/replication/primary/podIndex", json!(1)))],
            Self::Switchover3 => vec![(3_000, Act::Edit("/spec/replication/primary/podIndex", json!(2)))],
            Self::Update2 | Self::Update3 => vec![(3_000, Act::Edit("/spec/engineVersion", json!("1.84.0")))],
            Self::ScaleUp => vec![(3_000, Act::Edit("/spec/replicas", json!(3)))],
            Self::ScaleDown => vec![(3_000, Act::Edit("/spec/replicas", json!(2)))],
        }
    }

    /// The pod that must be primary at the end, where the user has asked for one and nothing came in between.
    fn wanted_primary(self) -> Option<String> {
        match self {
            Self::Switchover2 => Some(format!("{NAME}-1")),
            Self::Switchover3 => Some(format!("{NAME}-2")),
            _ => None,
        }
    }

    /// The world in which a schedule begins.
    pub(crate) fn world(self, schedule: &Schedule) -> World {
        let mut world = match self.begins_with() {
            None => World::new(schedule.seed),
            Some(replicas) => ready(replicas).branch(schedule.seed),
        };
        let begin = world.now;
        for (delay, act) in self.acts() {
            world.acts_until = world.acts_until.max(begin + delay);
            world.after(delay, Event::Act(act));
        }
        // Where a fault makes the operator choose another primary, the wish is not what counts any more.
        world.wanted_primary = self.wanted_primary().filter(|_| schedule.faults.is_empty());
        world.plan_faults(&schedule.faults);
        world.after(0, Event::HostUp(0));
        world.start_checks();
        world
    }
}

/// A cluster of so many servers that has come to rest, made once.
fn ready(replicas: i64) -> World {
    static READY: OnceLock<Mutex<BTreeMap<i64, World>>> = OnceLock::new();
    let worlds = READY.get_or_init(Mutex::default);
    let mut worlds = worlds.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let world = worlds.entry(replicas).or_insert_with(|| {
        let scenario = if replicas == 2 { Scenario::Create2 } else { Scenario::Create3 };
        let world = run::to_the_end(&Schedule::quiet(scenario, 1), &run::Options::default());
        assert!(world.oracle.violation.is_none(), "a quiet creation fails: {:?}", world.oracle.violation);
        world
    });
    world.clone()
}

impl World {
    pub(crate) fn act(&mut self, act: Act) {
        self.say(|| format!("ACT: {act:?}"));
        match act {
            Act::Create(replicas) => {
                let now = clock(self.now);
                self.api.create(
                    json!({
                        "apiVersion": "v1", "kind": "Secret",
                        "metadata": {"name": format!("{NAME}-credentials"), "namespace": NAMESPACE},
                        "data": {"admin-user": "admin", "admin-password": PASSWORD},
                    }),
                    now,
                );
                self.api.create(
                    json!({
                        "apiVersion": "k8s.dolthub.com/v1alpha", "kind": "DoltDB",
                        "metadata": {"name": NAME, "namespace": NAMESPACE},
                        "spec": {
                            "engineVersion": "1.83.2", "replicas": replicas,
                            "replication": {"enabled": true, "primary": {"podIndex": 0, "automaticFailover": true}},
                            "storage": {"size": "1Gi"},
                        },
                    }),
                    now,
                );
            }
            Act::StartClient => self.start_client(),
            Act::Edit(pointer, value) => {
                self.api.modify(&key("k8s.dolthub.com/v1alpha", "DoltDB", NAMESPACE, NAME), |body| {
                    if let Some(field) = body.pointer_mut(pointer) {
                        *field = value;
                    }
                });
            }
            Act::Trouble(trouble) => self.on_trouble(trouble),
        }
    }
}
