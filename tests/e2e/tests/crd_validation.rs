//! What the API server itself says to manifests: the same files that the types are tested with.

use anyhow::{Result, bail, ensure};
use e2e::{expected, file, folder, in_namespace};
use serde_json::Value;

#[tokio::test]
async fn every_invalid_manifest_is_refused_with_the_words_that_it_expects() -> Result<()> {
    in_namespace("invalid", async |namespace| {
        let mut wrong = Vec::new();
        for path in folder("crds/tests/invalid")? {
            let words = expected(&path)?;
            for manifest in file(&path)? {
                match namespace.would_create(&manifest).await? {
                    Ok(_) => wrong.push(format!("{path}: was accepted")),
                    Err(message) if !message.contains(&words) => wrong.push(format!("{path}: expected {words:?}, got: {message}")),
                    Err(_) => {}
                }
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn every_valid_manifest_and_every_example_is_accepted() -> Result<()> {
    in_namespace("valid", async |namespace| {
        let mut wrong = Vec::new();
        for path in [folder("crds/tests/valid")?, folder("examples")?, folder("examples/all-kinds")?].concat() {
            if path.ends_with("kustomization.yaml") {
                continue;
            }
            for manifest in file(&path)? {
                if let Err(message) = namespace.would_create(&manifest).await? {
                    wrong.push(format!("{path}: {message}"));
                }
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    })
    .await
}

/// Each file holds an object before and after a change. Made here, they would be reconciled, so no pod may come of them: none has credentials.
#[tokio::test]
async fn changes_are_refused_or_allowed_as_the_files_say() -> Result<()> {
    in_namespace("changes", async |namespace| {
        let mut wrong = Vec::new();
        for path in [folder("crds/tests/refused-changes")?, folder("crds/tests/allowed-changes")?].concat() {
            let [before, after] = &file(&path)?[..] else { bail!("{path} does not hold two objects") };
            namespace.apply(before).await?;
            let words = expected(&path).ok();
            match (namespace.would_replace(after).await?, words) {
                (Ok(_), None) => {}
                (Ok(_), Some(_)) => wrong.push(format!("{path}: was accepted")),
                (Err(message), Some(words)) if message.contains(&words) => {}
                (Err(message), words) => wrong.push(format!("{path}: expected {words:?}, got: {message}")),
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn parents_that_are_missing_come_back_with_their_defaults() -> Result<()> {
    in_namespace("defaults", async |namespace| {
        for path in ["crds/tests/valid/doltdb-minimal.yaml", "crds/tests/valid/doltdb-empty-parents.yaml"] {
            for manifest in file(path)? {
                let created = match namespace.would_create(&manifest).await? {
                    Ok(created) => created,
                    Err(message) => bail!("{path}: {message}"),
                };
                let defaults: [(&str, Value); 9] = [
                    ("/spec/image", "dolthub/dolt".into()),
                    ("/spec/updateStrategy", "ReplicasFirstPrimaryLast".into()),
                    ("/spec/terminationGracePeriodSeconds", 60.into()),
                    ("/spec/server/listener/host", "0.0.0.0".into()),
                    ("/spec/server/listener/port", 3306.into()),
                    ("/spec/server/listener/maxConnections", 1024.into()),
                    ("/spec/server/cluster/remotesAPI/port", 50051.into()),
                    ("/spec/server/logLevel", "trace".into()),
                    ("/spec/globalConfig/commitAuthor/email", "dolt@kubernetes.deployment".into()),
                ];
                for (pointer, value) in defaults {
                    ensure!(created.pointer(pointer) == Some(&value), "{path}: {pointer} is {:?}, not {value}", created.pointer(pointer));
                }
            }
        }
        Ok(())
    })
    .await
}
