//! What a server must have in its environment to reach S3. Dolt takes credentials and region of AWS from there, from files that the environment names,
//! or from the cloud identity of its pod, and from no statement: so they are asked of the DoltDB, and no database is restarted in order to back it up.

use crds::{API_VERSION, DoltDB, EnvVar, S3Storage, SecretKeySelector, names};
use sdk::{Failure, Typed, World, reference};
use serde_json::{Value as Json, json};

/// What the environment of a DoltDB's servers lacks, or has otherwise than the storage says.
pub(crate) fn lacking(world: &dyn World, doltdb: &Typed<DoltDB>, s3: &S3Storage) -> Result<Option<String>, Failure> {
    let wanted = wanted(s3);
    if wanted.is_empty() {
        return Ok(None);
    }
    let header = &doltdb.header;
    let object = reference(API_VERSION, DoltDB::KIND, &header.namespace, &header.name);
    let has = world.get_as::<DoltDB>(&object, &["/spec/env"])?.map(|doltdb| doltdb.body.spec.env).unwrap_or_default();
    let missing: Vec<&Json> = wanted.iter().filter(|wanted| !has.iter().any(|has| same(has, wanted))).collect();
    Ok((!missing.is_empty()).then(|| {
        format!(
            "Dolt takes credentials and region of AWS from the servers' environment or files only: add to spec.env of DoltDB \"{}\" {}, and make a new \
             Backup when its servers have been updated; or put them into Secret \"{}\" and make a new Backup without these fields",
            header.name,
            Json::from(missing.into_iter().cloned().collect::<Vec<_>>()),
            names::aws_secret(&header.name)
        )
    }))
}

fn wanted(s3: &S3Storage) -> Vec<Json> {
    let secret = |name: &str, key: &Option<SecretKeySelector>| {
        let key = key.as_ref()?;
        Some(json!({"name": name, "valueFrom": {"secretKeyRef": {"name": key.name, "key": key.key}}}))
    };
    let literal = |name: &str, value: &Option<String>| {
        let value = value.as_ref().filter(|value| !value.is_empty())?;
        Some(json!({"name": name, "value": value}))
    };
    [
        secret("AWS_ACCESS_KEY_ID", &s3.access_key_id_secret_key_ref),
        secret("AWS_SECRET_ACCESS_KEY", &s3.secret_access_key_secret_key_ref),
        literal("AWS_REGION", &s3.region),
        literal("AWS_ENDPOINT_URL", &s3.endpoint),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether a variable is the wanted one. What else may stand in it, such as `optional`, is of no concern.
fn same(has: &EnvVar, wanted: &Json) -> bool {
    let has = json!(has);
    let equal = |pointer: &str| has.pointer(pointer) == wanted.pointer(pointer);
    let is = match wanted.get("value") {
        // It may also come from a ConfigMap, whose content is not known here.
        Some(_) => equal("/value") || has.get("valueFrom").is_some(),
        None => equal("/valueFrom/secretKeyRef/name") && equal("/valueFrom/secretKeyRef/key"),
    };
    equal("/name") && is
}
