//! Hot swap: a module that is offered from outside of the image becomes the active one of its slot, between two rounds.
//!
//! An offer is admitted ([`module`](crate::module)), tried in the shadow of the active module, promoted by its author's policy, and watched
//! for a while; when it does worse than the one before it, the slot goes back by itself. The room knows nothing of what reconcilers do, and
//! of the cluster only what a [`Source`] tells.

mod artifacts;
mod config_map;
mod desk;
mod diff;
mod exchange;
mod offer;
mod probation;
mod reading;
mod shadow;

use async_trait::async_trait;

pub use self::{
    config_map::ConfigMapSource,
    diff::differences,
    exchange::Exchange,
    offer::{Content, Offer, Past, Policy, Standing, Wishes},
    shadow::{Comparison, Outcome, Shadow, Stage, replay},
};

/// Where modules are offered, and where their authors look for what became of them.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// The next complete list of what is on offer, as soon as it is another one; none when there will be no more.
    async fn offers(&self) -> Option<Vec<Offer>>;

    /// Tells how an offer stands now. A failure is the source's to deal with: nothing waits for it.
    async fn tell(&self, offer: &Offer, standing: &Standing);
}
