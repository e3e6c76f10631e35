//! What the reconcilers of Dolt's kinds share: where the servers of a DoltDB are, which role each has, and which DoltDB an object refers to.
//!
//! It knows nothing of how a DoltDB is built, nor of what a Database or a User needs.

mod condition;
mod primary;
mod reference;
mod role;
mod servers;
mod settings;

pub use condition::{Obstacle, READY, report};
pub use primary::{Primary, find_primary};
pub use reference::resolve;
pub use role::{Report, Role, role_statement};
pub use servers::{READ_DEADLINE, Servers, WRITE_DEADLINE};
pub use settings::{SETTINGS_SCHEMA, Settings};
