//! The statements between what an account holds and what it should.

use std::collections::BTreeMap;

use dolt::{Account, Primary};
use sdk::{Argument, Execution, Statement, compose, ident};

use crate::{
    holding::{Holdings, Place},
    observe::Observed,
    privilege::{Level, Privileges},
};

const GIVE: &str = "GRANT ";
const TO: &str = " TO ?@?";

/// What each account has on the server; none where it is not there.
pub(crate) type Observations = BTreeMap<Account, Option<Observed>>;

/// Gives and takes away, one execution for each account. What is given comes first, so that nobody lacks what only moves.
pub(crate) fn executions(primary: &Primary, giving: &Holdings, taking: &Holdings, observed: &Observations) -> Vec<Execution> {
    let mut accounts: Vec<&Account> = giving.keys().chain(taking.keys()).map(|(account, _)| account).collect();
    accounts.sort();
    accounts.dedup();
    accounts.into_iter().map(|account| primary.execution_on(account, statements(account, giving, taking, observed))).collect()
}

fn statements(account: &Account, giving: &Holdings, taking: &Holdings, observed: &Observations) -> Vec<Statement> {
    let of = |holdings: &Holdings, verb, to| -> Vec<Statement> {
        let own = holdings.iter().filter(|((of, _), privileges)| of == account && !privileges.is_empty());
        own.map(|((_, place), privileges)| statement(verb, privileges, place, to, account)).collect()
    };
    [of(giving, GIVE, TO), of(taking, "REVOKE ", " FROM ?@?"), of(&swept_away(account, taking, observed), GIVE, TO)].concat()
}

/// What Dolt takes along: with the last privilege on a database go those on its tables, whosever they are. They are given again.
fn swept_away(account: &Account, taking: &Holdings, observed: &Observations) -> Holdings {
    let mut swept = Holdings::new();
    let Some(Some(observed)) = observed.get(account) else { return swept };
    for ((_, place), privileges) in taking.iter().filter(|((of, place), _)| of == account && place.level() == Level::Database) {
        if !observed.at(place).is_subset(privileges) {
            continue;
        }
        for (table, privileges) in observed.on_tables_of(&place.database) {
            let key = (account.clone(), table);
            let leaving = taking.get(&key);
            let staying: Privileges =
                privileges.into_iter().filter(|name| !leaving.is_some_and(|leaving| leaving.contains(name))).collect();
            swept.insert(key, staying);
        }
    }
    swept
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
