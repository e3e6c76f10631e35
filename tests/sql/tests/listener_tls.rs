//! TLS for clients, the operator among them, with the configuration that the reconciler of DoltDB writes, on real Dolt. The scenarios of
//! doltclusterctl have its names.
//!
//! Of the certificates in `listener`, `tls` is for this machine and `elsewhere` for another, both of the authority `ca`; they were made with `openssl ca`.

use std::path::Path;

use doltdb::DoltDBReconciler;
use futures::future::join_all;
use host::{
    contract::{self, Endpoint, SqlErrorKind, Tls},
    tasks::Work,
};
use mysql_async::{Conn, OptsBuilder, SslOpts, prelude::Queryable};
use rstest::rstest;
use sdk::{
    Effect, Plan,
    testkit::{Fixture, run},
};
use serde_json::{Value as Json, json};
use sql_tests::{Cluster, Proxy, Room, Scene, Server, Stage, endpoint, execution, query, sql};
use tokio::{sync::oneshot, time::Instant};
use user::UserReconciler;

fn folder() -> String {
    format!("{}/tests/listener", env!("CARGO_MANIFEST_DIR"))
}

fn certificate(name: &str) -> String {
    std::fs::read_to_string(format!("{}/{name}", folder())).expect("it is in the folder")
}

fn case(name: &str) -> Fixture {
    Fixture::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/doltdb/tests/cases").join(name)).expect("the case")
}

/// The lines about TLS for a server's listener, as the reconciler writes them, with a certificate of this name.
fn listener(required: bool, name: &str) -> String {
    let mut fixture = case("a_new_cluster_gets_all_its_children.yaml");
    fixture.object["spec"]["server"]["listener"]["tls"] = json!({"secretName": "certificates", "required": required});
    let plan = run::<DoltDBReconciler>(&fixture).expect("a plan");
    let manifest = plan.effects.iter().find_map(|effect| match effect {
        Effect::Apply(application) if application.object.kind == "ConfigMap" => Some(application.body.clone()),
        _ => None,
    });
    let manifest: Json = serde_json::from_str(&manifest.expect("a ConfigMap")).expect("JSON");
    let file = manifest["data"]["demo-0.yaml"].as_str().expect("a file");
    let (_, listener) = file.split_once("listener:\n").expect("a listener");
    let lines = listener.lines().take_while(|line| line.starts_with(' ')).map(str::trim);
    let lines = lines.filter(|line| line.starts_with("tls_") || line.starts_with("require_"));
    let text: String = lines.map(|line| format!("  {line}\n")).collect();
    text.replace("/etc/doltdb-listener-tls/tls.", &format!("{}/{name}.", folder()))
}

/// A server without replication.
async fn server(required: bool, certificate: &str) -> Server {
    Server::in_cluster(&listener(required, certificate)).await
}

/// A room with this authority in its Secret.
fn room(authority: &str) -> Room {
    let room = Room::new();
    room.keys.set("certificates/ca.crt", &certificate(authority));
    room
}

fn by_tls(port: u16, plaintext: bool) -> Endpoint {
    let tls = Tls { secret: "certificates".into(), key: "ca.crt".into(), plaintext };
    Endpoint { tls: Some(tls), ..endpoint(port, "root") }
}

async fn ask(room: &Room, endpoint: Endpoint) -> Result<contract::Value, contract::SqlError> {
    let question = contract::Query { endpoint, ..query(0, vec![sql("SELECT CONNECTION_ID()", [])]) };
    room.sql.query(&question).await.map(|mut answers| answers.remove(0).rows.remove(0).remove(0))
}

/// The pods of a case say of their servers what `tls` says.
fn scene<'a>(room: &'a Room, servers: &'a Cluster, tls: Option<&str>) -> Scene<'a> {
    let mut fixture = case("pods_are_labelled_by_what_their_servers_say.yaml");
    if let Some(tls) = tls {
        let required = tls.ends_with("required");
        fixture.object["spec"]["server"]["listener"]["tls"] = json!({"secretName": "certificates", "required": required});
        for pod in fixture.objects.iter_mut().filter(|object| object["kind"] == "Pod") {
            pod["metadata"]["annotations"]["k8s.dolthub.com/listener-tls"] = json!(tls);
        }
    }
    Scene::new(fixture, room, |host| servers.servers[usize::from(host.starts_with("demo-1."))].port)
}

fn planned(scene: &Scene<'_>) -> Plan {
    scene.plan::<DoltDBReconciler>(None)
}

/// The roles by which the pods are labelled.
fn labels(plan: &Plan) -> Vec<(String, String)> {
    let labellings = plan.effects.iter().filter_map(|effect| match effect {
        Effect::Label(labelling) => Some(labelling),
        _ => None,
    });
    let role = |labels: &[(String, Option<String>)]| labels.iter().find_map(|(_, value)| value.clone()).unwrap_or_default();
    let mut labels: Vec<_> = labellings.map(|labelling| (labelling.object.name.clone(), role(&labelling.labels))).collect();
    labels.sort();
    labels
}

/// What the condition `Ready` will say.
fn ready(plan: &Plan) -> String {
    let status = plan.effects.iter().find_map(|effect| match effect {
        Effect::Status(status) => serde_json::from_str::<Json>(status).ok(),
        _ => None,
    });
    status.expect("a status")["conditions"][0]["message"].as_str().expect("a message").to_owned()
}

fn both() -> Vec<(String, String)> {
    [("demo-0", "standby"), ("demo-1", "primary")].map(|(pod, role)| (pod.to_owned(), role.to_owned())).to_vec()
}

const ROLES: [&str; 2] = ["standby", "primary"];

/// TLS is wished for, and the servers have none.
#[tokio::test(flavor = "multi_thread")]
async fn apply_primary_labels_tls_insecure_against_plaintext_server() {
    let (servers, room) = (Cluster::start(&ROLES).await, room("ca.crt"));
    let plan = planned(&scene(&room, &servers, Some("certificates")));
    assert_eq!(labels(&plan), []);
    assert!(ready(&plan).contains("no connection: the server offers no tls, and without it is not allowed"), "{}", ready(&plan));
    // Pods that say that they have none are asked without it, whatever the spec wants by now.
    let mut pods = scene(&room, &servers, None);
    pods.fixture.object["spec"]["server"]["listener"]["tls"] = json!({"secretName": "certificates"});
    assert_eq!(labels(&planned(&pods)), both());
}

/// The servers require TLS, and nothing is known of that.
#[tokio::test(flavor = "multi_thread")]
async fn apply_primary_labels_tls_insecure_against_tls_required() {
    let (servers, room) = (Cluster::with_listeners(&ROLES, &listener(true, "tls")).await, room("ca.crt"));
    let plan = planned(&scene(&room, &servers, None));
    assert_eq!(labels(&plan), []);
    let words = "no connection: the server takes connections by tls only, and this one is in plain text";
    assert!(ready(&plan).contains(words), "{}", ready(&plan));
    // The certificate is looked at in any case: there is no such thing as TLS with just anybody.
    room.keys.set("certificates/ca.crt", &certificate("other-ca.crt"));
    assert_eq!(labels(&planned(&scene(&room, &servers, Some("certificates required")))), []);
}

#[rstest]
#[case::offered(false, "certificates")]
#[case::required(true, "certificates required")]
#[tokio::test(flavor = "multi_thread")]
async fn apply_primary_labels_tls_ca(#[case] required: bool, #[case] pods: &str) {
    let (servers, room) = (Cluster::with_listeners(&ROLES, &listener(required, "tls")).await, room("ca.crt"));
    assert_eq!(labels(&planned(&scene(&room, &servers, Some(pods)))), both());
}

/// The certificate is for another name.
#[tokio::test(flavor = "multi_thread")]
async fn apply_primary_labels_wrong_tls_server_name() {
    let (servers, room) = (Cluster::with_listeners(&ROLES, &listener(false, "elsewhere")).await, room("ca.crt"));
    let plan = planned(&scene(&room, &servers, Some("certificates")));
    assert_eq!(labels(&plan), []);
    let words = "no connection: the server's certificate is not for 127.0.0.1, but for elsewhere.example.com, *.example.org";
    assert!(ready(&plan).contains(words), "{}", ready(&plan));
}

/// A server that offers TLS takes plain text too, unless it requires TLS.
#[rstest]
#[case::offered(false)]
#[case::required(true)]
#[tokio::test]
async fn only_a_server_that_requires_tls_refuses_plain_text(#[case] required: bool) {
    let server = server(required, "tls").await;
    let opts = || OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(server.port).user(Some("root")).prefer_socket(false);
    let refused = match Conn::new(opts()).await {
        Ok(mut conn) => conn.query_drop("SELECT 1").await.err(),
        Err(error) => Some(error),
    };
    assert_eq!(refused.is_some(), required, "{refused:?}");
    let authority = SslOpts::default().with_root_certs(vec![certificate("ca.crt").into_bytes().into()]).with_disable_built_in_roots(true);
    let mut conn = Conn::new(opts().ssl_opts(Some(authority))).await.expect("by tls");
    assert_eq!(conn.query_first::<u64, _>("SELECT 7").await.expect("an answer"), Some(7));
}

#[tokio::test]
async fn queries_executions_and_tasks_go_by_tls() {
    let (server, room) = (server(true, "tls").await, room("ca.crt"));
    let proxy = Proxy::start(Some(server.port)).await;
    for _ in 0..5 {
        let answers = join_all((0..8).map(|_| ask(&room, by_tls(proxy.port, false)))).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    assert!(proxy.accepted() <= 3, "{} connections for 40 queries", proxy.accepted());

    let database = contract::Execution { endpoint: by_tls(server.port, false), ..execution(0, vec![sql("CREATE DATABASE shop", [])]) };
    room.sql.execute(&database).await.expect("a database");
    let long = contract::Execution { endpoint: by_tls(server.port, false), ..execution(0, vec![sql("SHOW DATABASES", [])]) };
    let (_stop, stopped) = oneshot::channel();
    let answers = room.sql.work(&long, Instant::now() + std::time::Duration::from_secs(10), stopped).await.expect("it ends");
    assert!(format!("{answers:?}").contains("shop"), "{answers:?}");

    let refused = ask(&room, endpoint(server.port, "root")).await.unwrap_err();
    assert_eq!(refused.kind, SqlErrorKind::Unreachable, "{refused:?}");
}

#[tokio::test]
async fn another_authority_counts_at_once() {
    let (server, room) = (server(false, "tls").await, room("ca.crt"));
    ask(&room, by_tls(server.port, false)).await.expect("the right authority");
    for plaintext in [false, true] {
        room.keys.set("certificates/ca.crt", &certificate("other-ca.crt"));
        // That plain text is allowed does not mean that anybody is taken for the server.
        let refused = ask(&room, by_tls(server.port, plaintext)).await.unwrap_err();
        assert_eq!(refused.kind, SqlErrorKind::Unreachable);
        let words = "no connection: the server's certificate is not of an authority in key ca.crt of secret ns/certificates";
        assert_eq!(refused.message, format!("127.0.0.1:{}: {words}", server.port));
        // While it is changed, there are both.
        room.keys.set("certificates/ca.crt", &format!("{}{}", certificate("other-ca.crt"), certificate("ca.crt")));
        ask(&room, by_tls(server.port, plaintext)).await.expect("one of both");
    }
}

#[tokio::test]
async fn plain_text_is_for_servers_without_tls_and_only_where_it_is_allowed() {
    let (without, with, room) = (Server::start().await, server(true, "tls").await, room("ca.crt"));
    ask(&room, by_tls(without.port, true)).await.expect("in plain text");
    ask(&room, by_tls(with.port, true)).await.expect("by tls");
    let refused = ask(&room, by_tls(without.port, false)).await.unwrap_err();
    assert_eq!(refused.kind, SqlErrorKind::Unreachable);
    assert!(refused.message.ends_with("no connection: the server offers no tls, and without it is not allowed"), "{}", refused.message);
    let statement = || vec![sql("CREATE DATABASE shop", [])];
    let refused = room.sql.execute(&contract::Execution { endpoint: by_tls(without.port, false), ..execution(0, statement()) }).await;
    assert!(refused.unwrap_err().to_string().contains("offers no tls"));
    room.sql.execute(&contract::Execution { endpoint: by_tls(without.port, true), ..execution(0, statement()) }).await.expect("a database");
}

#[rstest]
#[case::no_secret(None, "there is no key ca.crt in secret ns/certificates, or no such secret")]
#[case::empty(Some(""), "key ca.crt of secret ns/certificates holds no certificates in pem: an authority is needed to know the server by")]
#[case::no_certificate(
    Some("x"),
    "key ca.crt of secret ns/certificates holds no certificates in pem: an authority is needed to know the server by"
)]
#[tokio::test]
async fn without_an_authority_nobody_is_spoken_to(#[case] authority: Option<&str>, #[case] words: &str) {
    let room = Room::new();
    if let Some(authority) = authority {
        room.keys.set("certificates/ca.crt", authority);
    }
    // Nobody listens there, and nobody is asked.
    let refused = ask(&room, by_tls(1, true)).await.unwrap_err();
    assert_eq!((refused.kind, refused.message), (SqlErrorKind::NoCredentials, format!("127.0.0.1:1: {words}")));
}

/// A User says in its condition why its server is not spoken to, and gets its account when that is put right.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_tells_of_a_certificate_that_is_refused() {
    let server = server(true, "tls").await;
    let mut stage = Stage::new(server.port);
    stage.secret("app", "secret");
    stage.find("DoltDB", "dolt").expect("it is there")["spec"]["server"] =
        json!({"listener": {"tls": {"secretName": "certificates", "required": true}}});
    stage.room.keys.set("certificates/ca.crt", &certificate("other-ca.crt"));
    stage.apply("User", "app", json!({"name": "app", "passwordSecretKeyRef": {"name": "app", "key": "password"}}));
    stage.settle::<UserReconciler>("User", "app").await;
    let (reason, message) = stage.says("User", "app");
    assert_eq!(reason, "WaitingForPrimary");
    assert!(message.ends_with("the server's certificate is not of an authority in key ca.crt of secret ns/certificates"), "{message}");

    stage.room.keys.set("certificates/ca.crt", &certificate("ca.crt"));
    stage.settle::<UserReconciler>("User", "app").await;
    assert_eq!(stage.says("User", "app").0, "Created");
}
