//! Reconciler of User: sees to it that an account exists on the primary of its DoltDB and has the password of its Secret, and drops it when the
//! object goes, if that is wanted.
//!
//! It compares before it writes, and it never sees a password: `password` says how it knows that one has changed.

mod finalize;
mod observe;
mod password;
mod validate;

use crds::{API_VERSION, User, names::FINALIZER_USER};
use dolt::{Account, Answers, Obstacle, Primary, Round, conflict, invalid_spec, mark};
use sdk::{Description, Failure, Permission, Plan, Reconciler, Request, Severity, Statement, Typed, World, kind, secret, sql};

use crate::{
    observe::{ObserveError, Observed},
    password::{Digest, State},
};

/// Reconciles User.
#[derive(Debug, Clone, Copy)]
pub struct UserReconciler;

sdk::export!(crate::UserReconciler);

impl Reconciler for UserReconciler {
    fn describe() -> Description {
        let own = kind(API_VERSION, User::KIND);
        let mut permissions = dolt::permissions();
        // A password's Secret may have any name in the User's own namespace.
        permissions.extend([Permission::Read(own.clone()), Permission::Label(own.clone()), Permission::Secret("*".to_owned())]);
        Description {
            name: "user".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            reconciles: own,
            permissions,
            settings_schema: dolt::SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn reconcile(world: &dyn World, request: &Request) -> Result<Plan, Failure> {
        let user: Typed<User> = request.object_as()?;
        let spec = &user.body.spec;
        let account = Account::of(spec);
        let round = Round::new(world, request, &spec.dolt_db_ref, &spec.sql)?;
        if user.header.deleting {
            return finalize::finalize(&round, &user, &account);
        }
        if let Some(obstacle) = invalid_spec(&validate::mistakes(spec, &account)) {
            return round.blocked(&obstacle, password::kept(&user));
        }
        if let Some(mut plan) = mark(&user.header, spec) {
            if password::is_being_set(&user) {
                round.restate(&mut plan, password::kept(&user))?;
            }
            return Ok(plan);
        }
        match prepare(&round, &user, &account)? {
            Ok((digest, primary, answers)) => work(&round, &user, &account, &digest, (&primary, answers)),
            Err(obstacle) => round.blocked(&obstacle, password::kept(&user)),
        }
    }
}

/// What the work takes, if nothing is in the way.
fn prepare(round: &Round<'_>, user: &Typed<User>, account: &Account) -> Result<Result<(Digest, Primary, Answers), Obstacle>, Failure> {
    let target = match round.target()? {
        Ok(target) => target,
        Err(obstacle) => return Ok(Err(obstacle)),
    };
    if let Some(older) = conflict(round.world, &target, user, &format!("the account {account}"))? {
        return Ok(Err(older));
    }
    let digest = match Digest::of(round.world, user)? {
        Ok(digest) => digest,
        Err(obstacle) => return Ok(Err(obstacle)),
    };
    let found = round.primary_of(&target, Observed::question(account, &digest));
    Ok(found.map(|(primary, answers)| (digest, primary, answers)))
}

/// Compares, and writes what differs.
fn work(
    round: &Round<'_>,
    user: &Typed<User>,
    account: &Account,
    digest: &Digest,
    (primary, answers): (&Primary, Answers),
) -> Result<Plan, Failure> {
    let observed = match Observed::read(answers, account) {
        Ok(observed) => observed,
        Err(ObserveError::Own) => return round.blocked(&own_account(account), password::kept(user)),
        Err(error) => return round.blocked(&round.unreadable(error), password::kept(user)),
    };
    let state = State::of(user, &observed, digest, round.went_well());
    let work = match state {
        State::Right(_) => Vec::new(),
        // Not IF NOT EXISTS: an account that somebody else has just made would keep its password.
        State::Missing { .. } => vec![primary.execution(None, vec![with_password(user, account, Write::Create)])],
        State::Unset | State::Changed | State::Drifted => {
            vec![primary.execution_on(account, vec![with_password(user, account, Write::Alter)])]
        }
    };
    let status = password::status(&state, digest, round.holds_back());
    let mut plan = round.work(FINALIZER_USER, work, status, "Created")?;
    if let Some((severity, reason, message)) = remark(&state, user, account) {
        plan.event(severity, reason, "Reconcile", message);
    }
    Ok(plan)
}

enum Write {
    Create,
    Alter,
}

fn with_password(user: &Typed<User>, account: &Account, write: Write) -> Statement {
    let [name, host] = account.arguments();
    let reference = &user.body.spec.password_secret_key_ref;
    let password = secret(&user.header.namespace, &reference.name, &reference.key);
    match write {
        Write::Create => sql!("CREATE USER ?@? IDENTIFIED BY ?", name, host, password),
        Write::Alter => sql!("ALTER USER ?@? IDENTIFIED BY ?", name, host, password),
    }
}

/// What a user would wonder about: why a password changes.
fn remark(state: &State, user: &Typed<User>, account: &Account) -> Option<(Severity, &'static str, String)> {
    let secret = &user.body.spec.password_secret_key_ref.name;
    match state {
        State::Changed => {
            Some((Severity::Normal, "PasswordChanged", format!("the password of {account} is set to the new value of Secret \"{secret}\"")))
        }
        State::Drifted => Some((
            Severity::Warning,
            "PasswordDrifted",
            format!("the password of {account} was changed on the server: it is set to the value of Secret \"{secret}\" again"),
        )),
        State::Missing { was_there: true } => {
            Some((Severity::Warning, "AccountDrifted", format!("the account {account} is gone from the server: it is made again")))
        }
        State::Missing { was_there: false } | State::Unset | State::Right(_) => None,
    }
}

fn own_account(account: &Account) -> Obstacle {
    let message =
        format!("spec.name: {account} is the account by which the operator itself works: it has its own Secret. Choose another account");
    Obstacle::new("OwnAccount", message)
}
