//! Where a backup goes: from a `spec.storage` to the URL that Dolt takes for each database, and what no server could do.
//!
//! Dolt overwrites a destination without looking whose data is there. So each database has a destination of its own, made of its name.
//! It knows nothing of when a backup is made, nor how.

use crds::{BackupStorage, DoltHubStorage, FieldError, LocalStorage, S3Storage};

/// Where the data volume is mounted: the only place in a pod that outlives it.
const DATA: &str = "/db";
/// Stands for the name of the database in a URL.
const DATABASE: &str = "{database}";
/// Stands for the number of the copy in the URL of a schedule.
const COPY: &str = "{copy}";
/// Schemes of URLs that Dolt would take for a place in the pod.
const LOCAL_SCHEMES: [&str; 3] = ["file", "localbs", "mem"];

/// What keeps a storage from being used, whatever the server does. `databases` are those that the spec names.
pub fn storage_mistakes(storage: &BackupStorage, databases: &[String]) -> Vec<FieldError> {
    let mut found = Vec::new();
    let given = [storage.s3.is_some(), storage.dolt_hub.is_some(), storage.local.is_some()].into_iter().filter(|given| *given).count();
    if given != 1 {
        found.push(FieldError::new("spec.storage", "", "must have exactly one of s3, doltHub and local"));
    }
    found.extend(storage.s3.iter().flat_map(s3_mistakes));
    found.extend(storage.dolt_hub.iter().flat_map(remote_mistakes));
    found.extend(storage.local.iter().flat_map(|local| local_mistakes(local, databases)));
    found
}

fn s3_mistakes(s3: &S3Storage) -> Vec<FieldError> {
    let mut found = Vec::new();
    if s3.force_path_style == Some(true) {
        let problem = "Dolt puts the bucket into the name of the host and cannot do otherwise: remove the field";
        found.push(FieldError::new("spec.storage.s3.forcePathStyle", "true", problem));
    }
    if s3.access_key_id_secret_key_ref.is_some() != s3.secret_access_key_secret_key_ref.is_some() {
        let problem = "needs accessKeyIdSecretKeyRef and secretAccessKeySecretKeyRef together, or neither of them";
        found.push(FieldError::new("spec.storage.s3", "", problem));
    }
    found
}

fn remote_mistakes(remote: &DoltHubStorage) -> Vec<FieldError> {
    let field = "spec.storage.doltHub.remoteUrl";
    let mut found = Vec::new();
    if remote.credentials_secret_key_ref.is_some() {
        let problem = "Dolt takes the credentials of a remote from its own configuration only, never with a backup: remove the field, and give the \
                       servers a key (dolt creds), or use a remote that lets them in";
        found.push(FieldError::new("spec.storage.doltHub.credentialsSecretKeyRef", "", problem));
    }
    let (scheme, rest) = remote.remote_url.split_once("://").unwrap_or(("", &remote.remote_url));
    if LOCAL_SCHEMES.contains(&scheme) {
        found.push(FieldError::new(field, &remote.remote_url, "is a place in the pod: use spec.storage.local"));
    } else if rest.split('/').next().is_some_and(|host| host.contains('@')) {
        // Not repeated here: it may hold a password.
        found.push(FieldError::new(field, "", "must not hold a user or a password: Dolt does not use them"));
    } else if rest.is_empty() {
        found.push(FieldError::new(field, &remote.remote_url, "must name a remote"));
    } else if remote.remote_url.replace(DATABASE, "").contains(['{', '}']) {
        let problem = "may hold {database}, and {copy} in a BackupSchedule with copies, but no other braces";
        found.push(FieldError::new(field, &remote.remote_url, problem));
    }
    found
}

fn local_mistakes(local: &LocalStorage, databases: &[String]) -> Vec<FieldError> {
    let field = "spec.storage.local.path";
    let wrong = |problem: String| vec![FieldError::new(field, &local.path, problem)];
    let mut parts = local.path.trim_end_matches('/').split('/').skip(1).peekable();
    if parts.clone().any(|part| part.is_empty() || part == "." || part == "..") {
        return wrong("must not hold empty parts, \".\" or \"..\"".to_owned());
    }
    let below = parts.next() == Some(&DATA[1..]);
    let Some(first) = parts.next().filter(|_| below) else {
        return wrong(format!(
            "is on no volume, so that the backup would be lost with the pod: choose a folder below {DATA}, the data volume, such as {DATA}/.backups"
        ));
    };
    if first.starts_with(".dolt") || first == "config.yaml" {
        return wrong(format!("belongs to Dolt: choose another folder below {DATA}, such as {DATA}/.backups"));
    }
    if databases.iter().any(|database| database == first) {
        return wrong(format!("is the folder of the database \"{first}\" itself: choose another one, such as {DATA}/.backups"));
    }
    Vec::new()
}

/// Whether the folder of a local storage is the one of a database that is there.
pub fn in_the_way<'a>(storage: &BackupStorage, databases: &'a [String]) -> Option<&'a String> {
    let local = storage.local.as_ref()?;
    let first = local.path.trim_start_matches(DATA).trim_start_matches('/').split('/').next()?;
    databases.iter().find(|database| *database == first)
}

/// The destination of a database. `named` are the databases that the spec names.
pub fn destination(storage: &BackupStorage, named: &[String], database: &str) -> String {
    if let Some(s3) = &storage.s3 {
        let table = s3.dynamo_db_table.as_deref().filter(|table| !table.is_empty()).unwrap_or(&s3.bucket);
        let prefix = s3.prefix.as_deref().unwrap_or_default().trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        return format!("aws://[{table}:{}]/{prefix}{slash}{database}", s3.bucket);
    }
    if let Some(local) = &storage.local {
        return format!("file://{}/{database}", local.path.trim_end_matches('/'));
    }
    let url = storage.dolt_hub.as_ref().map(|remote| remote.remote_url.as_str()).unwrap_or_default();
    if url.contains(DATABASE) {
        return url.replace(DATABASE, database);
    }
    // One database that is named: as the URL always was, so that its backup goes on where it was.
    if named.len() == 1 { url.to_owned() } else { format!("{}/{database}", url.trim_end_matches('/')) }
}

/// The storage of one of several copies, counted from 1.
///
/// # Errors
/// Where it has no room for a number.
pub fn copy(storage: &BackupStorage, number: i32) -> Result<BackupStorage, FieldError> {
    let mut storage = storage.clone();
    if let Some(s3) = &mut storage.s3 {
        let prefix = s3.prefix.as_deref().unwrap_or_default().trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        s3.prefix = Some(format!("{prefix}{slash}{number}"));
    }
    if let Some(local) = &mut storage.local {
        local.path = format!("{}/{number}", local.path.trim_end_matches('/'));
    }
    if let Some(remote) = &mut storage.dolt_hub {
        if !remote.remote_url.contains(COPY) {
            let problem = "needs {copy} in it, which stands for the number of the copy, since spec.copies is set";
            return Err(FieldError::new("spec.storage.doltHub.remoteUrl", &remote.remote_url, problem));
        }
        remote.remote_url = remote.remote_url.replace(COPY, &number.to_string());
    }
    Ok(storage)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn storage(json: serde_json::Value) -> BackupStorage {
        serde_json::from_value(json).unwrap()
    }

    #[rstest]
    #[case(json!({"local": {"path": "/db/.backups/"}}), &[], "file:///db/.backups/shop")]
    #[case(json!({"s3": {"bucket": "b"}}), &[], "aws://[b:b]/shop")]
    #[case(json!({"s3": {"bucket": "b", "dynamoDBTable": "t", "prefix": "/a/b/"}}), &[], "aws://[t:b]/a/b/shop")]
    #[case(json!({"doltHub": {"remoteUrl": "https://doltremoteapi.dolthub.com/org/repo"}}), &["shop"], "https://doltremoteapi.dolthub.com/org/repo")]
    #[case(json!({"doltHub": {"remoteUrl": "http://remote:50051/"}}), &[], "http://remote:50051/shop")]
    #[case(json!({"doltHub": {"remoteUrl": "http://remote:50051"}}), &["shop", "two"], "http://remote:50051/shop")]
    #[case(json!({"doltHub": {"remoteUrl": "http://remote/{database}-old"}}), &["shop"], "http://remote/shop-old")]
    fn each_database_has_a_destination_of_its_own(#[case] json: serde_json::Value, #[case] named: &[&str], #[case] expected: &str) {
        let named: Vec<String> = named.iter().map(ToString::to_string).collect();
        assert_eq!(destination(&storage(json), &named, "shop"), expected);
    }

    #[rstest]
    #[case(json!({"local": {"path": "/db/.backups"}}), None)]
    #[case(json!({"local": {"path": "/db/a/b-c"}}), None)]
    #[case(json!({"local": {"path": "/var/backups/dolt"}}), Some("is on no volume"))]
    #[case(json!({"local": {"path": "/db/"}}), Some("is on no volume"))]
    #[case(json!({"local": {"path": "/dba/x"}}), Some("is on no volume"))]
    #[case(json!({"local": {"path": "/db/../var"}}), Some("\"..\""))]
    #[case(json!({"local": {"path": "/db//x"}}), Some("empty parts"))]
    #[case(json!({"local": {"path": "/db/.doltcfg/x"}}), Some("belongs to Dolt"))]
    #[case(json!({"local": {"path": "/db/shop"}}), Some("the folder of the database \"shop\" itself"))]
    #[case(json!({"s3": {"bucket": "b"}}), None)]
    #[case(json!({"s3": {"bucket": "b", "forcePathStyle": true}}), Some("name of the host"))]
    #[case(json!({"s3": {"bucket": "b", "accessKeyIdSecretKeyRef": {"name": "s", "key": "k"}}}), Some("together"))]
    #[case(json!({"doltHub": {"remoteUrl": "org/repo"}}), None)]
    #[case(json!({"doltHub": {"remoteUrl": "file:///x"}}), Some("use spec.storage.local"))]
    #[case(json!({"doltHub": {"remoteUrl": "https://a:b@c/d"}}), Some("must not hold a user or a password"))]
    #[case(json!({"doltHub": {"remoteUrl": "http://c/{copy}"}}), Some("no other braces"))]
    #[case(json!({"doltHub": {"remoteUrl": "http://c/{database}", "credentialsSecretKeyRef": {"name": "s", "key": "k"}}}), Some("credentials of a remote"))]
    #[case(json!({}), Some("exactly one"))]
    fn what_no_server_can_do_is_named(#[case] json: serde_json::Value, #[case] expected: Option<&str>) {
        let found = storage_mistakes(&storage(json), &["shop".to_owned()]);
        assert_eq!(found.len(), usize::from(expected.is_some()), "{found:?}");
        assert!(expected.is_none_or(|words| found[0].to_string().contains(words)), "{found:?}");
        assert!(!found.iter().any(|mistake| mistake.to_string().contains("a:b@")), "{found:?}");
    }

    #[test]
    fn copies_have_places_of_their_own() {
        let local = copy(&storage(json!({"local": {"path": "/db/.backups"}})), 2).unwrap();
        assert_eq!(destination(&local, &[], "shop"), "file:///db/.backups/2/shop");
        let s3 = copy(&storage(json!({"s3": {"bucket": "b"}})), 2).unwrap();
        assert_eq!(destination(&s3, &[], "shop"), "aws://[b:b]/2/shop");
        let remote = copy(&storage(json!({"doltHub": {"remoteUrl": "http://r/{copy}_{database}"}})), 2).unwrap();
        assert_eq!(destination(&remote, &[], "shop"), "http://r/2_shop");
        assert!(copy(&storage(json!({"doltHub": {"remoteUrl": "http://r/{database}"}})), 2).is_err());
    }
}
