//! Puts a CustomResourceDefinition around each pair of spec and status: names, print columns, and the checks that need
//! the whole object.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::schema::Definitions;
use super::{GenerateError, columns, rules};
use crate::{BackupScheduleSpec, BackupSpec, DatabaseSpec, DoltDBSpec, GROUP, GrantSpec, Kind, SnapshotSpec, UserSpec, VERSION};

pub(super) fn definitions() -> Result<Vec<(&'static str, Value)>, GenerateError> {
    let mut types = Definitions::new();
    add::<DoltDBSpec>(&mut types);
    add::<DatabaseSpec>(&mut types);
    add::<UserSpec>(&mut types);
    add::<GrantSpec>(&mut types);
    add::<SnapshotSpec>(&mut types);
    add::<BackupSpec>(&mut types);
    add::<BackupScheduleSpec>(&mut types);
    rules::apply(&mut types)?;
    Ok(vec![
        crd::<DoltDBSpec>(&types, "A Dolt server, or a primary with standbys that follow it.", columns::doltdb(), doltdb_name())?,
        crd::<DatabaseSpec>(&types, "A database on a DoltDB.", columns::database(), spec_stays())?,
        crd::<UserSpec>(&types, "An SQL account on a DoltDB.", columns::user(), spec_stays())?,
        crd::<GrantSpec>(&types, "Privileges of an SQL account on a DoltDB.", columns::grant(), spec_stays())?,
        crd::<SnapshotSpec>(&types, "VolumeSnapshots of a DoltDB's volumes, taken on a schedule.", columns::snapshot(), label_name())?,
        crd::<BackupSpec>(&types, "One backup of a DoltDB's databases.", columns::backup(), json!([]))?,
        crd::<BackupScheduleSpec>(&types, "Makes Backups of a DoltDB on a schedule.", columns::backup_schedule(), label_name())?,
    ])
}

fn add<K>(types: &mut Definitions)
where
    K: Kind + JsonSchema,
    K::Status: JsonSchema,
{
    types.add::<K>();
    types.add::<K::Status>();
}

fn crd<K>(types: &Definitions, text: &str, columns: Vec<Value>, checks: Value) -> Result<(&'static str, Value), GenerateError>
where
    K: Kind + JsonSchema,
    K::Status: JsonSchema,
{
    let api_version = "Version of the API, k8s.dolthub.com/v1alpha.";
    let mut schema = json!({
        "description": text,
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string", "description": api_version},
            "kind": {"type": "string", "description": format!("Kind of the object, {}.", K::KIND)},
            "metadata": {"type": "object"},
            "spec": types.inlined::<K>()?,
            "status": types.inlined::<K::Status>()?,
        },
    });
    if checks.as_array().is_some_and(|checks| !checks.is_empty()) {
        schema["x-kubernetes-validations"] = checks;
    }
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{GROUP}", K::PLURAL)},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": K::KIND, "listKind": format!("{}List", K::KIND), "plural": K::PLURAL, "singular": K::SINGULAR},
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "additionalPrinterColumns": columns,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    });
    Ok((K::PLURAL, definition))
}

/// Services take its name, and a pod's label holds it with eleven more characters.
fn doltdb_name() -> Value {
    json!([{
        "rule": "self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "message": "metadata.name must have up to 52 lower-case letters, digits and dashes, and start with a letter: Services and pods are named after it",
    }])
}

/// Its name becomes the value of a label.
fn label_name() -> Value {
    json!([{
        "rule": "self.metadata.name.size() <= 63",
        "message": "metadata.name must have up to 63 characters: it becomes the value of a label",
    }])
}

/// Without its spec nobody could tell what to clean up on the server.
fn spec_stays() -> Value {
    json!([{"rule": "!has(oldSelf.spec) || has(self.spec)", "message": "spec cannot be removed: delete the object instead"}])
}
