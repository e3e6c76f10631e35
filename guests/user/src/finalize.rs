//! What happens when the object is deleted: the account goes too, unless the user wants it kept or another User is about it.

use crds::{User, names::FINALIZER_USER};
use dolt::{Account, Round, heir, keep};
use sdk::{Failure, Plan, Typed, sql};

use crate::{
    observe::{ObserveError, is_there, is_there_question},
    password,
};

/// Plans the end of the object.
pub(crate) fn finalize(round: &Round<'_>, user: &Typed<User>, account: &Account) -> Result<Plan, Failure> {
    let kept = format!("the account {account} is not dropped");
    let target = match round.ending(&user.body, FINALIZER_USER, ("UserKept", &kept))? {
        Ok(target) => target,
        Err(plan) => return Ok(plan),
    };
    let keeping = |why: &str| {
        let mut plan = Plan::new();
        keep(&mut plan, "UserKept", &format!("{kept}: {why}"));
        plan.finalizer(FINALIZER_USER, false);
        plan
    };
    if let Some(mistake) = account.mistakes("spec.name", "spec.host").first() {
        return Ok(keeping(&mistake.to_string()));
    }
    if let Some(heir) = heir(round.world, &target, user)? {
        return Ok(keeping(&format!("{heir} is about it too")));
    }
    let (primary, answers) = match round.primary_of(&target, is_there_question(account)) {
        Ok(found) => found,
        Err(obstacle) => return round.blocked(&obstacle, password::kept(user)),
    };
    let work = match is_there(answers, account) {
        Ok(false) => vec![primary.keeping_accounts()],
        Ok(true) => {
            let [name, host] = account.arguments();
            vec![primary.execution_on(account, vec![sql!("DROP USER IF EXISTS ?@?", name, host)])]
        }
        Err(error @ ObserveError::Own) => return Ok(keeping(&error.to_string())),
        Err(error) => return round.blocked(&round.unreadable(error), password::kept(user)),
    };
    round.end(FINALIZER_USER, work, password::kept(user), &format!("dropping account {account}"))
}
