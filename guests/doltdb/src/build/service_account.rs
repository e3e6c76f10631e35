//! The pods' ServiceAccount. The pods themselves don't use it; a cloud's identity may hang on it.

use sdk::{Json, Manifest, object};

use super::{Texts, child, metadata, texts};
use crate::target::Target;

pub(super) fn service_account(target: &Target) -> Manifest {
    let name = target.spec.service_account(target.name());
    let annotations = texts(&target.spec.service_account_annotations).collect();
    let body = object! {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(target, name, Texts::new(), annotations),
    };
    Manifest { object: child(target, "v1", "ServiceAccount", name), body: body.written() }
}
