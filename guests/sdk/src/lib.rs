//! What a reconciler is written with: the contract's types, typed reads, a plan builder, SQL with placeholders, conditions, and a test kit.
//!
//! A reconciler is a type that implements [`Reconciler`]. It sees the outside through a [`World`] and answers with a [`Plan`]; [`export!`]
//! makes a component of it. The same code runs natively in tests, where `testkit` plays the world from a file.
//!
//! This crate deliberately knows nothing about any product: no kind, no label, no database of a particular make.

mod answer;
#[allow(missing_docs, unsafe_code, unreachable_pub, clippy::all, reason = "generated; the docs stand in the WIT file")]
pub mod bindings;
mod condition;
mod describe;
mod imports;
mod manifest;
mod object;
mod plan;
mod read;
mod statement;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use answer::{AnswerError, Cell, RowsExt};
pub use bindings::controller::reconciler::types::*;
pub use condition::{Condition, Conditions, Verdict, parse_rfc3339, rfc3339, rfc3339_millis};
pub use describe::kind;
pub use imports::Imports;
#[cfg(target_arch = "wasm32")]
pub use imports::set_panic_hook;
pub use manifest::{Items, Json, List, Manifest, With, Written, escape, items};
#[doc(hidden)]
pub use manifest::{close, in_order};
pub use object::{Owner, OwnerReference, Owners, Typed, owner_reference, reference};
pub use read::Selector;
#[doc(hidden)]
pub use statement::check_placeholders;
pub use statement::{compose, ident, secret, value};

/// How grave a line of the log is.
pub use bindings::controller::reconciler::log::Level;

/// The logic for one kind of object.
///
/// [`reconcile`](Reconciler::reconcile) is a pure function of its request and of the answers that the world gives, in order: it keeps nothing
/// between two calls and has no other source of knowledge.
pub trait Reconciler {
    /// What the reconciler is, and what it needs of its grant.
    fn describe() -> Description;

    /// Decides what should be done now.
    ///
    /// # Errors
    /// When it cannot decide at all. What the user can put right belongs into a condition instead.
    fn reconcile(world: &dyn World, request: &Request) -> Result<Plan, Failure>;
}

/// What a reconciler can ask. Every question is a subscription: a changed answer makes the reconciler run again.
///
/// Typed forms of the reads are methods of `dyn World`.
pub trait World {
    /// The object, or none. `fields` are JSON pointers to what is needed of it; empty: everything.
    ///
    /// # Errors
    /// As the host says.
    fn get(&self, object: &ObjectRef, fields: &[&str]) -> Result<Option<Object>, ReadError>;

    /// One page of the objects that match.
    ///
    /// # Errors
    /// As the host says.
    fn select(&self, selection: &Selection) -> Result<Page, ReadError>;

    /// The keys of a Secret with digests of their values, or none where it does not exist.
    ///
    /// # Errors
    /// As the host says.
    fn secret(&self, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError>;

    /// Runs all queries at once. Answers come in the order of the questions.
    fn query(&self, queries: &[Query]) -> Vec<Result<Vec<Rows>, SqlError>>;

    /// The object's tasks that were started and not forgotten, in the order of their names.
    fn tasks(&self) -> Vec<TaskState>;

    /// The time of this reconcile.
    fn now(&self) -> Timestamp;

    /// Writes a line to the host's log.
    fn log(&self, level: Level, message: &str, fields: &[(&str, String)]);
}

/// Makes the component's exports of a type that implements [`Reconciler`]. A panic is written to the host's log before it traps.
///
/// Natively it makes nothing: a reconciler is called as an ordinary function there.
#[macro_export]
macro_rules! export {
    ($reconciler:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, missing_docs, reason = "the component's entry points, generated")]
        mod component {
            struct Component;

            impl $crate::bindings::Guest for Component {
                fn describe() -> $crate::Description {
                    $crate::set_panic_hook();
                    <$reconciler as $crate::Reconciler>::describe()
                }

                fn reconcile(request: $crate::Request) -> Result<$crate::Plan, $crate::Failure> {
                    $crate::set_panic_hook();
                    <$reconciler as $crate::Reconciler>::reconcile(&$crate::Imports, &request)
                }
            }

            $crate::bindings::export_component!(Component with_types_in $crate::bindings);
        }
    };
}
