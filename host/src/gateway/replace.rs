//! The one rule for every write on an object that is there: it replaces the version that was known before the fence was asked.
//!
//! While a process leads, nobody else writes what its reconcilers decide. What is on its way for long, because a process stood still after its
//! fence or a network held it back, finds another version where a successor has written, and is refused. It knows nothing of who writes, nor how.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use async_trait::async_trait;

use super::{Applied, Subject};
use crate::{
    cluster::Stored,
    contract::{Effect, EffectFailure, FailureKind, ObjectRef},
};

/// Where effects happen.
#[async_trait]
pub trait Effects: Sync {
    /// The object as it is known here, which may be less than there is.
    async fn known(&self, object: &ObjectRef) -> Result<Option<Arc<Stored>>, EffectFailure>;

    /// The object as the API server has it.
    async fn live(&self, object: &ObjectRef) -> Result<Option<Arc<Stored>>, EffectFailure>;

    /// Fails where this process may not write any more.
    async fn fenced(&self) -> Result<(), EffectFailure>;

    /// Makes an effect happen, on this version of its object and on no other. That it is another is a conflict. None where it is to be made.
    async fn write(&self, subject: &Subject, effect: &Effect, known: Option<&Stored>) -> Result<Applied, EffectFailure>;
}

/// Makes an effect happen on the version of its object that is known before the fence is asked. Where that is not the newest one, and only what is
/// none of the effect's business has changed since, the fence is asked again for the newest one.
///
/// # Errors
/// As [`Effects::write`]. A conflict is one of what the effect is about, and so for the next round to decide.
pub async fn replace(world: &impl Effects, subject: &Subject, effect: &Effect) -> Result<Applied, EffectFailure> {
    let Some((object, uid)) = target(subject, effect) else {
        world.fenced().await?;
        return world.write(subject, effect, None).await;
    };
    let is_meant = |stored: &Arc<Stored>| uid.is_empty() || stored.header.uid == uid;
    let mut known = world.known(&object).await?.filter(is_meant);
    loop {
        world.fenced().await?;
        let failure = match world.write(subject, effect, known.as_deref()).await {
            Err(failure) if failure.kind == FailureKind::Conflict => failure,
            done => return done,
        };
        let live = world.live(&object).await?.filter(is_meant);
        if live.is_none() && matches!(effect, Effect::Delete(_)) {
            return Ok(Applied::Unchanged);
        }
        let is_no_business = known.as_deref().zip(live.as_deref()).is_some_and(|(known, live)| {
            known.header.resource_version != live.header.resource_version && business(effect, known) == business(effect, live)
        });
        if !is_no_business {
            return Err(failure);
        }
        known = live;
    }
}

/// The object that an effect changes, with its uid if the effect is about no namesake. A Secret is only ever made.
fn target<'a>(subject: &'a Subject, effect: &'a Effect) -> Option<(Cow<'a, ObjectRef>, &'a str)> {
    match effect {
        Effect::Apply(application) => Some((Cow::Borrowed(&application.object), &application.uid)),
        Effect::Delete(deletion) => Some((Cow::Borrowed(&deletion.object), &deletion.uid)),
        Effect::Label(labelling) => Some((Cow::Borrowed(&labelling.object), &labelling.uid)),
        Effect::Status(_) | Effect::Finalizer(_) => Some((Cow::Owned((&subject.object).into()), &subject.uid)),
        Effect::GenerateSecret(_) | Effect::Sql(_) | Effect::Start(_) | Effect::Forget(_) => None,
    }
}

/// A digest of what of an object a write of this kind is decided by.
fn business(effect: &Effect, stored: &Stored) -> u64 {
    let mut hasher = DefaultHasher::new();
    match effect {
        Effect::Status(_) => return stored.status_fingerprint(),
        Effect::Label(_) => (&stored.header.labels, stored.header.deleting).hash(&mut hasher),
        Effect::Delete(_) => {
            let end = stored.body.pointer("/metadata/deletionTimestamp");
            (&stored.header.labels, stored.body.get("spec"), end).hash(&mut hasher);
        }
        _ => return stored.fingerprint(),
    }
    hasher.finish()
}
