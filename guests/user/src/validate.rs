//! Mistakes in the spec that the API server lets through, or that were stored before it knew better.

use crds::{FieldError, UserSpec};
use dolt::Account;

pub(crate) fn mistakes(spec: &UserSpec, account: &Account) -> Vec<FieldError> {
    let mut found = account.mistakes("spec.name", "spec.host");
    let reference = &spec.password_secret_key_ref;
    for (field, value) in [("spec.passwordSecretKeyRef.name", &reference.name), ("spec.passwordSecretKeyRef.key", &reference.key)] {
        if value.is_empty() {
            found.push(FieldError::new(field, "", "is required"));
        }
    }
    found.extend(spec.sql.requeue_interval().err());
    found.extend(spec.sql.retry_interval().err());
    found
}
