//! Other Users about the same account. They are found by a label that each User gets from its reconciler, so that a thousand Users do not read
//! each other all the time.

use crds::{DoltDB, User, UserSpec, names::LABEL_ACCOUNT};
use dolt::{Account, CREATED, Claim, claims, is_about, is_older, name_for};
use sdk::{Failure, Typed, World};

/// The oldest of the Users that are about this account and older than this one.
pub(crate) fn older(world: &dyn World, target: &Typed<DoltDB>, user: &Typed<User>, account: &Account) -> Result<Option<String>, Failure> {
    let own = user.body.metadata.creation_timestamp.as_deref().unwrap_or_default();
    let older = others(world, target, user, account)?.into_iter().find(|other| is_older(other, (&user.header, own)));
    Ok(older.map(|other| name_for(&user.header.namespace, &other.header)))
}

/// Another User that is about this account and stays.
pub(crate) fn heir(world: &dyn World, target: &Typed<DoltDB>, user: &Typed<User>, account: &Account) -> Result<Option<String>, Failure> {
    Ok(others(world, target, user, account)?.into_iter().next().map(|other| name_for(&user.header.namespace, &other.header)))
}

fn others(
    world: &dyn World,
    target: &Typed<DoltDB>,
    user: &Typed<User>,
    account: &Account,
) -> Result<Vec<Typed<Claim<UserSpec>>>, Failure> {
    let label = account.label(&target.header.name);
    let mut others = claims::<Claim<UserSpec>>(world, target, User::KIND, |users| {
        users.label(LABEL_ACCOUNT, &label).fields(&["/spec/doltDBRef", "/spec/name", "/spec/host", CREATED])
    })?;
    // Anybody can write a label.
    others.retain(|other| {
        let spec = &other.body.spec;
        let concerned = is_about(target, &other.header.namespace, &spec.dolt_db_ref) && Account::of(spec) == *account;
        other.header.uid != user.header.uid && !other.header.deleting && concerned
    });
    Ok(others)
}
