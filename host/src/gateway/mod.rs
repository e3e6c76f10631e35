//! The one seam: all I/O of a reconcile passes the [`Gateway`].
//!
//! Live, recorded, replayed and simulated worlds are implementations of it. Queue, rounds, plan check and guests are generic over it.
//! It knows nothing of queues, modules or grants.

mod key;
mod live;
mod record;
mod replace;
mod replay;
mod shared;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::{
    key::{ObjectKey, Parts},
    live::{Fence, Live},
    record::{Answer, Ending, Journal, Question, Read, Recorder, ask},
    replace::{Effects, replace},
    replay::{Divergence, Replay},
    shared::{Answers, Listed, Queries, Seen, Shared},
};
use crate::contract::{Effect, EffectFailure, Event, ObjectRef, ReadError, SecretDigest, Selection, TaskState, Timestamp};

/// Who asks: the reconciler's name and the object that it reconciles.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Subject {
    /// The reconciler's slot, as in the settings.
    pub reconciler: String,
    /// The object that is reconciled.
    pub object: ObjectKey,
    /// Its uid, so that nothing is written to a namesake.
    pub uid: String,
}

/// What an effect came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The world is different now.
    Changed,
    /// It was so already: nothing was sent, or the server said that nothing changed.
    Unchanged,
}

/// The world outside of a reconcile.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// The object, masked to `fields`, or none.
    async fn get(&self, subject: &Subject, object: &ObjectRef, fields: &[String]) -> Result<Option<Seen>, ReadError>;

    /// One page of the objects that match.
    async fn select(&self, subject: &Subject, selection: &Selection) -> Result<Listed, ReadError>;

    /// Digests of a Secret's values.
    async fn secret(&self, subject: &Subject, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError>;

    /// A digest of an object but for its status, by which it is seen that somebody else has changed what was applied; none where there is no
    /// such object, or where nobody else changes anything.
    async fn fingerprint(&self, object: &ObjectRef) -> Option<u64> {
        let _ = object;
        None
    }

    /// A number that is another one as soon as anything is that `get`, `select`, `secret` or `fingerprint` may tell of; none where that is not
    /// counted.
    fn revision(&self) -> Option<u64> {
        None
    }

    /// All queries at once; answers in the order of the questions.
    async fn query(&self, subject: &Subject, queries: &Queries) -> Answers;

    /// The subject's tasks, in the order of their names. A world without tasks has none.
    async fn tasks(&self, subject: &Subject) -> Vec<TaskState> {
        let _ = subject;
        Vec::new()
    }

    /// The time now.
    fn now(&self) -> Timestamp;

    /// Makes one effect happen. It has been checked against the grant.
    async fn apply(&self, subject: &Subject, effect: &Effect) -> Result<Applied, EffectFailure>;

    /// Writes an event on the subject.
    async fn event(&self, subject: &Subject, event: &Event);

    /// There is no object of the subject's name any more: what still runs for it ends.
    async fn gone(&self, subject: &Subject) {
        let _ = subject;
    }

    /// Says in a condition of the host's own on the subject that its reconciler is in trouble (reason and message), or no more.
    async fn health(&self, subject: &Subject, trouble: Option<(&str, &str)>) {
        let _ = (subject, trouble);
    }
}

/// A gateway that several rooms share.
pub type SharedGateway = Arc<dyn Gateway>;
