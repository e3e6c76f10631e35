//! What the reconcilers of Dolt's kinds share: where the servers of a DoltDB are, which role each has, which DoltDB an object refers to, what an
//! account is, where backups go, and what a round of an object on a server is like.
//!
//! It knows nothing of how a DoltDB is built, nor of what a Database or a User needs.

mod account;
mod claim;
mod condition;
mod destination;
mod exclusive;
mod honored;
mod primary;
mod reference;
mod role;
mod round;
mod servers;
mod settings;

pub use account::Account;
pub use claim::{CREATED, Claim, claims, is_older, name_for};
pub use condition::{Obstacle, READY, conditions, report, said};
pub use destination::{copy, destination, in_the_way, storage_mistakes};
pub use exclusive::{Exclusive, conflict, heir, mark};
pub use honored::tell_ignored;
pub use primary::{Answers, Primary, find_primary, permissions};
pub use reference::{is_about, resolve};
pub use role::{Report, Role, role_statement};
pub use round::{Round, invalid_spec, keep};
pub use servers::{READ_DEADLINE, Servers, WRITE_DEADLINE};
pub use settings::{SETTINGS_SCHEMA, Settings};
