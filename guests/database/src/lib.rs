//! Reconciler of Database: sees to it that a database exists on the primary of its DoltDB, with its branches and ignore patterns, and drops it
//! when the object goes, if that is wanted.
//!
//! It compares before it writes: a database that is as it should be gets no statement that writes.

mod finalize;
mod observe;
mod patterns;
mod validate;
mod work;

use crds::{API_VERSION, Database, names::FINALIZER_DATABASE};
use dolt::{Answers, Obstacle, Primary, Round, conflict, invalid_spec, mark};
use sdk::{Description, Failure, Permission, Plan, Reconciler, Request, Typed, World, kind};
use serde_json::{Value as Json, json};

use crate::observe::{Observed, schema_question};

/// Reconciles Database.
#[derive(Debug, Clone, Copy)]
pub struct DatabaseReconciler;

sdk::export!(crate::DatabaseReconciler);

impl Reconciler for DatabaseReconciler {
    fn describe() -> Description {
        let own = kind(API_VERSION, Database::KIND);
        let mut permissions = dolt::permissions();
        permissions.extend([Permission::Read(own.clone()), Permission::Label(own.clone())]);
        Description {
            name: "database".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reconciles: own,
            permissions,
            settings_schema: dolt::SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn reconcile(world: &dyn World, request: &Request) -> Result<Plan, Failure> {
        let database: Typed<Database> = request.object_as()?;
        let spec = &database.body.spec;
        let round = Round::new(world, request, &spec.dolt_db_ref, &spec.sql)?;
        if database.header.deleting {
            return finalize::finalize(&round, &database);
        }
        if let Some(obstacle) = invalid_spec(&validate::mistakes(spec)) {
            return round.blocked(&obstacle, status(&database.body.status.applied_ignore_patterns));
        }
        if let Some(plan) = mark(&database.header, spec) {
            return Ok(plan);
        }
        match prepare(&round, &database)? {
            Ok((primary, answers)) => work(&round, &database, &primary, answers),
            Err(obstacle) => round.blocked(&obstacle, status(&database.body.status.applied_ignore_patterns)),
        }
    }
}

/// Where to work, if nothing is in the way, and whether the database exists there.
fn prepare(round: &Round<'_>, database: &Typed<Database>) -> Result<Result<(Primary, Answers), Obstacle>, Failure> {
    let target = match round.target()? {
        Ok(target) => target,
        Err(obstacle) => return Ok(Err(obstacle)),
    };
    let what = format!("the database \"{}\"", database.body.spec.name);
    match conflict(round.world, &target, database, &what)? {
        Some(older) => Ok(Err(older)),
        None => Ok(round.primary_of(&target, schema_question(&database.body.spec.name))),
    }
}

/// Compares, and writes what is missing.
fn work(round: &Round<'_>, database: &Typed<Database>, primary: &Primary, answers: Answers) -> Result<Plan, Failure> {
    let spec = &database.body.spec;
    let applied = &database.body.status.applied_ignore_patterns;
    let observed = match Observed::of(round.world, primary, answers, spec) {
        Ok(observed) => observed,
        Err(error) => return round.blocked(&round.unreadable(error), status(applied)),
    };
    let leaving = patterns::leaving(database, &observed);
    let work = work::missing(primary, spec, &observed, &leaving);
    let settled = observed.remark(spec).map_or_else(|| "Created".to_owned(), |remark| format!("Created; {remark}"));
    let own =
        if work.is_empty() { spec.dolt_ignore_patterns.clone() } else { [applied.clone(), spec.dolt_ignore_patterns.clone()].concat() };
    round.work(FINALIZER_DATABASE, work, status(&own), &settled)
}

/// The status' fields beside the common ones: the patterns that are this object's to take away again.
fn status(patterns: &[String]) -> Json {
    if patterns.is_empty() {
        return json!({});
    }
    let patterns: std::collections::BTreeSet<&String> = patterns.iter().collect();
    json!({ "appliedIgnorePatterns": patterns })
}
