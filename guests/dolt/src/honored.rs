//! Fields of a spec that look as if they had an effect and have none. They are accepted as they always were, and told: by a condition, and by an event
//! when that is news.

use sdk::{Conditions, Plan, Severity, Verdict, World};

/// The condition that says whether all that is set has an effect. An object of which there was never anything to say has none.
const SPEC_HONORED: &str = "SpecHonored";

/// Tells of fields without effect, a sentence each.
pub fn tell_ignored(world: &dyn World, conditions: &mut Conditions, plan: &mut Plan, ignored: &[String]) {
    let verdict = if !ignored.is_empty() {
        Verdict::no("FieldsIgnored", ignored.join("; "))
    } else if conditions.get(SPEC_HONORED).is_some() {
        Verdict::yes(SPEC_HONORED, "All that is set has an effect")
    } else {
        return;
    };
    if conditions.set(world, SPEC_HONORED, &verdict) && !verdict.holds {
        plan.event(Severity::Warning, &verdict.reason, "Reconcile", verdict.message.clone());
    }
}
