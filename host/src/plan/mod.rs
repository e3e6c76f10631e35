//! Plans: checked whole against the grant before the first effect, then made to happen in order.
//!
//! Knows nothing of queues and modules, and not who asks beyond the subject.

mod apply;
mod body;
mod check;
mod events;
mod grant;
mod succession;

pub use self::{
    apply::Performer,
    check::{Denial, check},
    events::Events,
    grant::{Granted, Reach},
};
pub(crate) use self::{
    apply::{HEALTHY, failure},
    check::name,
    grant::fits,
};
