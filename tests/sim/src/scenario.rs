//! Scenarios: what the user and the cluster do, faults aside.

mod accounts;
mod copies;
mod fields;

pub(crate) use self::fields::Field;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    api::key,
    oracle::Detour,
    run,
    schedule::{Fault, Schedule, Trouble, Which},
    world::{Event, World, clock},
};

/// The administrator's password. It must be seen nowhere.
pub(crate) const PASSWORD: &str = "swordfish-7261";
/// All passwords.
pub(crate) const PASSWORDS: [&str; 3] = [PASSWORD, accounts::FIRST, accounts::SECOND];
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
    /// Two servers run; the primary is cut off for a while.
    PrimaryCutOff2,
    /// Two servers run; the primary is cut off for a while, and the operator is away.
    CutOffAlone2,
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
    /// Three servers run, the last one is primary; the user wants two.
    ScaleDownFromLast,
    /// Two servers run; the user wants the other one as primary, and then the first one again.
    SwitchoverAndBack2,
    /// Three servers run; the user wants the second one as primary, and then the third one.
    SwitchoverTwice3,
    /// A DoltDB of one server without replication is created.
    Create1,
    /// A DoltDB of three servers is created with the second one as primary.
    CreateWithOtherPrimary,
    /// Three servers run, the last one is primary; the user wants one, without replication.
    ReplicationOff,
    /// One server runs without replication; the user wants three.
    ReplicationOn,
    /// Three servers run; the user wants one without replication, and later three again.
    ReplicationOffAndOn,
    /// Two servers run; the user turns replication off, and thinks better of it at once.
    ReplicationKept,
    /// Two servers run as another operator has left them; the primary is not the first one.
    TakeOver2,
    /// A DoltDB of two servers is created together with a Database, a User and a Grant.
    Accounts2,
    /// Two servers run with a Database, a User and a Grant; the password in the Secret changes.
    Password2,
    /// Two servers run with a Database, a User and a Grant; the three are deleted, and the primary's pod is killed at that moment.
    AccountsDeleted2,
    /// Two servers run; the user creates a Database, a User and a Grant, and wants the other one as primary.
    AccountsSwitchover2,
    /// Two servers run with a Database, a User and a Grant; the user changes a field of one of the four, and changes it back. The seed says which.
    ThereAndBack2,
    /// Two servers run; the user creates three Backups, two of which would go to one place.
    Backups2,
    /// Two servers run; the user creates a Backup, and the primary's pod is killed while a database is copied.
    BackupKilled2,
    /// Two servers run; the user creates a Backup, and wants the other one as primary while a database is copied.
    BackupSwitchover2,
    /// Two servers run; the user creates a BackupSchedule that keeps few Backups, and later suspends it.
    BackupSchedule2,
    /// Two servers run; the user creates a Snapshot that keeps two sets, and later suspends it.
    Snapshots2,
    /// Three servers run; the user creates a Snapshot, and wants two servers while a set is taken.
    SnapshotsScaleDown,
    /// Two servers run; the user creates a Backup, a BackupSchedule and a Snapshot, and deletes all of them while they are at work.
    CopiesDeleted2,
    /// Two servers run with a BackupSchedule and a Snapshot; the user changes a field of one of the two, and changes it back. The seed says which.
    CopiesThereAndBack2,
}

/// Something that the scenario does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// The user creates the DoltDB and its credentials, with so many servers and this primary.
    Create(i64, i64),
    /// The client begins to write.
    StartClient,
    /// The user changes the spec in one edit: JSON pointers and values.
    Edit(Vec<(&'static str, Value)>),
    /// The user creates a Database, a User with its Secret, and a Grant.
    CreateAccounts,
    /// The password in the User's Secret changes.
    ChangePassword,
    /// The user deletes the Database, the User and the Grant.
    DeleteAccounts,
    /// The user creates a Backup of all databases.
    CreateBackup,
    /// The user creates a Backup of this name and of this database.
    CreateBackupOf(&'static str, &'static str),
    /// The user creates a BackupSchedule.
    CreateBackupSchedule,
    /// The user creates a Snapshot with this policy of what becomes of its snapshots.
    CreateSnapshot(&'static str),
    /// The user creates what makes copies on another day.
    CreateRareCopies,
    /// The user suspends what makes copies.
    SuspendCopies,
    /// The user deletes what makes copies.
    DeleteCopies,
    /// The user changes a field.
    There,
    /// The user changes it back.
    Back,
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
            Self::Create1 => 1,
            Self::Create2
            | Self::Steady2
            | Self::PrimaryKilled2
            | Self::PrimaryCutOff2
            | Self::CutOffAlone2
            | Self::Switchover2
            | Self::SwitchoverAndBack2
            | Self::Update2
            | Self::ReplicationKept
            | Self::TakeOver2
            | Self::Accounts2
            | Self::Password2
            | Self::AccountsDeleted2
            | Self::AccountsSwitchover2
            | Self::ThereAndBack2
            | Self::Backups2
            | Self::BackupKilled2
            | Self::BackupSwitchover2
            | Self::BackupSchedule2
            | Self::Snapshots2
            | Self::CopiesDeleted2
            | Self::CopiesThereAndBack2 => 2,
            _ => 3,
        }
    }

    /// Whether something is made at times of the clock: how much, depends on how long everything takes.
    pub(crate) fn has_times(self) -> bool {
        matches!(self, Self::BackupSchedule2 | Self::Snapshots2 | Self::SnapshotsScaleDown | Self::CopiesDeleted2)
    }

    /// How many servers run when it begins.
    fn begins_with(self) -> Option<i64> {
        match self {
            Self::Create1 | Self::Create2 | Self::Create3 | Self::CreateWithOtherPrimary | Self::Accounts2 => None,
            Self::ReplicationOn => Some(1),
            Self::ScaleUp => Some(2),
            _ => i64::try_from(self.most_replicas()).ok(),
        }
    }

    fn acts(self) -> Vec<(u64, Act)> {
        let edit = |pointer, value| Act::Edit(vec![(pointer, value)]);
        let last_leads = || edit("/spec/replication/primary/podIndex", json!(2));
        let off = || Act::Edit(vec![("/spec/replicas", json!(1)), ("/spec/replication", json!({"enabled": false}))]);
        let on = |replicas: i64| Act::Edit(vec![("/spec/replicas", json!(replicas)), ("/spec/replication", json!({"enabled": true}))]);
        match self {
            Self::Create1 => vec![(0, Act::Create(1, 0)), (1, Act::StartClient)],
            Self::Create2 => vec![(0, Act::Create(2, 0)), (1, Act::StartClient)],
            Self::Create3 => vec![(0, Act::Create(3, 0)), (1, Act::StartClient)],
            Self::CreateWithOtherPrimary => vec![(0, Act::Create(3, 1)), (1, Act::StartClient)],
            Self::Accounts2 => vec![(0, Act::Create(2, 0)), (0, Act::CreateAccounts), (1, Act::StartClient)],
            Self::Password2 => vec![(3_000, Act::ChangePassword)],
            Self::AccountsDeleted2 => {
                vec![(3_000, Act::DeleteAccounts), (3_010, Act::Trouble(Trouble::Kill(Which::Primary)))]
            }
            Self::AccountsSwitchover2 => {
                vec![(3_000, Act::CreateAccounts), (3_020, edit("/spec/replication/primary/podIndex", json!(1)))]
            }
            Self::ThereAndBack2 => vec![(3_000, Act::There), (150_000, Act::Back)],
            Self::Steady2 | Self::Steady3 | Self::TakeOver2 => vec![],
            Self::PrimaryKilled2 | Self::PrimaryKilled3 => vec![(3_000, Act::Trouble(Trouble::Kill(Which::Primary)))],
            Self::PrimaryFrozen3 => vec![(3_000, Act::Trouble(Trouble::Freeze { pod: Which::Primary, during: 60_000 }))],
            Self::PrimaryCutOff2 => vec![(3_000, Act::Trouble(Trouble::Isolate { pod: Which::Primary, during: 40_000 }))],
            Self::CutOffAlone2 => vec![
                (3_000, Act::Trouble(Trouble::Restart { down: 30_000, stale: 0 })),
                (3_001, Act::Trouble(Trouble::Isolate { pod: Which::Primary, during: 40_000 })),
            ],
            Self::Switchover2 => vec![(3_000, edit("/spec/replication/primary/podIndex", json!(1)))],
            Self::Switchover3 => vec![(3_000, last_leads())],
            Self::SwitchoverAndBack2 | Self::SwitchoverTwice3 => {
                let then = if self == Self::SwitchoverTwice3 { 2 } else { 0 };
                vec![
                    (3_000, edit("/spec/replication/primary/podIndex", json!(1))),
                    (25_000, edit("/spec/replication/primary/podIndex", json!(then))),
                ]
            }
            Self::Update2 | Self::Update3 => vec![(3_000, edit("/spec/engineVersion", json!("1.84.0")))],
            Self::ScaleUp => vec![(3_000, edit("/spec/replicas", json!(3)))],
            Self::ScaleDown => vec![(3_000, edit("/spec/replicas", json!(2)))],
            Self::ScaleDownFromLast => {
                let fewer = Act::Edit(vec![("/spec/replicas", json!(2)), ("/spec/replication/primary/podIndex", json!(0))]);
                vec![(1_000, last_leads()), (20_000, fewer)]
            }
            Self::ReplicationOff => vec![(1_000, last_leads()), (20_000, off())],
            Self::ReplicationOn => vec![(3_000, on(3))],
            Self::ReplicationOffAndOn => vec![(3_000, off()), (90_000, on(3))],
            Self::Backups2 => {
                vec![(1_000, Act::CreateBackup), (2_100, Act::CreateBackupOf("one", "app")), (3_200, Act::CreateBackupOf("other", "stock"))]
            }
            Self::BackupKilled2 => vec![(1_000, Act::CreateBackup), (3_000, Act::Trouble(Trouble::Kill(Which::Primary)))],
            Self::BackupSwitchover2 => {
                vec![(1_000, Act::CreateBackup), (3_000, edit("/spec/replication/primary/podIndex", json!(1)))]
            }
            Self::BackupSchedule2 => vec![(1_000, Act::CreateBackupSchedule), (40_000, Act::SuspendCopies)],
            Self::Snapshots2 => vec![(1_000, Act::CreateSnapshot("Skip")), (42_000, Act::SuspendCopies)],
            Self::SnapshotsScaleDown => {
                vec![(1_000, Act::CreateSnapshot("Delete")), (13_100, edit("/spec/replicas", json!(2))), (30_000, Act::SuspendCopies)]
            }
            Self::CopiesDeleted2 => vec![
                (1_000, Act::CreateSnapshot("Delete")),
                (1_100, Act::CreateBackupSchedule),
                (9_000, Act::CreateBackup),
                (15_000, Act::DeleteCopies),
            ],
            Self::CopiesThereAndBack2 => vec![(1_000, Act::CreateRareCopies), (10_000, Act::There), (40_000, Act::Back)],
            Self::ReplicationKept => vec![(3_000, off()), (5_500, on(2))],
        }
    }

    /// The fields one of which is changed and changed back.
    pub(crate) fn fields(self) -> &'static [Field] {
        match self {
            Self::ThereAndBack2 => Field::all(),
            Self::CopiesThereAndBack2 => Field::of_copying(),
            _ => &[],
        }
    }

    /// When the last thing is asked for, in milliseconds.
    pub(crate) fn last_act(self) -> u64 {
        self.acts().into_iter().map(|(at, _)| at).max().unwrap_or_default()
    }

    /// The pod that must be primary at the end, where the user has asked for one and nothing came in between.
    fn wanted_primary(self) -> Option<String> {
        match self {
            Self::Switchover2 | Self::CreateWithOtherPrimary | Self::AccountsSwitchover2 | Self::BackupSwitchover2 => {
                Some(format!("{NAME}-1"))
            }
            Self::Switchover3 | Self::SwitchoverTwice3 => Some(format!("{NAME}-2")),
            Self::SwitchoverAndBack2 => Some(format!("{NAME}-0")),
            _ => None,
        }
    }

    /// The longest time without an acknowledged write, if nothing goes wrong beside what the scenario does, in milliseconds.
    fn longest_gap(self) -> Option<u64> {
        // The operator is away for half a minute in it.
        (self != Self::CutOffAlone2).then_some(15_000)
    }

    /// The world in which a schedule begins.
    pub(crate) fn world(self, schedule: &Schedule) -> World {
        let mut world = match self.begins_with() {
            None => World::new(schedule.seed),
            Some(_) if self == Self::TakeOver2 => {
                let mut world = at_rest(Self::Switchover2).branch(schedule.seed);
                world.leave_to_another();
                world
            }
            Some(_) if matches!(self, Self::Password2 | Self::AccountsDeleted2 | Self::ThereAndBack2) => {
                at_rest(Self::Accounts2).branch(schedule.seed)
            }
            Some(1) => at_rest(Self::Create1).branch(schedule.seed),
            Some(2) => at_rest(Self::Create2).branch(schedule.seed),
            Some(_) => at_rest(Self::Create3).branch(schedule.seed),
        };
        let fields = self.fields();
        if !fields.is_empty() {
            world.detour = fields.get(usize::try_from(schedule.seed).unwrap_or_default() % fields.len()).map(Detour::new);
        }
        let stale = |fault: &Fault| if let Trouble::Restart { stale, .. } = fault.what { stale } else { 0 };
        world.remembered = schedule.faults.iter().map(stale).max().unwrap_or_default();
        let begin = world.now;
        for (delay, act) in self.acts() {
            world.acts_until = world.acts_until.max(begin + delay);
            world.after(delay, Event::Act(act));
        }
        // Where a fault makes the operator choose another primary, the wish is not what counts any more.
        world.wanted_primary = self.wanted_primary().filter(|_| schedule.faults.is_empty());
        world.longest_gap = self.longest_gap().filter(|_| schedule.faults.is_empty());
        // What is taken back is done anew.
        if schedule.faults.is_empty() && fields.is_empty() {
            world.oracle.expect_nothing_twice();
        }
        world.plan_faults(&schedule.faults);
        world.after(0, Event::HostUp(0));
        world.start_checks();
        world
    }
}

/// Where one world is made, once.
type Place = Arc<Mutex<Option<World>>>;

/// The cluster of a scenario without faults that has come to rest, made once.
fn at_rest(scenario: Scenario) -> World {
    static AT_REST: OnceLock<Mutex<BTreeMap<Scenario, Place>>> = OnceLock::new();
    let worlds = AT_REST.get_or_init(Mutex::default);
    // One scenario may begin where another one has ended: what is locked meanwhile is this one's world, and no other's.
    let place = worlds.lock().unwrap_or_else(PoisonError::into_inner).entry(scenario).or_default().clone();
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    let world = place.get_or_insert_with(|| {
        let world = run::to_the_end(&Schedule::quiet(scenario, 1), &run::Options::default());
        assert!(world.oracle.violation.is_none(), "{scenario:?} without faults fails: {:?}", world.oracle.violation);
        world
    });
    world.clone()
}

impl World {
    /// What the Go operator has of a cluster: a status without what only we note, a switch that was done and never told to be over, and pods of a
    /// template that nobody has any more.
    fn leave_to_another(&mut self) {
        self.api.modify(&key("k8s.dolthub.com/v1alpha", "DoltDB", NAMESPACE, NAME), |body| {
            let switching = |type_: &str| {
                json!({
                    "type": type_, "status": "False", "reason": "SwitchPrimary", "message": "Switching primary to 'db-1'",
                    "lastTransitionTime": "2025-06-01T00:00:00Z",
                })
            };
            let mut left = json!({"conditions": [switching("Ready"), switching("PrimarySwitched")]});
            for field in ["currentPrimary", "currentPrimaryPodIndex", "replicationEpoch", "replicas", "replicationStatus"] {
                left[field] = body["status"][field].take();
            }
            body["status"] = left;
        });
        let pods: Vec<_> = self.api.all("Pod").map(|(key, _)| key.clone()).collect();
        for pod in pods {
            self.api.modify(&pod, |body| body["metadata"]["labels"]["controller-revision-hash"] = "former".into());
        }
    }

    pub(crate) fn act(&mut self, act: Act) {
        self.say(|| format!("ACT: {act:?}"));
        match act {
            Act::Create(replicas, primary) => {
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
                            "replication": {"enabled": replicas > 1, "primary": {"podIndex": primary, "automaticFailover": true}},
                            "storage": {"size": "1Gi"},
                        },
                    }),
                    now,
                );
            }
            Act::StartClient => self.start_client(),
            Act::Edit(changes) => {
                self.api.modify(&key("k8s.dolthub.com/v1alpha", "DoltDB", NAMESPACE, NAME), |body| {
                    for (pointer, value) in changes {
                        if let Some(field) = body.pointer_mut(pointer) {
                            *field = value;
                        }
                    }
                });
            }
            Act::CreateAccounts => self.create_accounts(),
            Act::ChangePassword => self.change_password(),
            Act::DeleteAccounts => self.delete_accounts(),
            Act::CreateBackup => self.create_backup(),
            Act::CreateBackupOf(name, database) => self.create_backup_of(name, database),
            Act::CreateBackupSchedule => self.create_backup_schedule(),
            Act::CreateSnapshot(cleanup) => self.create_snapshot(cleanup),
            Act::CreateRareCopies => self.create_rare_copies(),
            Act::SuspendCopies => self.suspend_copies(),
            Act::DeleteCopies => self.delete_copies(),
            Act::There => self.go_there(),
            Act::Back => self.go_back(),
            Act::Trouble(trouble) => self.on_trouble(trouble),
        }
    }
}
