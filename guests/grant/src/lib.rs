//! Reconciler of Grant: sees to it that an account on the primary of a DoltDB holds the privileges of the spec, and takes away what leaves it.
//!
//! A Grant owns the privileges that were in its spec while it did its work, as its status remembers, and takes away no others. It compares before
//! it writes.

mod finalize;
mod holding;
mod observe;
mod others;
mod privilege;
mod validate;
mod work;

use crds::{API_VERSION, DoltDB, DoltDBRef, Grant, User, names::FINALIZER_GRANT, names::LABEL_ACCOUNT};
use dolt::{Account, Answers, Claim, Obstacle, Primary, Round, claims, invalid_spec, is_about, name_for};
use sdk::{Description, Failure, Permission, Plan, Reconciler, Request, Statement, Typed, World, kind};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::{
    holding::{Holdings, Place},
    observe::{ObserveError, Observed},
    privilege::{GRANT_OPTION, Privileges},
    work::Observations,
};

/// Reconciles Grant.
#[derive(Debug, Clone, Copy)]
pub struct GrantReconciler;

sdk::export!(crate::GrantReconciler);

impl Reconciler for GrantReconciler {
    fn describe() -> Description {
        let own = kind(API_VERSION, Grant::KIND);
        let mut permissions = dolt::permissions();
        permissions.extend([Permission::Read(own.clone()), Permission::Read(kind(API_VERSION, User::KIND))]);
        Description {
            name: "grant".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reconciles: own,
            permissions,
            settings_schema: dolt::SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn reconcile(world: &dyn World, request: &Request) -> Result<Plan, Failure> {
        let grant: Typed<Grant> = request.object_as()?;
        let spec = &grant.body.spec;
        let round = Round::new(world, request, &spec.dolt_db_ref, &spec.sql)?;
        let given = holding::from_status(&grant.body.status.granted);
        if grant.header.deleting {
            return finalize::finalize(&round, &grant, given);
        }
        if let Some(obstacle) = invalid_spec(&validate::mistakes(spec)) {
            return round.blocked(&obstacle, status(&given));
        }
        match round.target()? {
            Ok(target) => work(&round, &target, &grant, given),
            Err(obstacle) => round.blocked(&obstacle, status(&given)),
        }
    }
}

/// Compares, and writes what differs.
fn work(round: &Round<'_>, target: &Typed<DoltDB>, grant: &Typed<Grant>, given: Holdings) -> Result<Plan, Failure> {
    let (key, privileges) = holding::wanted(&grant.body.spec);
    let mut concern = given.clone();
    concern.entry(key.clone()).or_default().extend(&privileges);
    let (primary, answers) = match round.primary_of(target, first_question(&concern)) {
        Ok(found) => found,
        Err(obstacle) => return round.blocked(&obstacle, status(&given)),
    };
    let observed = match observe(round.world, &primary, answers, &concern) {
        Ok(observed) => observed,
        Err(ObserveError::Own) => return round.blocked(&own_account(&key.0), status(&given)),
        Err(error) => return round.blocked(&round.unreadable(error), status(&given)),
    };
    let mut leaving = given;
    if let Some(own) = leaving.get_mut(&key) {
        own.retain(|name| !privileges.contains(name));
    }
    let taking = others::not_theirs(round.world, target, grant, held(&leaving, &observed))?;
    let giving = match observed.get(&key.0) {
        Some(Some(account)) => {
            let missing: Privileges = privileges.difference(&account.at(&key.1)).copied().collect();
            if missing.is_empty() { Holdings::new() } else { Holdings::from([(key.clone(), missing)]) }
        }
        _ if taking.is_empty() => {
            let obstacle = absent(round, target, grant, &key.0)?;
            return round.blocked(&obstacle, status(&Holdings::new()));
        }
        _ => Holdings::new(),
    };
    let work = work::executions(&primary, &giving, &taking, &observed);
    // What may have been given is remembered before it is, and until it is seen to be gone.
    let remembered = if work.is_empty() { Holdings::from([(key, privileges)]) } else { concern };
    round.work(FINALIZER_GRANT, work, status(&remembered), "Created")
}

/// Asks about the first of the accounts, which is the only one unless another was in the spec before.
fn first_question(concern: &Holdings) -> Vec<Statement> {
    concern.keys().next().map(|(account, _)| Observed::question(account)).unwrap_or_default()
}

/// What each of the accounts has. `first` are the answers to [`first_question`].
fn observe(world: &dyn World, primary: &Primary, first: Answers, concern: &Holdings) -> Result<Observations, ObserveError> {
    let mut observed = Observations::new();
    let mut first = Some(first);
    for (account, _) in concern.keys() {
        if !observed.contains_key(account) {
            let of_concern = |((of, _), privileges): &(&(Account, Place), &Privileges)| of == account && privileges.contains(GRANT_OPTION);
            let options: Vec<&Place> = concern.iter().filter(of_concern).map(|((_, place), _)| place).collect();
            let answers = first.take().unwrap_or_else(|| primary.ask(world, None, Observed::question(account)));
            observed.insert(account.clone(), Observed::of(world, primary, answers, account, &options)?);
        }
    }
    Ok(observed)
}

/// Those of the holdings that the server has.
fn held(holdings: &Holdings, observed: &Observations) -> Holdings {
    let mut held = Holdings::new();
    for ((account, place), privileges) in holdings {
        let Some(Some(observed)) = observed.get(account) else { continue };
        let both: Privileges = privileges.intersection(&observed.at(place)).copied().collect();
        if !both.is_empty() {
            held.insert((account.clone(), place.clone()), both);
        }
    }
    held
}

/// What is read of a User.
#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "doltDBRef")]
    dolt_db_ref: DoltDBRef,
}

/// The account is not there: whether anybody is about to make it.
fn absent(round: &Round<'_>, target: &Typed<DoltDB>, grant: &Typed<Grant>, account: &Account) -> Result<Obstacle, Failure> {
    let (doltdb, namespace) = (&target.header.name, &grant.header.namespace);
    let label = account.label(doltdb);
    let users = claims::<Claim<Reference>>(round.world, target, User::KIND, |users| {
        users.label(LABEL_ACCOUNT, &label).fields(&["/spec/doltDBRef", "/status/password/server"])
    })?;
    let user = users.iter().find(|user| is_about(target, &user.header.namespace, &user.body.spec.dolt_db_ref));
    let message = match user {
        Some(user) => format!("waiting for User \"{}\" to make the account {account}", name_for(namespace, &user.header)),
        None => format!("there is no account {account} on DoltDB \"{doltdb}\": make it with a User, for instance"),
    };
    Ok(round.awaiting("AccountNotFound", message))
}

/// The status' fields beside the common ones.
fn status(given: &Holdings) -> Json {
    let granted = holding::to_status(given);
    if granted.is_empty() { json!({}) } else { json!({ "granted": granted }) }
}

fn own_account(account: &Account) -> Obstacle {
    let message = format!("spec.username: {account} is the account by which the operator itself works: its privileges are left alone");
    Obstacle::new("OwnAccount", message)
}
