//! The pods' ServiceAccount. The pods themselves don't use it; a cloud's identity may hang on it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::metadata;
use crate::target::Target;

pub(super) fn service_account(target: &Target) -> Value {
    let name = target.spec.service_account(target.name());
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(target, name, &BTreeMap::new(), &target.spec.service_account_annotations),
    })
}
