//! Secrets that servers have as files: certificates for each other and for clients, and keys for S3 that come while the cluster runs.

use anyhow::{Result, ensure};
use e2e::{MINUTE, Namespace, Sql, credentials, in_namespace, replicated, script, seconds, standalone, text, wait_for, with};
use mysql_async::{Conn, SslOpts, prelude::Queryable};
use serde_json::{Value, json};
use tokio::time::timeout;

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

fn secret(name: &str, files: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": files})
}

#[tokio::test]
async fn servers_with_certificates_replicate_and_change_their_roles() -> Result<()> {
    in_namespace("tls", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        let files = json!({
            "tls.crt": include_str!("../../sql/tests/tls/tls.crt"),
            "tls.key": include_str!("../../sql/tests/tls/tls.key"),
            "ca.crt": include_str!("../../sql/tests/tls/ca.crt"),
        });
        namespace.apply(&secret("certificates", files)).await?;
        let tls = json!({"spec": {"server": {"cluster": {"remotesAPI": {"tls": {"secretName": "certificates"}}}}}});
        namespace.apply(&with(replicated("dolt"), tls)).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        let before = namespace.pods().await?;
        let primary = namespace.service("dolt-primary");
        primary.rows("create database app").await?;
        primary.database("app").rows("create table t (id int primary key)").await?;
        for (id, to) in [(1, 1), (2, 0)] {
            // The Service follows a change of roles within moments, and a client tries again meanwhile.
            let insert = format!("insert ignore into t values ({id})");
            wait_for("the primary takes a row", seconds(20), async || primary.database("app").rows(&insert).await).await?;
            namespace.merge("DoltDB", "dolt", &json!({"spec": {"replication": {"primary": {"podIndex": to}}}})).await?;
            let server = namespace.pod("dolt", to);
            wait_for(format!("server {to} is primary"), MINUTE, async || {
                let role = server.role().await?;
                ensure!(role == "primary", "it is {role}");
                Ok(())
            })
            .await?;
            let ids = server.database("app").column("select id from t order by id").await?;
            ensure!(ids.len() == id, "server {to} has {ids:?}");
            namespace.ready("DoltDB", "dolt", MINUTE).await?;
        }
        namespace.no_pod_restarted_since(&before).await
    })
    .await
}

/// A certificate for the servers of the DoltDB `dolt` here, as cert-manager would make it.
async fn certificate(namespace: &Namespace) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    let place = namespace.name.as_str();
    // Without a configuration of its own openssl would make every certificate one of an authority.
    let lines = format!(
        r#"cd '{}'
printf '[req]\ndistinguished_name = none\n[none]\n' > openssl.cnf
new() {{ openssl req -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" "${{@:2}}" 2> /dev/null; }}
new ca -x509 -out ca.crt -days 2 -subj "/CN=authority of a test" -addext basicConstraints=critical,CA:true
new tls -out tls.csr -subj "/CN=dolt"
printf 'subjectAltName = DNS:*.dolt-internal.{place}.svc.cluster.local, DNS:dolt-primary.{place}.svc.cluster.local\n' > names
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -extfile names -out tls.crt 2> /dev/null
"#,
        folder.path().display()
    );
    script(&lines).await?;
    let file = |name: &str| std::fs::read_to_string(folder.path().join(name));
    Ok(json!({"tls.crt": file("tls.crt")?, "tls.key": file("tls.key")?, "ca.crt": file("ca.crt")?}))
}

/// From the outside: whether a client gets in.
async fn enters(server: &Sql, authority: Option<&str>) -> Result<()> {
    let tls = authority
        .map(|authority| SslOpts::default().with_root_certs(vec![authority.as_bytes().to_vec().into()]).with_disable_built_in_roots(true));
    let mut conn = timeout(seconds(10), Conn::new(server.opts().ssl_opts(tls))).await??;
    let answer: Option<u8> = conn.query_first("select 7").await?;
    ensure!(answer == Some(7), "it answers {answer:?}");
    Ok(conn.disconnect().await?)
}

#[tokio::test]
async fn clients_come_by_tls_only_where_it_is_required() -> Result<()> {
    in_namespace("client-tls", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        let files = certificate(namespace).await?;
        let authority = text(&files, "/ca.crt");
        namespace.apply(&secret("certificates", files)).await?;
        let tls = json!({"spec": {"server": {"listener": {"tls": {"secretName": "certificates", "required": true}}}}});
        let doltdb = with(replicated("dolt"), tls);
        namespace.apply(&doltdb).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        let object = namespace.expect("DoltDB", "dolt").await?;
        ensure!(object["status"]["listenerTLS"] == json!({"secretName": "certificates", "everyServer": true}), "{}", object["status"]);

        let reference = json!({"name": "dolt"});
        let kinds = [
            ("Database", json!({"doltDBRef": reference, "name": "shop"})),
            ("User", json!({"doltDBRef": reference, "name": "app", "passwordSecretKeyRef": {"name": "app", "key": "password"}})),
        ];
        namespace.apply(&secret("app", json!({"password": "secret"}))).await?;
        for (kind, spec) in kinds {
            namespace
                .apply(&json!({"apiVersion": "k8s.dolthub.com/v1alpha", "kind": kind, "metadata": {"name": "app"}, "spec": spec}))
                .await?;
            namespace.ready(kind, "app", MINUTE).await?;
        }
        let client = namespace.service("dolt-primary").account("app", "secret");
        wait_for("a client gets in by TLS", seconds(20), async || enters(&client, Some(&authority)).await).await?;
        let words = enters(&client, None).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(words.contains("does not allow insecure connections"), "without TLS it says {words:?}");

        // Probes, the scripts in the pods and the operator come by TLS, so roles still change.
        let before = namespace.pods().await?;
        namespace.merge("DoltDB", "dolt", &json!({"spec": {"replication": {"primary": {"podIndex": 1}}}})).await?;
        wait_for("the other server is primary", MINUTE, async || {
            let object = namespace.expect("DoltDB", "dolt").await?;
            ensure!(text(&object, "/status/currentPrimary") == "dolt-1", "it is {}", object["status"]);
            Ok(())
        })
        .await?;
        namespace.ready("DoltDB", "dolt", MINUTE).await?;
        namespace.no_pod_restarted_since(&before).await?;

        // Taken away at once, it goes in two steps, of which no client with TLS or without notices more than a change of the primary.
        namespace.merge("DoltDB", "dolt", &json!({"spec": {"server": {"listener": {"tls": null}}}})).await?;
        wait_for("no server offers TLS", 6 * MINUTE, async || {
            let object = namespace.expect("DoltDB", "dolt").await?;
            ensure!(object.pointer("/status/listenerTLS").is_none(), "it is {}", object["status"]);
            Ok(())
        })
        .await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        wait_for("a client gets in without TLS", seconds(20), async || enters(&client, None).await).await
    })
    .await
}

#[tokio::test]
async fn keys_for_s3_reach_a_server_that_runs() -> Result<()> {
    in_namespace("aws", async |namespace| {
        namespace.apply(&credentials("dolt")).await?;
        // Nobody is to wait for the cloud that this cluster may run in.
        let env = json!({"spec": {"env": [{"name": "AWS_EC2_METADATA_DISABLED", "value": "true"}]}});
        namespace.apply(&with(standalone("dolt"), env)).await?;
        namespace.ready("DoltDB", "dolt", 2 * MINUTE).await?;
        let before = namespace.pods().await?;
        namespace.pod("dolt", 0).rows("create database app").await?;
        let words = back_up(namespace, "before").await?;
        ensure!(!words.contains(NOBODY), "it went to S3 without any keys: {words}");
        let files = json!({
            "credentials": "[default]\naws_access_key_id = A\naws_secret_access_key = B\n",
            "config": format!("[default]\nregion = eu-central-1\nendpoint_url = {NOBODY}\n"),
        });
        namespace.apply(&secret("dolt-aws", files)).await?;
        let mut round = 0;
        // The kubelet looks after its files about once a minute.
        wait_for("the keys count", 3 * MINUTE, async || {
            round += 1;
            let words = back_up(namespace, &format!("after-{round}")).await?;
            ensure!(words.contains("127.0.0.1:1"), "it says {words}");
            Ok(())
        })
        .await?;
        namespace.no_pod_restarted_since(&before).await
    })
    .await
}

/// A Backup to S3, which fails: why.
async fn back_up(namespace: &Namespace, name: &str) -> Result<String> {
    namespace
        .apply(&json!({
            "apiVersion": "k8s.dolthub.com/v1alpha", "kind": "Backup", "metadata": {"name": name},
            "spec": {"doltDBRef": {"name": "dolt"}, "storage": {"s3": {"bucket": "no-bucket"}}, "backoffLimit": 1},
        }))
        .await?;
    wait_for(format!("Backup {name} has failed"), seconds(90), async || {
        let backup = namespace.expect("Backup", name).await?;
        ensure!(text(&backup, "/status/phase") == "Failed", "it is {}", backup["status"]);
        Ok(text(&backup, "/status/error"))
    })
    .await
}
