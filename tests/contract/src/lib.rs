//! What the contract's tests share: components to call, worlds for them to see, and the comparison of two versions of the contract.
//! It knows nothing of what any reconciler is for.

pub mod components;
pub mod growth;
pub mod world;
