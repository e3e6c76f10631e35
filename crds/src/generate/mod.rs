//! Makes the CustomResourceDefinitions. The types give shape, texts and defaults; `rules` adds what the API server checks;
//! `crd` adds names and print columns; `schema` turns the result into the structural form that an API server takes.
//! Owns the list of files that come out, and knows nothing of where the checkout is.

mod columns;
mod crd;
mod rules;
mod schema;

use std::fmt;

use serde_json::Value;

/// Where the generated definitions stand, from the root of the checkout. `kubectl apply -k crds/` reads the first.
const FOLDERS: [&str; 2] = ["crds/generated", "charts/doltdb-operator-crds/files"];
const HEADER: &str = "# Made by `cargo xtask crds` from the types in crds/src. Edit those.\n";

/// Something in the generator's own tables does not fit the types.
#[derive(Debug)]
pub struct GenerateError(String);

impl fmt::Display for GenerateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for GenerateError {}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Path from the root of the checkout.
    pub path: String,
    /// What it holds.
    pub content: String,
}

/// All seven definitions, with their plural names.
///
/// # Errors
/// Names the rule that fits no field.
pub fn definitions() -> Result<Vec<(&'static str, Value)>, GenerateError> {
    crd::definitions()
}

/// All generated files, the same in every run.
///
/// # Errors
/// Names the rule that fits no field.
pub fn files() -> Result<Vec<GeneratedFile>, GenerateError> {
    let mut files = Vec::new();
    let mut kustomization = format!("{HEADER}apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n");
    for (plural, definition) in definitions()? {
        let content = format!("{HEADER}{}", yaml(&definition)?);
        for folder in FOLDERS {
            files.push(GeneratedFile { path: format!("{folder}/{plural}.yaml"), content: content.clone() });
        }
        kustomization.push_str(&format!("  - generated/{plural}.yaml\n"));
    }
    files.push(GeneratedFile { path: "crds/kustomization.yaml".into(), content: kustomization });
    Ok(files)
}

fn yaml(value: &Value) -> Result<String, GenerateError> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 120 };
    serde_saphyr::to_string_with_options(&schema::sorted(value), options)
        .map_err(|error| GenerateError(format!("cannot write YAML: {error}")))
}
