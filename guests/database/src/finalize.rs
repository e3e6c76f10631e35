//! What happens when the object is deleted: the database goes too, unless the user wants it kept or somebody else needs it.

use crds::{Database, names::FINALIZER_DATABASE};
use dolt::{Round, heir, keep};
use sdk::{Failure, Plan, Typed, ident, sql};

use crate::{observe, status};

/// Plans the end of the object.
pub(crate) fn finalize(round: &Round<'_>, database: &Typed<Database>) -> Result<Plan, Failure> {
    let name = &database.body.spec.name;
    let kept = format!("the database \"{name}\" is not dropped");
    let target = match round.ending(&database.body, FINALIZER_DATABASE, ("DatabaseKept", &kept))? {
        Ok(target) => target,
        Err(plan) => return Ok(plan),
    };
    if let Some(heir) = heir(round.world, &target, database)? {
        let mut plan = Plan::new();
        keep(&mut plan, "DatabaseKept", &format!("{kept}: {heir} is about it too"));
        plan.finalizer(FINALIZER_DATABASE, false);
        return Ok(plan);
    }
    let status = || status(&database.body.status.applied_ignore_patterns);
    let (primary, answers) = match round.primary_of(&target, observe::schema_question(name)) {
        Ok(found) => found,
        Err(obstacle) => return round.blocked(&obstacle, status()),
    };
    let work = match observe::schema(answers) {
        Ok(None) => Vec::new(),
        Ok(Some(_)) => vec![primary.execution(None, vec![sql!("DROP DATABASE IF EXISTS ??", ident(name))])],
        Err(error) => return round.blocked(&round.unreadable(error), status()),
    };
    round.end(FINALIZER_DATABASE, work, status(), &format!("dropping database \"{name}\""))
}
