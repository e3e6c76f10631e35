//! Reconciler of Database: sees to it that a database exists on the primary of its DoltDB, with its branches and ignore patterns, and drops it
//! when the object goes, if that is wanted.
//!
//! It compares before it writes: a database that is as it should be gets no statement that writes.

mod finalize;
mod observe;
mod validate;
mod work;

use std::time::Duration;

use crds::{API_VERSION, Database, DoltDB, FieldError, names::FINALIZER_DATABASE};
use dolt::{Obstacle, Primary, READY, Settings, find_primary, report, resolve};
use sdk::{Conditions, Description, EffectFailure, Failure, Permission, Plan, Reconciler, Request, Severity, Typed, Verdict, World, kind};
use serde_json::json;

use crate::observe::Observed;

/// Reconciles Database.
#[derive(Debug, Clone, Copy)]
pub struct DatabaseReconciler;

sdk::export!(crate::DatabaseReconciler);

impl Reconciler for DatabaseReconciler {
    fn describe() -> Description {
        // The primary by its Service, and the first pod of a DoltDB without replication, in any namespace and DNS domain.
        let servers = ["*-primary.*.svc.*", "*-0.*-internal.*.svc.*"];
        let mut permissions = vec![
            Permission::Read(kind(API_VERSION, DoltDB::KIND)),
            Permission::Read(kind(API_VERSION, Database::KIND)),
            Permission::Secret("*-credentials".to_owned()),
        ];
        permissions.extend(servers.map(|host| Permission::SqlRead(host.to_owned())));
        permissions.extend(servers.map(|host| Permission::SqlWrite(host.to_owned())));
        Description {
            name: "database".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reconciles: kind(API_VERSION, Database::KIND),
            permissions,
            settings_schema: dolt::SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn reconcile(world: &dyn World, request: &Request) -> Result<Plan, Failure> {
        let database: Typed<Database> = request.object_as()?;
        let settings: Settings = request.settings_as()?;
        if database.header.deleting {
            return finalize::finalize(world, request, &database, &settings);
        }
        match prepare(world, &database, &settings)? {
            Ok(primary) => work(world, request, &database, &settings, &primary),
            Err(obstacle) => blocked(world, request, &obstacle),
        }
    }
}

/// The server to work on, if nothing is in the way.
fn prepare(world: &dyn World, database: &Typed<Database>, settings: &Settings) -> Result<Result<Primary, Obstacle>, Failure> {
    let spec = &database.body.spec;
    if let Some(obstacle) = invalid_spec(&validate::mistakes(spec)) {
        return Ok(Err(obstacle));
    }
    let target = match resolve(world, &database.header.namespace, &spec.dolt_db_ref)? {
        Ok(target) => target,
        Err(obstacle) => return Ok(Err(obstacle)),
    };
    Ok(find_primary(world, &target, &settings.cluster_domain).map_err(|mut obstacle| {
        if let Ok(Some(interval)) = spec.sql.retry_interval() {
            obstacle.retry = Some(interval.max(Duration::from_secs(1)));
        }
        obstacle
    }))
}

fn invalid_spec(mistakes: &[FieldError]) -> Option<Obstacle> {
    if mistakes.is_empty() {
        return None;
    }
    let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    Some(Obstacle::new("InvalidSpec", format!("Invalid spec: {}", mistakes.join("; "))))
}

/// Nothing can be done on the server.
fn blocked(world: &dyn World, request: &Request, obstacle: &Obstacle) -> Result<Plan, Failure> {
    let mut plan = Plan::new();
    tell(world, request, &mut plan, &Verdict::no(obstacle.reason, obstacle.message.clone()), true)?;
    if let Some(time) = obstacle.retry {
        plan.after(time);
    }
    Ok(plan)
}

/// Compares, and writes what is missing.
fn work(world: &dyn World, request: &Request, database: &Typed<Database>, settings: &Settings, primary: &Primary) -> Result<Plan, Failure> {
    let (name, spec) = (&database.header.name, &database.body.spec);
    let observed = match Observed::of(world, primary, spec) {
        Ok(observed) => observed,
        Err(error) => {
            let message = format!("Error connecting to DoltDB: {error}");
            return blocked(world, request, &Obstacle::look_again("Failed", message, retry_interval(database)));
        }
    };
    let work = work::missing(primary, spec, &observed);
    let failure = request.last.as_ref().and_then(|outcome| outcome.failure.as_ref());

    let mut plan = Plan::new();
    // Before the first statement: from then on the server holds something that has to go with the object.
    plan.finalizer(FINALIZER_DATABASE, true);
    let verdict = match (failure, work.is_empty()) {
        (Some(failure), false) => Verdict::no("Failed", format!("Error creating {name}: {}", words(failure))),
        // What failed is not mended by being tried again.
        (None, false) => failed_before(request)?.unwrap_or_else(|| Verdict::no("Creating", "Creating")),
        (_, true) => {
            Verdict::yes("Created", observed.remark(spec).map_or_else(|| "Created".to_owned(), |remark| format!("Created; {remark}")))
        }
    };
    tell(world, request, &mut plan, &verdict, failure.is_some() && !work.is_empty())?;
    if failure.is_some() && !work.is_empty() {
        // The host tries again on its own, later each time, unless the user has said when.
        if let Ok(Some(interval)) = spec.sql.retry_interval() {
            let interval = u64::try_from(interval.max(Duration::from_secs(1)).as_millis()).unwrap_or(u64::MAX);
            plan.at(world.now().saturating_add(interval));
            return Ok(plan);
        }
    }
    for execution in work {
        plan.sql(execution);
    }
    if let Some(interval) = requeue_interval(database, settings) {
        plan.after(interval);
    }
    Ok(plan)
}

/// What the condition says of a failure, as long as the spec is the one that failed.
fn failed_before(request: &Request) -> Result<Option<Verdict>, Failure> {
    let conditions = Conditions::of(request)?;
    let generation = request.object.header.generation;
    let failed = conditions.get(READY).filter(|ready| ready.reason == "Failed" && ready.observed_generation == Some(generation));
    Ok(failed.map(|ready| Verdict::no("Failed", ready.message.clone())))
}

/// What the server said, or the host where the server said nothing.
fn words(failure: &EffectFailure) -> &str {
    failure.sql.as_ref().map_or(failure.message.as_str(), |error| error.message.as_str())
}

/// How often the server is compared with the spec; none: never, unless the object changes.
fn requeue_interval(database: &Typed<Database>, settings: &Settings) -> Option<Duration> {
    let wanted = database.body.spec.sql.requeue_interval().ok().flatten();
    Some(wanted.unwrap_or_else(|| Duration::from_secs(settings.resync_seconds))).filter(|interval| !interval.is_zero())
}

fn retry_interval(database: &Typed<Database>) -> Duration {
    let wanted = database.body.spec.sql.retry_interval().ok().flatten();
    wanted.unwrap_or(Duration::from_secs(5)).max(Duration::from_secs(1))
}

/// Status and events.
fn tell(world: &dyn World, request: &Request, plan: &mut Plan, verdict: &Verdict, warn: bool) -> Result<(), Failure> {
    let mut conditions = Conditions::of(request)?;
    report(world, &mut conditions, plan, verdict, warn);
    plan.status(&json!({ "observedGeneration": request.object.header.generation, "conditions": conditions.into_list() }));
    Ok(())
}

/// An event beside the condition.
fn remark(plan: &mut Plan, reason: &str, action: &str, message: String) {
    plan.event(Severity::Warning, reason, action, message);
}
