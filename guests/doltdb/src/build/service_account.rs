//! The pods' ServiceAccount. The pods themselves don't use it; a cloud's identity may hang on it.

use sdk::{Fields, object};

use super::{metadata, texts};
use crate::target::Target;

pub(super) fn service_account(target: &Target) -> Fields<'_> {
    let name = target.spec.service_account(target.name());
    object! {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(target, name, Fields::default(), texts(&target.spec.service_account_annotations)),
    }
}
