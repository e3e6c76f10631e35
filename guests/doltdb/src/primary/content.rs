//! What data a server has, and whether another has all of it: databases, branches, commits, and the hash of everything in a database.
//!
//! Data are compared, never times. It knows nothing of roles.

use std::collections::BTreeMap;

use dolt::READ_DEADLINE;
use sdk::{Query, Rows, RowsExt, SqlError, Statement, World, sql, value};

use crate::target::Target;

/// Databases that Dolt makes up and that hold no data of users.
const VIRTUAL: [&str; 2] = ["information_schema", "dolt_cluster"];

/// The content of one server by databases.
pub(crate) type Content = BTreeMap<String, Heads>;

/// The content of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heads {
    /// The hash of all that is in it, also of what is in no commit.
    everything: String,
    /// The commit of each branch.
    branches: BTreeMap<String, String>,
}

/// How the data of one server stand to those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Both have the same.
    Same,
    /// All commits of the other are among its own.
    Ahead,
    /// The same commits, with other changes that are in no commit yet.
    Unclear,
    /// The other has what it has not.
    Lacks,
}

/// The databases of these servers.
///
/// # Errors
/// Which server did not tell, and why.
pub(crate) fn databases(world: &dyn World, target: &Target, ordinals: &[i32]) -> Result<BTreeMap<i32, Vec<String>>, String> {
    let statement = || sql!("SELECT schema_name FROM information_schema.schemata ORDER BY schema_name");
    let questions: Vec<Query> = ordinals.iter().map(|ordinal| query(target, *ordinal, None, vec![statement()])).collect();
    let answers = ask(world, &questions);
    ordinals
        .iter()
        .zip(answers)
        .map(|(ordinal, answer)| {
            let names = names(&answer).map_err(|why| format!("the databases of {} are not known: {why}", target.pod(*ordinal)))?;
            Ok((*ordinal, names))
        })
        .collect()
}

/// The databases of one server.
///
/// # Errors
/// As [`databases`].
pub(crate) fn databases_of(world: &dyn World, target: &Target, ordinal: i32) -> Result<Vec<String>, String> {
    Ok(databases(world, target, &[ordinal])?.remove(&ordinal).unwrap_or_default())
}

/// The content of these servers.
///
/// # Errors
/// Which server did not tell, and why.
pub(crate) fn contents(world: &dyn World, target: &Target, ordinals: &[i32]) -> Result<BTreeMap<i32, Content>, String> {
    let databases = databases(world, target, ordinals)?;
    let places: Vec<(i32, &String)> = databases.iter().flat_map(|(ordinal, names)| names.iter().map(|name| (*ordinal, name))).collect();
    let statements = || vec![sql!("SELECT dolt_hashof_db()"), sql!("SELECT name, hash FROM dolt_branches ORDER BY name")];
    let questions: Vec<Query> =
        places.iter().map(|(ordinal, database)| query(target, *ordinal, Some((*database).clone()), statements())).collect();
    let mut contents: BTreeMap<i32, Content> = ordinals.iter().map(|ordinal| (*ordinal, Content::new())).collect();
    for ((ordinal, database), answer) in places.into_iter().zip(ask(world, &questions)) {
        let heads = heads(&answer).map_err(|why| format!("the content of {database} on {} is not known: {why}", target.pod(ordinal)))?;
        contents.entry(ordinal).or_default().insert(database.clone(), heads);
    }
    Ok(contents)
}

/// Whether two servers have the same data.
///
/// # Errors
/// Which server did not tell, and why.
pub(crate) fn same(world: &dyn World, target: &Target, one: i32, other: i32) -> Result<bool, String> {
    let contents = contents(world, target, &[one, other])?;
    Ok(contents.get(&one) == contents.get(&other))
}

/// The databases of one server of which another has none, or something else: commits that the one has not. Data that were made anew, under whatever
/// name, are such.
///
/// # Errors
/// Which server did not tell, and why.
pub(crate) fn lost(world: &dyn World, target: &Target, one: i32, other: i32) -> Result<Vec<String>, String> {
    let mut contents = contents(world, target, &[one, other])?;
    let [ours, mut theirs] = [one, other].map(|ordinal| contents.remove(&ordinal).unwrap_or_default());
    let mut lost = Vec::new();
    for (database, heads) in ours {
        let has_it = match theirs.remove_entry(&database) {
            Some(there) => {
                let ours = Content::from([(database.clone(), heads)]);
                standing(world, target, (one, &ours), (other, &Content::from([there])))? != Standing::Lacks
            }
            None => false,
        };
        if !has_it {
            lost.push(database);
        }
    }
    Ok(lost)
}

/// The databases of which two servers have the same commits, and other changes that are in no commit yet.
pub(crate) fn unclear(one: &Content, other: &Content) -> Vec<String> {
    let differ = |database: &String, ours: &Heads| {
        other.get(database).is_some_and(|theirs| ours.everything != theirs.everything && ours.branches == theirs.branches)
    };
    one.iter().filter(|(database, ours)| differ(database, ours)).map(|(database, _)| database.clone()).collect()
}

/// How the data of `one` stand to those of `other`.
///
/// # Errors
/// When `one` can't be asked whether it has a commit.
pub(crate) fn standing(world: &dyn World, target: &Target, one: (i32, &Content), other: (i32, &Content)) -> Result<Standing, String> {
    if one.1 == other.1 {
        return Ok(Standing::Same);
    }
    let mut standing = Standing::Same;
    let mut asked = Vec::new();
    for (database, theirs) in other.1 {
        let Some(ours) = one.1.get(database) else { return Ok(Standing::Lacks) };
        for (branch, commit) in &theirs.branches {
            match ours.branches.get(branch) {
                None => return Ok(Standing::Lacks),
                Some(ours) if ours != commit => asked.push((database, branch, commit)),
                Some(_) => {}
            }
        }
        if ours.everything != theirs.everything && ours.branches == theirs.branches {
            standing = Standing::Unclear;
        }
    }
    let questions: Vec<Query> = asked
        .iter()
        .map(|(database, branch, commit)| {
            let has = sql!("SELECT COUNT(*) FROM dolt_log(?) WHERE commit_hash = ?", value(branch.as_str()), value(commit.as_str()));
            query(target, one.0, Some((*database).clone()), vec![has])
        })
        .collect();
    for answer in ask(world, &questions) {
        let found = found(&answer).map_err(|why| format!("the commits of {} are not known: {why}", target.pod(one.0)))?;
        if !found {
            return Ok(Standing::Lacks);
        }
    }
    Ok(if standing == Standing::Unclear { standing } else { Standing::Ahead })
}

fn query(target: &Target, ordinal: i32, database: Option<String>, statements: Vec<Statement>) -> Query {
    Query { endpoint: target.servers.pod(ordinal), database, statements, deadline: READ_DEADLINE, max_rows: 10_000 }
}

fn ask(world: &dyn World, questions: &[Query]) -> Vec<Result<Vec<Rows>, SqlError>> {
    if questions.is_empty() { Vec::new() } else { world.query(questions) }
}

fn names(answer: &Result<Vec<Rows>, SqlError>) -> Result<Vec<String>, String> {
    let results = answer.as_ref().map_err(|error| error.message.clone())?;
    let names = texts(results.first().ok_or("no rows")?, 0)?;
    Ok(names.into_iter().filter(|name| !VIRTUAL.contains(&name.as_str())).collect())
}

fn heads(answer: &Result<Vec<Rows>, SqlError>) -> Result<Heads, String> {
    let results = answer.as_ref().map_err(|error| error.message.clone())?;
    let [everything, branches] = results.as_slice() else { return Err("no rows".to_owned()) };
    let everything = texts(everything, 0)?.pop().ok_or("no hash")?;
    let branches = texts(branches, 0)?.into_iter().zip(texts(branches, 1)?).collect();
    Ok(Heads { everything, branches })
}

fn found(answer: &Result<Vec<Rows>, SqlError>) -> Result<bool, String> {
    let results = answer.as_ref().map_err(|error| error.message.clone())?;
    let cell = results.first().ok_or("no rows")?.cell(0, 0).map_err(|error| error.to_string())?;
    cell.ok_or("no row")?.truth().map_err(|error| error.to_string())
}

fn texts(rows: &Rows, column: usize) -> Result<Vec<String>, String> {
    let cells = rows.column(column).map_err(|error| error.to_string())?;
    cells.iter().map(|cell| cell.text().map(ToOwned::to_owned).map_err(|error| error.to_string())).collect()
}
