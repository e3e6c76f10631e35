//! The chart's values, as far as they say what a reconciler may do.

use serde_json::{Value as Json, json};

const VALUES: &str = include_str!("../../../charts/doltdb-operator/values.yaml");

/// A slot as it is installed, without settings.
///
/// # Panics
/// When the values are no YAML.
pub fn slot(name: &str) -> Json {
    let values: Json = serde_saphyr::from_str(VALUES).expect("the chart's values are YAML");
    let mut slot = values["reconcilers"][name].clone();
    slot["settings"] = json!({});
    slot
}
