//! What a failing or changing DoltDB costs its clients: a writer that notes every answer, a checker that compares them with what is there at the
//! end, and the scenarios between the two.
//!
//! It takes a cluster with the operator installed, as the end-to-end tests do, and runs inside of it. It knows nothing of how the operator does
//! its work: only what clients, servers and the API server say.

mod act;
pub mod check;
pub mod document;
pub mod fault;
pub mod history;
pub mod random;
pub mod scenario;
pub mod stage;
pub mod table;
pub mod writer;

pub use document::Measured;
pub use scenario::Scenario;
pub use stage::Run;
