//! Where a server that is backed up to S3 has its credentials from: files that may change while it runs.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use sql_tests::{Room, Server, execution, sql, text};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Stands for AWS: refuses everything, and tells with which key it was asked.
async fn aws() -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (told, keys) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 64 << 10];
                let length = connection.read(&mut request).await.unwrap_or_default();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let key = request.split("Credential=").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
                let _ = told.send(key.to_owned());
                let body = r#"{"__type": "AccessDeniedException", "message": "refused by a test"}"#;
                let head = format!("HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = connection.write_all(format!("{head}{body}").as_bytes()).await;
            });
        }
    });
    (port, keys)
}

/// Backs a database up to S3, which fails, and gives the server's words.
async fn back_up(room: &Room, port: u16) -> String {
    let mut copy = execution(port, vec![sql("CALL dolt_backup(?, ?)", [text("sync-url"), text("aws://[table:bucket]/shop")])]);
    copy.database = Some("shop".into());
    copy.deadline = 60_000;
    format!("{:?}", room.sql.execute(&copy).await.expect_err("nobody lets it in"))
}

#[tokio::test]
async fn credentials_in_a_file_count_without_a_restart_as_soon_as_they_are_there() {
    let files = tempfile::tempdir().expect("a folder");
    let file = |name: &str| -> PathBuf { files.path().join(name) };
    let variable = |name: &str, value: PathBuf| (name.to_owned(), value.to_string_lossy().into_owned());
    // As in a pod whose Secret does not exist yet. Nobody is to wait for the cloud that this machine may run in.
    let environment = [
        variable("AWS_SHARED_CREDENTIALS_FILE", file("credentials")),
        variable("AWS_CONFIG_FILE", file("config")),
        ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()),
    ];
    let (server, room) = (Server::with("", &environment).await, Room::new());
    room.run(server.port, vec![sql("CREATE DATABASE shop", [])]).await.expect("a database");
    let words = back_up(&room, server.port).await;
    assert!(words.contains("credentials") || words.contains("region"), "{words}");

    let (port, mut keys) = aws().await;
    fs::write(file("config"), format!("[default]\nregion = eu-central-1\nendpoint_url = http://127.0.0.1:{port}\n")).expect("a file");
    for key in ["FIRSTKEY", "SECONDKEY"] {
        fs::write(file("credentials"), format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = word\n")).expect("a file");
        let began = Instant::now();
        let words = back_up(&room, server.port).await;
        let seen = timeout(PATIENCE, keys.recv()).await.expect("AWS was asked").expect("AWS is there");
        assert_eq!(seen, key, "after {:?}: {words}", began.elapsed());
        while keys.try_recv().is_ok() {}
    }
}
