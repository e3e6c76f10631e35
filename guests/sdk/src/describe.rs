//! Short forms for a reconciler's description.

use crate::Kind;

/// A kind by what stands in a manifest: `kind("apps/v1", "StatefulSet")`.
pub fn kind(api_version: &str, kind: &str) -> Kind {
    Kind { api_version: api_version.to_owned(), kind: kind.to_owned() }
}
