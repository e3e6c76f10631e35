//! Registries: modules as OCI artifacts, pulled by digest and pushed by tag.
//!
//! The form is that of the CNCF's Wasm working group: a config of type `application/vnd.wasm.config.v0+json`, and the component as the one
//! layer, `application/wasm`. The room owns names of artifacts, the way to a registry, logins, and the folder of what was pulled. It knows
//! nothing of slots, of who offers a module, or of what happens to one.
//!
//! Of the distribution protocol it speaks what that takes, by the HTTP client that the Kubernetes client is made of. The library for it would
//! bring another HTTP client and sixty crates along, for three requests each way.

mod artifact;
mod client;
mod error;
mod http;
mod login;
mod pinned;
mod store;

pub use self::{
    artifact::Interface,
    client::Registry,
    error::RegistryError,
    login::{Login, LoginError, Logins},
    pinned::{PinError, Pinned, Place, Target},
    store::Store,
};
