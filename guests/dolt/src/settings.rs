//! Settings that every reconciler of Dolt's kinds takes from the host's configuration.

use serde::Deserialize;

/// JSON schema of [`Settings`].
pub const SETTINGS_SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "clusterDomain": { "type": "string", "minLength": 1, "default": "cluster.local", "description": "DNS domain of the cluster." },
    "resyncSeconds": { "type": "integer", "minimum": 0, "default": 30, "description": "Seconds between two looks at an object on a server; 0: only when something changes. An object's own interval comes first." }
  }
}"#;

/// What holds for all objects.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    /// DNS domain of the cluster.
    pub cluster_domain: String,
    /// Seconds between two looks at an object on a server; 0: only when something changes.
    pub resync_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cluster_domain: crds::names::DEFAULT_CLUSTER_DOMAIN.to_owned(), resync_seconds: 30 }
    }
}
