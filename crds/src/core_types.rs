//! Kubernetes' own types inside a spec. They go to the pods as they came, so here they are opaque JSON; the generated
//! schemas carry their full structure, so the API server has checked them by then.

use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Value);

        #[cfg(feature = "generate")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                <k8s_openapi::api::core::v1::$name as schemars::JsonSchema>::schema_name()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                <k8s_openapi::api::core::v1::$name as schemars::JsonSchema>::json_schema(generator)
            }
        }
    )*};
}

opaque! {
    /// core/v1 Affinity.
    Affinity;
    /// core/v1 EnvVar.
    EnvVar;
    /// core/v1 LocalObjectReference.
    LocalObjectReference;
    /// core/v1 PodSecurityContext.
    PodSecurityContext;
    /// core/v1 Probe.
    Probe;
    /// core/v1 ResourceRequirements.
    ResourceRequirements;
    /// core/v1 SecurityContext.
    SecurityContext;
    /// core/v1 Toleration.
    Toleration;
    /// core/v1 TopologySpreadConstraint.
    TopologySpreadConstraint;
}

impl EnvVar {
    /// Name of the variable.
    pub fn name(&self) -> &str {
        self.0["name"].as_str().unwrap_or_default()
    }
}

impl Probe {
    /// The timing fields. Its handler is not used: the operator knows how to ask the server.
    pub fn timing(&self) -> ProbeTiming {
        ProbeTiming::deserialize(&self.0).unwrap_or_default()
    }
}

/// When a probe runs and what counts as failure. Fields that are absent are left to the kubelet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProbeTiming {
    /// Seconds from the container's start to the first probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_delay_seconds: Option<i32>,
    /// Seconds between two probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_seconds: Option<i32>,
    /// Seconds after which a probe counts as failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i32>,
    /// Successes in a row that end a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_threshold: Option<i32>,
    /// Failures in a row that count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_threshold: Option<i32>,
    /// Seconds that the pod gets to end after a failed liveness probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<i64>,
}
