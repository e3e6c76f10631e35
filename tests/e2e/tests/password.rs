//! The administrator's password changes while the cluster runs: no pod restarts, nobody is locked out.

use anyhow::{Result, ensure};
use e2e::{ADMIN, MINUTE, PASSWORD, condition, credentials, database, in_namespace, replicated, seconds, wait_for, with};
use serde_json::json;

const NEW: &str = "Brand-new-0815";

#[tokio::test]
async fn a_new_password_of_the_admin_is_known_everywhere_and_restarts_nothing() -> Result<()> {
    in_namespace("password", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        let often = json!({"spec": {"probes": {"livenessProbe": {"periodSeconds": 2}, "readinessProbe": {"periodSeconds": 2}}}});
        namespace.apply(&with(replicated("dolt"), often)).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        let before = namespace.pods().await?;

        // Without the former one nobody could be let in: that is told, and nothing else happens.
        namespace.merge("Secret", "dolt-credentials", &json!({"stringData": {"admin-password": NEW}})).await?;
        namespace.complains("DoltDB", "dolt", &["dolt-credentials", "admin-password-previous"], seconds(30)).await?;
        namespace.merge("Secret", "dolt-credentials", &json!({"stringData": {"admin-password-previous": PASSWORD}})).await?;
        for ordinal in 0..2 {
            let server = namespace.pod("dolt", ordinal).account(ADMIN, NEW);
            wait_for(format!("server {ordinal} knows the new password"), seconds(20), async || server.rows("select 1").await).await?;
        }
        wait_for("the former password can go", seconds(20), async || {
            let changed = condition(&namespace.expect("DoltDB", "dolt").await?, "PasswordChanged");
            ensure!(changed.as_ref().is_some_and(|changed| changed.status == "True"), "it says {changed:?}");
            Ok(())
        })
        .await?;
        let refused = namespace.service("dolt-primary").rows("select 1").await;
        ensure!(refused.is_err(), "the former password still lets in: {refused:?}");
        namespace.merge("Secret", "dolt-credentials", &json!({"data": {"admin-password-previous": null}})).await?;
        namespace.apply(&database("app", "dolt", "app")).await?;
        namespace.ready("Database", "app", seconds(30)).await?;
        // The probes have asked several times by now, with the password of the pods' start.
        namespace.ready("DoltDB", "dolt", seconds(30)).await?;
        let doltdb = namespace.expect("DoltDB", "dolt").await?;
        ensure!(doltdb["status"]["currentPrimary"] == "dolt-0", "the primary has changed: {}", doltdb["status"]);
        namespace.no_pod_restarted_since(&before).await
    })
    .await
}
