//! The statements between what an account holds and what it should.

use dolt::{Account, Primary};
use sdk::{Argument, Execution, Statement, compose, ident};

use crate::{
    holding::{Holdings, Place},
    privilege::{Level, Privileges},
};

/// Gives and takes away, one execution for each account. What is given comes first, so that nobody lacks what only moves.
pub(crate) fn executions(primary: &Primary, giving: &Holdings, taking: &Holdings) -> Vec<Execution> {
    let mut accounts: Vec<&Account> = giving.keys().chain(taking.keys()).map(|(account, _)| account).collect();
    accounts.sort();
    accounts.dedup();
    accounts.into_iter().map(|account| primary.execution_on(account, statements(account, giving, taking))).collect()
}

fn statements(account: &Account, giving: &Holdings, taking: &Holdings) -> Vec<Statement> {
    let of = |holdings: &Holdings, verb, to| -> Vec<Statement> {
        let own = holdings.iter().filter(|((of, _), privileges)| of == account && !privileges.is_empty());
        own.map(|((_, place), privileges)| statement(verb, privileges, place, to, account)).collect()
    };
    [of(giving, "GRANT ", " TO ?@?"), of(taking, "REVOKE ", " FROM ?@?")].concat()
}

fn statement(verb: &'static str, privileges: &Privileges, place: &Place, to: &'static str, account: &Account) -> Statement {
    let mut pieces = vec![verb];
    for (at, name) in privileges.iter().enumerate() {
        if at > 0 {
            pieces.push(", ");
        }
        pieces.push(name);
    }
    let (on, mut arguments): (_, Vec<Argument>) = match place.level() {
        Level::Server => (" ON *.*", Vec::new()),
        Level::Database => (" ON ??.*", vec![ident(&place.database)]),
        Level::Table => (" ON ??.??", vec![ident(&place.database), ident(&place.table)]),
    };
    pieces.extend([on, to]);
    arguments.extend(account.arguments());
    compose(&pieces, arguments)
}
