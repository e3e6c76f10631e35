//! What happens when the object is deleted: the database goes too, unless the user wants it kept or somebody else needs it.

use crds::{API_VERSION, Database, DatabaseSpec, names::FINALIZER_DATABASE};
use dolt::{Claim, Round, keep};
use sdk::{Failure, Plan, Selector, Typed, World, ident, sql};

use crate::{observe, status};

/// Plans the end of the object.
pub(crate) fn finalize(round: &Round<'_>, database: &Typed<Database>) -> Result<Plan, Failure> {
    let name = &database.body.spec.name;
    let kept = format!("the database \"{name}\" is not dropped");
    let target = match round.ending(&database.body, FINALIZER_DATABASE, ("DatabaseKept", &kept))? {
        Ok(target) => target,
        Err(plan) => return Ok(plan),
    };
    if let Some(other) = others(round.world, database)?.first() {
        let mut plan = Plan::new();
        keep(&mut plan, "DatabaseKept", &format!("{kept}: Database \"{}\" is about it too", other.header.name));
        plan.finalizer(FINALIZER_DATABASE, false);
        return Ok(plan);
    }
    let status = || status(&database.body.status.applied_ignore_patterns);
    let primary = match round.primary_of(&target) {
        Ok(primary) => primary,
        Err(obstacle) => return round.blocked(&obstacle, status()),
    };
    let work = match observe::schema(round.world, &primary, name) {
        Ok(None) => Vec::new(),
        Ok(Some(_)) => vec![primary.execution(None, vec![sql!("DROP DATABASE IF EXISTS ??", ident(name))])],
        Err(error) => return round.blocked(&round.unreadable(error), status()),
    };
    round.end(FINALIZER_DATABASE, work, status(), &format!("dropping database \"{name}\""))
}

/// Other Databases that are about the same database of the same DoltDB and stay.
pub(crate) fn others(world: &dyn World, database: &Typed<Database>) -> Result<Vec<Typed<Claim<DatabaseSpec>>>, Failure> {
    let header = &database.header;
    let selector = Selector::new(API_VERSION, Database::KIND, &header.namespace).fields(&[
        "/spec/name",
        "/spec/doltDBRef",
        "/spec/doltIgnorePatterns",
    ]);
    let spec = &database.body.spec;
    let mut others = world.select_as::<Claim<DatabaseSpec>>(&selector)?;
    others.retain(|other| {
        let of_same_server = other.body.spec.dolt_db_ref.name == spec.dolt_db_ref.name
            && other.body.spec.dolt_db_ref.namespace_or(&header.namespace) == header.namespace;
        other.header.uid != header.uid && !other.header.deleting && of_same_server && other.body.spec.name.eq_ignore_ascii_case(&spec.name)
    });
    Ok(others)
}
