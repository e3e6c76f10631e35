//! Servers that talk to each other by TLS, with the configuration that the reconciler of DoltDB writes, on real Dolt.

use std::{path::Path, time::Duration};

use doltdb::DoltDBReconciler;
use host::contract::Value;
use sdk::{
    Effect,
    testkit::{Fixture, run},
};
use sql_tests::{Room, Server, execution, free_port, query, sql};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(30);

fn folder() -> String {
    format!("{}/tests/tls", env!("CARGO_MANIFEST_DIR"))
}

/// The part of each server's configuration that is about the others, as the reconciler writes it.
fn planned() -> [String; 2] {
    let case = "../../guests/doltdb/tests/cases/servers_with_certificates_talk_to_each_other_by_tls.yaml";
    let fixture = Fixture::load(Path::new(env!("CARGO_MANIFEST_DIR")).join(case)).expect("the case");
    let plan = run::<DoltDBReconciler>(&fixture).expect("a plan");
    let mut manifests = plan.effects.iter().filter_map(|effect| match effect {
        Effect::Apply(application) if application.object.kind == "ConfigMap" => Some(&application.body),
        _ => None,
    });
    let manifest: serde_json::Value = serde_json::from_str(manifests.next().expect("a ConfigMap")).expect("JSON");
    [0, 1].map(|ordinal| {
        let file = manifest["data"][format!("demo-{ordinal}.yaml")].as_str().expect("a file");
        let (_, cluster) = file.split_once("cluster:").expect("a cluster");
        let (cluster, _) = cluster.split_once("listener:").expect("an end");
        format!("cluster:{cluster}")
    })
}

/// Two servers, the first of which trusts this authority.
async fn servers(authority: &str) -> ([Server; 2], [u16; 2]) {
    let ports = [free_port(), free_port()];
    let mut servers = Vec::new();
    for (ordinal, config) in planned().into_iter().enumerate() {
        let peer = 1 - ordinal;
        let mut config = config
            .replace(&format!("demo-{peer}.demo-internal.default:50051"), &format!("127.0.0.1:{}", ports[peer]))
            .replace("port: 50051", &format!("port: {}", ports[ordinal]))
            .replace("/etc/doltdb-tls", &folder());
        if ordinal == 0 {
            config = config.replace("/ca.crt", &format!("/{authority}"));
        }
        servers.push(Server::in_cluster(&config).await);
    }
    (servers.try_into().unwrap_or_else(|_| panic!("two servers")), ports)
}

/// What the primary says of its standby: when it last heard it, and what went wrong.
async fn heard(room: &Room, server: &Server) -> (bool, String) {
    let statement =
        sql("SELECT last_update IS NOT NULL, COALESCE(current_error, ?) FROM dolt_cluster.dolt_cluster_status", [sql_tests::text("")]);
    let rows = room.sql.query(&query(server.port, vec![statement])).await.expect("an answer").remove(0).rows;
    let well = !rows.is_empty() && rows.iter().all(|row| row[0] == Value::Signed(1));
    (well, format!("{rows:?}"))
}

async fn write(room: &Room, server: &Server) {
    room.run(server.port, vec![sql("CREATE DATABASE shop", [])]).await.expect("a database");
    let mut rows = execution(server.port, vec![sql("CREATE TABLE t (id INT PRIMARY KEY)", []), sql("INSERT INTO t VALUES (7)", [])]);
    rows.database = Some("shop".into());
    room.sql.execute(&rows).await.expect("rows");
}

#[tokio::test]
async fn what_is_written_reaches_a_standby_with_a_certificate_of_the_same_authority() {
    let (([primary, standby], ports), room) = (servers("ca.crt").await, Room::new());
    write(&room, &primary).await;
    let until = Instant::now() + PATIENCE;
    loop {
        let mut question = query(standby.port, vec![sql("SELECT id FROM t", [])]);
        question.database = Some("shop".into());
        let answer = room.sql.query(&question).await;
        if answer.as_ref().is_ok_and(|answers| answers[0].rows.len() == 1) {
            break;
        }
        assert!(Instant::now() < until, "{answer:?} {:?}", heard(&room, &primary).await);
        sleep(Duration::from_millis(100)).await;
    }
    let (well, told) = heard(&room, &primary).await;
    assert!(well, "{told}");
    // A primary that looks whether it is cut off (server.sh) asks in plain text, and takes any answer for one.
    let mut connection = TcpStream::connect(("127.0.0.1", ports[1])).await.expect("the standby listens");
    connection.write_all(b"GET /.well-known/jwks.json HTTP/1.0\r\n\r\n").await.expect("it is sent");
    let byte = timeout(Duration::from_secs(1), connection.read_u8()).await.expect("soon");
    assert!(byte.is_ok(), "{byte:?}");
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_with_a_certificate_of_another_authority() {
    let (([primary, standby], _), room) = (servers("other-ca.crt").await, Room::new());
    write(&room, &primary).await;
    let until = Instant::now() + PATIENCE;
    loop {
        let (well, told) = heard(&room, &primary).await;
        assert!(!well, "{told}");
        if told.contains("certificate signed by unknown authority") {
            break;
        }
        assert!(Instant::now() < until, "{told}");
        sleep(Duration::from_millis(100)).await;
    }
    let answers = room.sql.query(&query(standby.port, vec![sql("SHOW DATABASES", [])])).await.expect("an answer");
    assert!(!format!("{answers:?}").contains("shop"), "{answers:?}");
}
