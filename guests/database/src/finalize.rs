//! What happens when the object is deleted: the database goes too, unless the user wants it kept or somebody else needs it.

use crds::{API_VERSION, CleanupPolicy, Database, names::FINALIZER_DATABASE};
use dolt::{Settings, find_primary, resolve};
use sdk::{Failure, Plan, Request, Selector, Typed, Verdict, World, ident, sql};
use serde::Deserialize;

use crate::{blocked, observe, remark, retry_interval, tell, words};

/// Plans the end of the object.
pub(crate) fn finalize(world: &dyn World, request: &Request, database: &Typed<Database>, settings: &Settings) -> Result<Plan, Failure> {
    let spec = &database.body.spec;
    let mut plan = Plan::new();
    if !database.body.has_finalizer(FINALIZER_DATABASE) {
        return Ok(plan);
    }
    if spec.sql.cleanup_policy() == CleanupPolicy::Skip {
        plan.finalizer(FINALIZER_DATABASE, false);
        return Ok(plan);
    }
    let target = match resolve(world, &database.header.namespace, &spec.dolt_db_ref)? {
        Ok(target) if target.header.deleting => None,
        Ok(target) => Some(target),
        Err(obstacle) if obstacle.reason == "DoltDBNotFound" => None,
        Err(obstacle) => {
            // Nobody can put that right on an object that is going: it must not hang for it.
            remark(&mut plan, "DatabaseKept", "Finalize", format!("the database \"{}\" is not dropped: {}", spec.name, obstacle.message));
            None
        }
    };
    let Some(target) = target else {
        plan.finalizer(FINALIZER_DATABASE, false);
        return Ok(plan);
    };
    if let Some(other) = other_claim(world, database)? {
        remark(
            &mut plan,
            "DatabaseKept",
            "Finalize",
            format!("the database \"{}\" is not dropped: Database \"{other}\" is about it too", spec.name),
        );
        plan.finalizer(FINALIZER_DATABASE, false);
        return Ok(plan);
    }
    let primary = match find_primary(world, &target, &settings.cluster_domain) {
        Ok(primary) => primary,
        Err(obstacle) => return blocked(world, request, &obstacle),
    };
    match observe::schema(world, &primary, &spec.name) {
        Ok(None) => {}
        Ok(Some(_)) => {
            if let Some(failure) = request.last.as_ref().and_then(|outcome| outcome.failure.as_ref()) {
                let message = format!("Error dropping database \"{}\": {}", spec.name, words(failure));
                tell(world, request, &mut plan, &Verdict::no("Failed", message), true)?;
            }
            plan.sql(primary.execution(None, vec![sql!("DROP DATABASE IF EXISTS ??", ident(&spec.name))]));
        }
        Err(error) => {
            let message = format!("Error connecting to DoltDB: {error}");
            return blocked(world, request, &dolt::Obstacle::look_again("Failed", message, retry_interval(database)));
        }
    }
    plan.finalizer(FINALIZER_DATABASE, false);
    Ok(plan)
}

/// Another Database that is about the same database of the same DoltDB and stays.
fn other_claim(world: &dyn World, database: &Typed<Database>) -> Result<Option<String>, Failure> {
    #[derive(Deserialize)]
    struct Claim {
        spec: crds::DatabaseSpec,
    }
    let header = &database.header;
    let selector = Selector::new(API_VERSION, Database::KIND, &header.namespace).fields(&["/spec/name", "/spec/doltDBRef"]);
    let spec = &database.body.spec;
    let others = world.select_as::<Claim>(&selector)?;
    let mut same = others.into_iter().filter(|other| {
        let of_same_server = other.body.spec.dolt_db_ref.name == spec.dolt_db_ref.name
            && other.body.spec.dolt_db_ref.namespace_or(&header.namespace) == header.namespace;
        other.header.uid != header.uid && !other.header.deleting && of_same_server && other.body.spec.name.eq_ignore_ascii_case(&spec.name)
    });
    Ok(same.next().map(|other| other.header.name))
}
