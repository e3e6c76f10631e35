//! Other Users about the same account. They are found by a label that each User gets from its reconciler, so that a thousand Users do not read
//! each other all the time.

use crds::{API_VERSION, User, UserSpec, names::LABEL_ACCOUNT};
use dolt::{Account, CREATED, Claim, is_older};
use sdk::{Failure, Selector, Typed, World};

/// The oldest of the Users that are about this account and older than this one.
pub(crate) fn older(world: &dyn World, user: &Typed<User>, account: &Account) -> Result<Option<String>, Failure> {
    let own = user.body.metadata.creation_timestamp.as_deref().unwrap_or_default();
    let older = others(world, user, account)?.into_iter().find(|other| is_older(other, (&user.header, own)));
    Ok(older.map(|other| other.header.name))
}

/// Another User that is about this account and stays.
pub(crate) fn heir(world: &dyn World, user: &Typed<User>, account: &Account) -> Result<Option<String>, Failure> {
    Ok(others(world, user, account)?.into_iter().next().map(|other| other.header.name))
}

fn others(world: &dyn World, user: &Typed<User>, account: &Account) -> Result<Vec<Typed<Claim<UserSpec>>>, Failure> {
    let doltdb = &user.body.spec.dolt_db_ref.name;
    let selector = Selector::new(API_VERSION, User::KIND, &user.header.namespace).label(LABEL_ACCOUNT, &account.label(doltdb)).fields(&[
        "/spec/doltDBRef",
        "/spec/name",
        "/spec/host",
        CREATED,
    ]);
    let mut others = world.select_as::<Claim<UserSpec>>(&selector)?;
    // Anybody can write a label.
    others.retain(|other| {
        let spec = &other.body.spec;
        other.header.uid != user.header.uid && !other.header.deleting && spec.dolt_db_ref.name == *doltdb && Account::of(spec) == *account
    });
    Ok(others)
}
