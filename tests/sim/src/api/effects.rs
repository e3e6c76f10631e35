//! The effects of plans on objects.

use host::{
    cluster::Stored,
    contract::{Effect, EffectFailure, FailureKind},
    gateway::{ObjectKey, Subject},
};

use super::{Api, Refusal};

impl Api {
    /// What an effect does, on the version that is `known` if one is; gives whether that is anything.
    ///
    /// # Errors
    /// What the API server says against it. Effects on databases are none of its business.
    pub fn perform(&mut self, subject: &Subject, effect: &Effect, known: Option<&Stored>) -> Result<bool, EffectFailure> {
        let failed = |kind, message| EffectFailure { effect: 0, kind, message, sql: None };
        let refused = |Refusal { kind, message }| failed(kind, message);
        let manager = format!("doltdb-operator-{}", subject.reconciler);
        if let Some(known) = known
            && self.get(&known.key()).is_none_or(|live| live.version() != known.version())
        {
            return Err(failed(FailureKind::Conflict, format!("{} has been modified", known.key())));
        }
        Ok(match effect {
            Effect::Apply(application) => {
                self.apply(&manager, &ObjectKey::from(&application.object), &application.uid, &application.body, "").map_err(refused)?
            }
            Effect::Status(status) => self.apply(&manager, &subject.object, &subject.uid, status, "status").map_err(refused)?,
            Effect::Delete(deletion)
                if self.get(&ObjectKey::from(&deletion.object)).is_some_and(|live| live.header.uid != deletion.uid) =>
            {
                return Err(failed(FailureKind::Conflict, format!("{}: the uid is another", deletion.object.name)));
            }
            Effect::Delete(deletion) => {
                let grace = serde_json::to_value(deletion).ok().and_then(|deletion| deletion["grace"].as_u64());
                self.delete_within(&ObjectKey::from(&deletion.object), &deletion.uid, grace)
            }
            Effect::Label(labelling) => {
                self.label(&ObjectKey::from(&labelling.object), &labelling.uid, &labelling.labels).map_err(refused)?
            }
            Effect::Finalizer(finalizer) => {
                self.finalizer(&subject.object, &subject.uid, &finalizer.name, finalizer.present).map_err(refused)?
            }
            Effect::GenerateSecret(_) | Effect::Sql(_) | Effect::Start(_) | Effect::Forget(_) => {
                return Err(failed(FailureKind::Invalid, "the model has no such effect".into()));
            }
        })
    }
}
