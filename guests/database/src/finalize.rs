//! What happens when the object is deleted: the database goes too, unless the user wants it kept or somebody else needs it.

use crds::{Database, DatabaseSpec, DoltDB, names::FINALIZER_DATABASE};
use dolt::{Claim, Round, claims, is_about, keep, name_for};
use sdk::{Failure, Plan, Typed, World, ident, sql};

use crate::{observe, status};

/// Plans the end of the object.
pub(crate) fn finalize(round: &Round<'_>, database: &Typed<Database>) -> Result<Plan, Failure> {
    let name = &database.body.spec.name;
    let kept = format!("the database \"{name}\" is not dropped");
    let target = match round.ending(&database.body, FINALIZER_DATABASE, ("DatabaseKept", &kept))? {
        Ok(target) => target,
        Err(plan) => return Ok(plan),
    };
    if let Some(other) = others(round.world, &target, database)?.first() {
        let mut plan = Plan::new();
        let other = name_for(&database.header.namespace, &other.header);
        keep(&mut plan, "DatabaseKept", &format!("{kept}: Database \"{other}\" is about it too"));
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
pub(crate) fn others(
    world: &dyn World,
    target: &Typed<DoltDB>,
    database: &Typed<Database>,
) -> Result<Vec<Typed<Claim<DatabaseSpec>>>, Failure> {
    let mut others = claims::<Claim<DatabaseSpec>>(world, target, Database::KIND, |databases| {
        databases.fields(&["/spec/name", "/spec/doltDBRef", "/spec/doltIgnorePatterns"])
    })?;
    others.retain(|other| {
        let spec = &other.body.spec;
        let concerned = is_about(target, &other.header.namespace, &spec.dolt_db_ref);
        let same = spec.name.eq_ignore_ascii_case(&database.body.spec.name);
        other.header.uid != database.header.uid && !other.header.deleting && concerned && same
    });
    Ok(others)
}
