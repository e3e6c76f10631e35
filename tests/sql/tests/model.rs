//! The simulator's model of Dolt against real servers: the same scripts, the same answers.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use host::contract::{Argument, Statement, Value};
use mysql_async::{Row, from_value, prelude::Queryable};
use rstest::rstest;
use sim::dolt::{Answer, Config, Dolt, Role};
use sql_tests::{Cluster, sql, val};

/// How long real servers may take until they are where the model is.
const PATIENCE: Duration = Duration::from_secs(25);

/// A step of a script. The first number is a server.
#[derive(Debug, Clone, Copy)]
enum Op {
    Assume(usize, &'static str, u64),
    Transition(usize, u64, u64),
    /// A second try while the first still waits.
    TransitionTwice(usize, u64, u64),
    /// A second try by the other procedure while the first still waits.
    TransitionThenAssume(usize, u64, u64),
    Write(usize, u64),
    /// A statement in a database, or in none, with its words: those with a backtick in front are names, `true` is no text.
    Say(usize, &'static str, &'static str, &'static [&'static str]),
    /// The same, where the real server may take its time until it answers as the model does.
    Hear(usize, &'static str, &'static str, &'static [&'static str]),
    /// What it has of this database is copied to a folder of its own.
    Copy(usize, &'static str),
    /// What is in that folder, and has been written to the database.
    Copied(usize, &'static str),
    Stop(usize),
    /// The same, and all that it had is gone.
    LoseData(usize),
    Start(usize),
    /// The configuration, with which it starts the next time, does not name the other one.
    Forget(usize, usize),
    Freeze(usize),
    Thaw(usize),
    /// Whatever happens by itself has happened.
    Settle,
}

/// What an operation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Came {
    /// Rows as text.
    Rows(Vec<Vec<String>>),
    Refused(String),
}

/// What a server is and has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    role: String,
    epoch: u64,
    writes: Vec<u64>,
}

/// The model under the names and volumes of the real cluster.
struct Model {
    dolt: Dolt,
    configs: Vec<Config>,
}

impl Model {
    fn start(roles: &[&str]) -> Self {
        let name = |n: usize| format!("s{n}");
        let configs: Vec<Config> = roles
            .iter()
            .enumerate()
            .map(|(n, role)| Config {
                peers: (0..roles.len()).filter(|peer| *peer != n).map(name).collect(),
                bootstrap_role: if *role == "primary" { Role::Primary } else { Role::Standby },
                bootstrap_epoch: 1,
                alone: false,
            })
            .collect();
        let mut model = Self { dolt: Dolt::new(1), configs };
        (0..roles.len()).for_each(|n| model.up(n));
        model.pass(5_000);
        model
    }

    fn up(&mut self, n: usize) {
        let config = self.configs[n].clone();
        self.dolt.start(&format!("s{n}"), &format!("v{n}"), &config);
    }

    fn pass(&mut self, time: u64) {
        let until = self.dolt.now + time;
        while self.dolt.next() <= until {
            self.dolt.now = self.dolt.now.max(self.dolt.next());
            self.dolt.step();
        }
        self.dolt.now = until;
    }

    fn call(&mut self, n: usize, text: &str, arguments: [Value; 2]) -> Came {
        let mut session = self.dolt.connect(&format!("s{n}"), None).unwrap();
        let mut answer = self.dolt.run(&mut session, &sql(text, arguments.map(val)));
        while let Answer::Waits(id) = answer {
            self.pass(10);
            answer = self.dolt.later_answer(&mut session, id).unwrap_or(Answer::Waits(id));
        }
        came(answer)
    }

    fn say(&mut self, n: usize, database: &str, text: &str, words: &[&str]) -> Came {
        let mut session = self.dolt.connect(&format!("s{n}"), Some(database).filter(|name| !name.is_empty())).unwrap();
        let argument = |word: &&str| match word.strip_prefix('`') {
            Some(name) => Argument::Identifier(name.into()),
            None if *word == "true" => val(Value::Boolean(true)),
            None => val(Value::Text((*word).into())),
        };
        let statement = Statement { text: text.into(), arguments: words.iter().map(argument).collect() };
        let mut answer = self.dolt.run(&mut session, &statement);
        while let Answer::Waits(id) = answer {
            self.pass(100);
            answer = self.dolt.later_answer(&mut session, id).unwrap_or(Answer::Waits(id));
        }
        came(answer)
    }

    fn state(&self, n: usize) -> Option<State> {
        let (role, epoch) = self.dolt.state(&format!("s{n}")).filter(|_| self.dolt.answers(&format!("s{n}")))?;
        let volume = self.dolt.volume(&format!("v{n}"))?;
        let writes = volume.databases.get("app").map(|content| content.writes.iter().collect()).unwrap_or_default();
        Some(State { role: role.to_string(), epoch, writes })
    }
}

fn came(answer: Answer) -> Came {
    match answer {
        Answer::Rows(rows) => {
            let rows = rows.rows.iter().map(|row| row.iter().take(3).map(value).collect());
            Came::Rows(sorted(rows.collect()))
        }
        Answer::Error(_, words) => Came::Refused(words),
        Answer::Lost => Came::Refused("connection closed".into()),
        other => panic!("{other:?}"),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Signed(n) => n.to_string(),
        Value::Text(text) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// Without the databases that hold no data of users: when these are tried again depends on how long a server took to come up.
fn sorted(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    rows.retain(|row| row.get(1).is_none_or(|database| database != "mysql" && database != "dolt_branch_control"));
    rows.sort();
    rows
}

fn real_rows(rows: Result<Vec<Row>, String>) -> Came {
    let cell = |value: mysql_async::Value| match value {
        mysql_async::Value::Int(n) => n.to_string(),
        mysql_async::Value::UInt(n) => n.to_string(),
        other => from_value::<String>(other),
    };
    match rows {
        Ok(rows) => Came::Rows(sorted(rows.into_iter().map(|row| row.unwrap().into_iter().take(3).map(cell).collect()).collect())),
        Err(words) if words.ends_with("connection closed") => Came::Refused("connection closed".into()),
        Err(words) => Came::Refused(words),
    }
}

/// A statement with its words in their places.
fn written(text: &str, words: &[&str]) -> String {
    words.iter().fold(text.to_owned(), |text, word| match word.strip_prefix('`') {
        Some(name) => text.replacen("??", &format!("`{name}`"), 1),
        None if *word == "true" => text.replacen('?', "true", 1),
        None => text.replacen('?', &format!("'{word}'"), 1),
    })
}

/// A destination in a folder of a server.
fn url(folder: &Path, database: &str) -> String {
    format!("file://{}/.backups/{database}", folder.display())
}

async fn say(cluster: &Cluster, n: usize, database: &str, statement: &str) -> Came {
    let mut conn = cluster.connect(n).await.unwrap();
    let mut said = Ok(Vec::new());
    for statement in [format!("USE `{database}`"), statement.to_owned()].iter().skip(usize::from(database.is_empty())) {
        said = conn.query(statement).await.map_err(|error| match error {
            mysql_async::Error::Server(error) => error.message,
            other => other.to_string(),
        });
        if said.is_err() {
            break;
        }
    }
    drop(conn.disconnect().await);
    real_rows(said)
}

/// Privileges in the order of the alphabet, and no hashes.
fn alike(came: Came) -> Came {
    let cell = |text: String| {
        if text.len() == 32 && text.chars().all(|c| c.is_ascii_alphanumeric()) {
            return "a hash".to_owned();
        }
        let Some((names, rest)) = text.strip_prefix("GRANT ").and_then(|text| text.split_once(" ON ")) else { return text };
        let mut names: Vec<&str> = names.split(", ").collect();
        names.sort_unstable();
        format!("GRANT {} ON {rest}", names.join(", "))
    };
    match came {
        Came::Rows(rows) => Came::Rows(sorted(rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect())),
        refused => refused,
    }
}

/// None where a change of the role has just ended the connection.
async fn real_state(cluster: &Cluster, n: usize) -> Option<State> {
    let rows = cluster.ask(n, "SELECT @@global.dolt_cluster_role, @@global.dolt_cluster_role_epoch").await.ok()?;
    let Came::Rows(rows) = real_rows(Ok(rows)) else { unreachable!() };
    let writes = cluster.ask(n, "SELECT n FROM app.t").await;
    let writes = match real_rows(writes) {
        Came::Rows(rows) => rows.iter().map(|row| row[0].parse().unwrap()).collect(),
        Came::Refused(_) => Vec::new(),
    };
    Some(State { role: rows[0][0].clone(), epoch: rows[0][1].parse().unwrap(), writes: in_order(writes) })
}

/// Rows come back sorted as text.
fn in_order(mut writes: Vec<u64>) -> Vec<u64> {
    writes.sort_unstable();
    writes
}

async fn write(cluster: &Cluster, n: usize, write: u64) -> Came {
    for statement in ["CREATE DATABASE IF NOT EXISTS app", "CREATE TABLE IF NOT EXISTS app.t (n BIGINT PRIMARY KEY)"] {
        if let Err(words) = cluster.ask(n, statement).await {
            return Came::Refused(words);
        }
    }
    match cluster.ask(n, &format!("INSERT INTO app.t (n) VALUES ({write})")).await {
        Ok(_) => Came::Rows(vec![]),
        Err(words) => Came::Refused(words),
    }
}

use Op::*;

#[rstest]
#[case::a_lower_epoch_and_an_equal_one_with_another_role_are_refused(&["primary", "standby"], &[
    Write(0, 1), Settle, Assume(0, "primary", 5), Assume(0, "primary", 4), Assume(0, "standby", 5), Assume(0, "detected_broken_config", 9),
    Assume(0, "leader", 9), Assume(0, "primary", 5), Settle, Assume(1, "primary", 5), Transition(0, 5, 1), Transition(0, 4, 1),
    Transition(1, 6, 1),
])]
#[case::a_primary_steps_down_where_enough_standbys_are_caught_up(&["primary", "standby", "standby"], &[
    Write(0, 1), Settle, Transition(0, 2, 2), Write(0, 2), Settle, Assume(1, "primary", 2), Assume(1, "primary", 3), Write(1, 3), Settle,
])]
#[case::a_dead_standby_costs_the_whole_wait_and_does_not_matter_where_others_are_enough(&["primary", "standby", "standby"], &[
    Write(0, 1), Settle, Stop(2), Write(0, 2), Transition(0, 2, 1), Settle,
])]
#[case::too_few_standbys_and_the_writes_come_back(&["primary", "standby", "standby"], &[
    Write(0, 1), Settle, Stop(2), Write(0, 2), Transition(0, 2, 2), Write(0, 3), Assume(0, "standby", 2), Write(0, 4), Settle,
])]
#[case::a_frozen_primary_follows_its_successor_and_loses_what_it_alone_had(&["primary", "standby"], &[
    Write(0, 1), Settle, Freeze(0), Assume(1, "primary", 2), Write(1, 2), Thaw(0), Settle, Write(0, 3),
])]
#[case::an_old_primary_comes_back_writable_and_then_follows(&["primary", "standby"], &[
    Write(0, 1), Settle, Stop(1), Write(0, 2), Stop(0), Start(1), Assume(1, "primary", 2), Write(1, 3), Start(0), Settle,
])]
#[case::two_primaries_of_one_epoch_are_broken_until_a_later_one_shows(&["primary", "standby", "primary"], &[
    Write(0, 1), Settle, Write(0, 2), Assume(1, "primary", 2), Settle, Write(1, 3), Settle,
])]
#[case::a_standby_of_a_later_epoch_takes_what_an_earlier_primary_sends(&["primary", "standby", "standby"], &[
    Write(0, 1), Settle, Freeze(0), Assume(1, "primary", 2), Write(1, 2), Settle, Stop(1), Thaw(0), Write(0, 3), Settle,
])]
#[case::nothing_is_taken_from_a_server_that_is_not_known(&["primary", "standby", "standby"], &[
    Write(0, 1), Settle, Stop(1), Forget(1, 0), Start(1), Write(0, 2), Settle, Assume(2, "primary", 2), Write(2, 3), Settle,
])]
#[case::a_later_epoch_of_a_server_that_is_not_known_counts(&["primary", "standby", "standby"], &[
    Write(0, 1), Settle, Stop(1), Forget(1, 0), Start(1), Assume(0, "primary", 5), Write(0, 2), Settle,
])]
#[case::a_second_try_to_step_down_is_refused(&["primary", "standby", "standby"], &[
    Write(0, 1), Settle, Stop(2), Write(0, 2), TransitionTwice(0, 2, 1), Settle,
])]
#[case::a_second_try_by_the_other_procedure_fails_and_gives_the_writes_back(&["primary", "standby", "standby"], &[
    Write(0, 1), Settle, Stop(2), Write(0, 2), TransitionThenAssume(0, 2, 1),
])]
#[case::accounts_are_made_and_taken_for_one_another_and_dropped(&["primary", "standby"], &[
    Say(0, "", "CREATE USER ?@? IDENTIFIED BY ?", &["a", "%", "x"]), Say(0, "", "CREATE USER ?@? IDENTIFIED BY ?", &["a", "%", "x"]),
    Say(1, "", "CREATE USER ?@? IDENTIFIED BY ?", &["b", "%", "x"]), Say(0, "", "ALTER USER ?@? IDENTIFIED BY ?", &["a", "%", "y"]),
    Say(0, "", "ALTER USER ?@? IDENTIFIED BY ?", &["c", "%", "y"]), Say(0, "", "SHOW GRANTS FOR ?@?", &["c", "%"]),
    Say(0, "", "SHOW GRANTS FOR ?@?", &["a", "10.0.0.1"]), Hear(1, "", "SHOW GRANTS FOR ?@?", &["a", "%"]),
    Say(0, "", "SELECT user, host FROM mysql.user WHERE user = ? AND BINARY host = ?", &["a", "%"]),
    Say(0, "", "SELECT @@global.dolt_cluster_role FROM mysql.user WHERE user = ? AND BINARY host = ?", &["a", "%"]),
    Say(0, "", "SELECT @@global.dolt_cluster_role FROM mysql.user WHERE user = ? AND BINARY host = ?", &["a", "10.0.0.1"]),
    Say(1, "", "DROP USER IF EXISTS ?@?", &["a", "%"]), Say(0, "", "DROP USER IF EXISTS ?@?", &["a", "10.0.0.1"]),
    Say(0, "", "FLUSH PRIVILEGES", &[]), Say(1, "", "FLUSH PRIVILEGES", &[]),
    Say(0, "", "DROP USER IF EXISTS ?@?", &["a", "%"]), Hear(1, "", "SHOW GRANTS FOR ?@?", &["a", "%"]),
])]
#[case::privileges_are_given_and_taken_away(&["primary", "standby"], &[
    Say(0, "", "CREATE USER ?@? IDENTIFIED BY ?", &["a", "%", "x"]), Say(0, "", "SHOW GRANTS FOR ?@?", &["a", "%"]),
    Say(0, "", "GRANT UPDATE, SELECT ON ??.* TO ?@?", &["`shop", "a", "%"]),
    Say(0, "", "GRANT SELECT, GRANT OPTION ON ??.?? TO ?@?", &["`shop", "`items", "a", "%"]),
    Say(0, "", "GRANT PROCESS ON *.* TO ?@?", &["a", "%"]), Say(0, "", "GRANT SELECT ON *.* TO ?@?", &["c", "%"]),
    Say(1, "", "GRANT SELECT ON *.* TO ?@?", &["a", "%"]), Say(0, "", "SHOW GRANTS FOR ?@?", &["a", "%"]),
    Hear(1, "", "SHOW GRANTS FOR ?@?", &["a", "%"]),
    Say(0, "", "SELECT 1 FROM mysql.tables_priv WHERE user = ? AND BINARY host = ? AND LOWER(db) = ? AND LOWER(table_name) = ? \
        AND table_priv LIKE ?", &["a", "%", "shop", "items", "%Grant%"]),
    Say(0, "", "SELECT 1 FROM mysql.db WHERE user = ? AND BINARY host = ? AND LOWER(db) = ? AND grant_priv = ?", &["a", "%", "shop", "Y"]),
    Say(0, "", "REVOKE SELECT ON ??.* FROM ?@?", &["`shop", "a", "%"]), Say(0, "", "SHOW GRANTS FOR ?@?", &["a", "%"]),
    Say(0, "", "REVOKE UPDATE ON ??.* FROM ?@?", &["`shop", "a", "%"]), Say(0, "", "SHOW GRANTS FOR ?@?", &["a", "%"]),
    Say(0, "", "REVOKE SELECT ON *.* FROM ?@?", &["c", "%"]), Hear(1, "", "SHOW GRANTS FOR ?@?", &["a", "%"]),
])]
#[case::databases_come_and_go_with_their_ignore_patterns(&["primary", "standby"], &[
    Say(0, "", "CREATE DATABASE IF NOT EXISTS ??", &["`shop"]), Say(0, "", "CREATE DATABASE IF NOT EXISTS ??", &["`shop"]),
    Say(1, "", "CREATE DATABASE IF NOT EXISTS ??", &["`other"]),
    Say(0, "", "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = ?", &["shop"]),
    Say(0, "shop", "INSERT INTO dolt_ignore (pattern, ignored) VALUES (?, ?) ON DUPLICATE KEY UPDATE ignored = ?", &["t%", "true", "true"]),
    Say(0, "shop", "SELECT table_name, staged FROM dolt_status", &[]), Say(0, "shop", "CALL DOLT_ADD(?)", &["dolt_ignore"]),
    Say(0, "shop", "SELECT table_name, staged FROM dolt_status", &[]),
    Say(0, "shop", "CALL DOLT_COMMIT(?, ?, ?)", &["--skip-empty", "-m", "m"]), Say(0, "shop", "SELECT table_name, staged FROM dolt_status", &[]),
    Say(0, "shop", "CALL DOLT_BRANCH(?, ?)", &["dev", "main"]), Say(0, "shop", "SELECT COUNT(*) FROM dolt_branches WHERE name = ?", &["dev"]),
    Say(0, "shop", "SELECT active_branch()", &[]), Hear(1, "shop", "SELECT pattern, ignored FROM dolt_ignore", &[]),
    Say(0, "shop", "DELETE FROM dolt_ignore WHERE pattern = ?", &["t%"]), Say(0, "shop", "SELECT table_name, staged FROM dolt_status", &[]),
    Say(1, "", "DROP DATABASE IF EXISTS ??", &["`shop"]), Say(0, "", "DROP DATABASE IF EXISTS ??", &["`shop"]),
    Say(0, "", "DROP DATABASE IF EXISTS ??", &["`shop"]),
    Hear(1, "", "SELECT schema_name FROM information_schema.schemata ORDER BY schema_name", &[]),
])]
#[case::a_copy_has_what_was_written_and_is_overwritten_by_the_next(&["primary", "standby"], &[
    Say(0, "", "CALL dolt_backup(?, ?)", &["sync-url", "file:///db/.backups/x"]), Write(0, 1), Write(0, 2), Copy(0, "app"), Write(0, 3),
    Copied(0, "app"), Copy(0, "app"), Copied(0, "app"), Settle, Copy(1, "app"), Assume(1, "primary", 2), Settle, Write(1, 4),
    Copied(1, "app"), Copy(1, "app"), Copied(1, "app"),
])]
#[case::a_standby_that_lost_its_data_has_an_empty_database_until_there_is_something_new(&["primary", "standby"], &[
    Write(0, 1), Write(0, 2), Settle, LoseData(1), Start(1),
    Hear(1, "", "SELECT schema_name FROM information_schema.schemata ORDER BY schema_name", &[]), Settle,
    Hear(0, "", "SELECT ??, standby_remote, replication_lag_millis FROM ??.?? ORDER BY ??",
        &["`database", "`dolt_cluster", "`dolt_cluster_status", "`database"]),
    Settle, Write(0, 3), Settle,
])]
#[tokio::test]
async fn the_model_answers_as_dolt_does(#[case] roles: &[&str], #[case] script: &[Op]) {
    let mut model = Model::start(roles);
    let mut cluster = Cluster::start(roles).await;
    for (place, op) in script.iter().enumerate() {
        let (modelled, real) = both(&mut model, &mut cluster, *op).await;
        assert_eq!(modelled, real, "{op:?}, step {place}; the model's answer is on the left");
    }
}

async fn both(model: &mut Model, cluster: &mut Cluster, op: Op) -> (Option<Came>, Option<Came>) {
    model.pass(50);
    match op {
        Assume(n, role, epoch) => {
            let modelled = model.call(n, "CALL DOLT_ASSUME_CLUSTER_ROLE(?, ?)", [Value::Text(role.into()), Value::Unsigned(epoch)]);
            (Some(modelled), Some(real_rows(cluster.ask(n, &format!("CALL DOLT_ASSUME_CLUSTER_ROLE('{role}', {epoch})")).await)))
        }
        Transition(n, epoch, least) => {
            let call = "CALL DOLT_CLUSTER_TRANSITION_TO_STANDBY(?, ?)";
            let modelled = model.call(n, call, [Value::Unsigned(epoch), Value::Unsigned(least)]);
            (Some(modelled), Some(real_rows(cluster.ask(n, &format!("CALL DOLT_CLUSTER_TRANSITION_TO_STANDBY({epoch}, {least})")).await)))
        }
        TransitionTwice(n, epoch, least) | TransitionThenAssume(n, epoch, least) => {
            let again = matches!(op, TransitionTwice(..));
            let assume = sql("CALL DOLT_ASSUME_CLUSTER_ROLE(?, ?)", [Value::Text("standby".into()), Value::Unsigned(epoch)].map(val));
            let statement = sql("CALL DOLT_CLUSTER_TRANSITION_TO_STANDBY(?, ?)", [Value::Unsigned(epoch), Value::Unsigned(least)].map(val));
            let name = format!("s{n}");
            let mut first = model.dolt.connect(&name, None).unwrap();
            let Answer::Waits(id) = model.dolt.run(&mut first, &statement) else { panic!("the first try should wait") };
            model.pass(2_000);
            let mut second = model.dolt.connect(&name, None).unwrap();
            let refused = came(model.dolt.run(&mut second, if again { &statement } else { &assume }));
            let wrote = model.dolt.write(&name, "app", 99).is_ok();
            model.pass(12_000);
            let ended = came(model.dolt.later_answer(&mut first, id).unwrap());
            let modelled = format!("{refused:?}, then a write: {wrote}, and the first: {ended:?}");

            let call = format!("CALL DOLT_CLUSTER_TRANSITION_TO_STANDBY({epoch}, {least})");
            let waiting = cluster.ask(n, &call);
            let meanwhile = async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                let assume = format!("CALL DOLT_ASSUME_CLUSTER_ROLE('standby', {epoch})");
                let refused = real_rows(cluster.ask(n, if again { &call } else { &assume }).await);
                let wrote = matches!(write(cluster, n, 99).await, Came::Rows(_));
                (refused, wrote)
            };
            let (ended, (refused, wrote)) = tokio::join!(waiting, meanwhile);
            let ended = real_rows(ended);
            (Some(Came::Refused(modelled)), Some(Came::Refused(format!("{refused:?}, then a write: {wrote}, and the first: {ended:?}"))))
        }
        Write(n, number) => {
            let modelled = match model.dolt.write(&format!("s{n}"), "app", number) {
                Ok(()) => Came::Rows(vec![]),
                Err(words) => Came::Refused(words),
            };
            (Some(modelled), Some(write(cluster, n, number).await))
        }
        Say(n, database, text, words) => {
            let modelled = model.say(n, database, text, words);
            (Some(alike(modelled)), Some(alike(say(cluster, n, database, &written(text, words)).await)))
        }
        Hear(n, database, text, words) => {
            model.pass(20_000);
            let modelled = alike(model.say(n, database, text, words));
            let until = Instant::now() + PATIENCE;
            loop {
                let real = alike(say(cluster, n, database, &written(text, words)).await);
                if real == modelled || Instant::now() > until {
                    break (Some(modelled), Some(real));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Copy(n, database) => {
            let call = "CALL dolt_backup(?, ?)";
            let modelled = model.say(n, database, call, &["sync-url", &url(Path::new("/db"), database)]);
            let real = written(call, &["sync-url", &url(cluster.servers[n].folder.path(), database)]);
            (Some(modelled), Some(say(cluster, n, database, &real).await))
        }
        Copied(n, database) => {
            let copied = model.dolt.at(Some(&format!("v{n}")), &url(Path::new("/db"), database)).unwrap();
            let modelled = Came::Rows(copied.content.writes.iter().map(|write| vec![write.to_string()]).collect());
            // That another one was dropped a standby may not have heard when it becomes primary.
            let again = format!("again_{n}_{}", copied.content.writes.len());
            let from = url(cluster.servers[n].folder.path(), database);
            cluster.ask(n, &format!("CALL dolt_backup('restore', '{from}', '{again}')")).await.unwrap();
            let real = real_rows(cluster.ask(n, &format!("SELECT n FROM {again}.t")).await);
            cluster.ask(n, &format!("DROP DATABASE {again}")).await.unwrap();
            (Some(modelled), Some(real))
        }
        Stop(n) => {
            model.dolt.stop(&format!("s{n}"));
            cluster.servers[n].stop();
            (None, None)
        }
        LoseData(n) => {
            model.dolt.stop(&format!("s{n}"));
            model.dolt.wipe(&format!("v{n}"));
            cluster.servers[n].lose_data();
            (None, None)
        }
        Start(n) => {
            model.up(n);
            cluster.servers[n].up().await;
            (None, None)
        }
        Forget(n, peer) => {
            model.configs[n].peers.retain(|name| *name != format!("s{peer}"));
            cluster.servers[n].forget(peer);
            (None, None)
        }
        Freeze(n) | Thaw(n) => {
            let frozen = matches!(op, Freeze(_));
            model.dolt.freeze(&format!("s{n}"), frozen);
            cluster.servers[n].freeze(frozen);
            (None, None)
        }
        Settle => {
            model.pass(20_000);
            let until = Instant::now() + PATIENCE;
            for n in 0..cluster.servers.len() {
                let Some(wanted) = model.state(n) else { continue };
                let wanted = State { writes: in_order(wanted.writes), ..wanted };
                loop {
                    let is = real_state(cluster, n).await;
                    if is.as_ref() == Some(&wanted) {
                        break;
                    }
                    assert!(Instant::now() < until, "s{n} of the model is {wanted:?}, the real one {is:?}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            (None, None)
        }
    }
}

/// The question by which the reconciler tells a primary that is lost from one that it can't reach itself. Dolt refuses it with `NOW()`.
#[tokio::test]
async fn a_standby_says_how_long_ago_it_heard_from_its_primary() {
    let mut cluster = Cluster::start(&["primary", "standby"]).await;
    cluster.ask(0, "CREATE DATABASE app").await.unwrap();
    let until = Instant::now() + PATIENCE;
    let heard = async |cluster: &Cluster| {
        let question = "SELECT TIMESTAMPDIFF(MICROSECOND, MAX(last_update), NOW(6)) FROM dolt_cluster.dolt_cluster_status";
        let rows = cluster.ask(1, question).await.unwrap();
        from_value::<Option<u64>>(rows[0][0].clone()).map(Duration::from_micros)
    };
    while heard(&cluster).await.is_none_or(|ago| ago > Duration::from_secs(2)) {
        assert!(Instant::now() < until, "the standby has heard nothing");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.servers[0].stop();
    let stopped = Instant::now();
    while heard(&cluster).await.is_none_or(|ago| ago < Duration::from_secs(3)) {
        assert!(Instant::now() < until, "the standby goes on hearing from a server that has ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(stopped.elapsed() <= Duration::from_secs(4), "{:?} of silence are told late", stopped.elapsed());

    // By the guard of a promotion: there is no other sign until the primary is back.
    let last_sign = async |cluster: &Cluster| {
        let question =
            "SELECT (SELECT COALESCE(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', MAX(last_update)), 0) FROM dolt_cluster.dolt_cluster_status)";
        from_value::<u64>(cluster.ask(1, question).await.unwrap()[0][0].clone())
    };
    let last = last_sign(&cluster).await;
    let passed = heard(&cluster).await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert!((now - passed).abs_diff(Duration::from_micros(last)) < Duration::from_secs(5), "{last}, {passed:?} ago");
    assert_eq!(last_sign(&cluster).await, last);
    cluster.servers[0].up().await;
    let until = Instant::now() + PATIENCE;
    while last_sign(&cluster).await == last {
        assert!(Instant::now() < until, "the standby does not hear from a primary that is back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// By which the reconciler knows that a server has lost its volume.
#[tokio::test]
async fn a_server_keeps_its_uuid_as_long_as_its_volume() {
    let mut cluster = Cluster::start(&["primary", "standby"]).await;
    let uuid = async |cluster: &Cluster| from_value::<String>(cluster.ask(0, "SELECT @@global.server_uuid").await.unwrap()[0][0].clone());
    let first = uuid(&cluster).await;
    cluster.ask(0, "CALL DOLT_ASSUME_CLUSTER_ROLE('primary', 2)").await.unwrap();
    cluster.servers[0].stop();
    cluster.servers[0].up().await;
    assert_eq!(uuid(&cluster).await, first);
    cluster.servers[0].lose_data();
    cluster.servers[0].up().await;
    assert_ne!(uuid(&cluster).await, first);
}
