//! What happens when the object is deleted: what it has given is taken away, unless the user wants it kept or another Grant gives it too.

use crds::{Grant, names::FINALIZER_GRANT};
use dolt::{Round, keep};
use sdk::{Failure, Plan, Typed};

use crate::{
    first_question, held,
    holding::{Holdings, wanted},
    observe, others, status, validate,
    work::executions,
};

/// Plans the end of the object. `given` is what it has given.
pub(crate) fn finalize(round: &Round<'_>, grant: &Typed<Grant>, mut given: Holdings) -> Result<Plan, Failure> {
    let kept = "privileges are not revoked";
    let target = match round.ending(&grant.body, FINALIZER_GRANT, ("PrivilegesKept", kept))? {
        Ok(target) => target,
        Err(plan) => return Ok(plan),
    };
    // An operator that remembered nothing has given what the spec says.
    if given.is_empty() && validate::mistakes(&grant.body.spec).is_empty() {
        given.extend([wanted(&grant.body.spec)]);
    }
    let (primary, answers) = match round.primary_of(&target, first_question(&given)) {
        Ok(found) => found,
        Err(obstacle) => return round.blocked(&obstacle, status(&given)),
    };
    let observed = match observe(round.world, &primary, answers, &given) {
        Ok(observed) => observed,
        Err(error @ observe::ObserveError::Own) => {
            let mut plan = Plan::new();
            keep(&mut plan, "PrivilegesKept", &format!("{kept}: {error}"));
            plan.finalizer(FINALIZER_GRANT, false);
            return Ok(plan);
        }
        Err(error) => return round.blocked(&round.unreadable(error), status(&given)),
    };
    let taking = others::not_theirs(round.world, &target, grant, held(&given, &observed))?;
    let mut work = executions(&primary, &Holdings::new(), &taking, &observed);
    if work.is_empty() {
        work.push(primary.keeping_accounts());
    }
    round.end(FINALIZER_GRANT, work, status(&given), "revoking privileges")
}
