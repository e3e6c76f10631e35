//! The operator in a simulated cluster: one process, one seed, virtual time.
//!
//! Real are the host's queue, rounds, grants and plan check, and the reconcilers' code. Modelled are the API server with its controllers
//! (`api`, `kube`), Dolt (`dolt`), a client that writes through the Service (`client`), and the way between them. A [`Schedule`] is a
//! scenario, a seed and faults; [`run`] plays it and says what did not hold (`oracle`).

mod agenda;
pub mod api;
mod cache;
mod client;
mod component;
pub mod dolt;
mod explore;
mod faults;
mod gateway;
mod host;
mod kube;
mod lease;
mod moment;
mod mutant;
mod name;
mod native;
mod oracle;
mod rng;
mod run;
mod scenario;
mod schedule;
mod statements;
mod timeline;
mod world;

/// A run is made of small values that come and go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub use self::{
    explore::{Summary, each_effect, each_field, each_pair, explore, shrink},
    mutant::Mutant,
    oracle::Violation,
    run::{Options, Outcome, run},
    scenario::Scenario,
    schedule::{Fault, Moment, Party, Schedule, Trouble, Which},
};
