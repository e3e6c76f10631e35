//! What runs in a pod beside the server, run by a real shell: others are listeners here, the server is a `sleep`, and `dolt` says what a server would.
#![allow(clippy::unwrap_used, reason = "a test")]

mod pod;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rstest::rstest;
use tempfile::TempDir;

/// After how long a cut-off primary has stopped, as promised.
const STOPPED: Duration = Duration::from_secs(8);
/// What a busy machine adds to that.
const BUSY: Duration = Duration::from_secs(4);

/// Somebody who answers, until told not to: then connections are taken, as the kernel of a server that stands still does, and nothing is said.
struct Party {
    at: SocketAddr,
    answers: Arc<AtomicBool>,
}

impl Party {
    fn new(answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, answers) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(answers)));
        let speaks = Arc::clone(&answers);
        thread::spawn(move || {
            let mut silent: Vec<TcpStream> = Vec::new();
            for mut stream in listener.incoming().flatten() {
                if speaks.load(Ordering::Relaxed) {
                    // Once it has been asked.
                    let _ = stream.read(&mut [0; 256]);
                    let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
                } else {
                    silent.push(stream);
                }
            }
        });
        Self { at, answers }
    }

    fn answer(&self, answers: bool) {
        self.answers.store(answers, Ordering::Relaxed);
    }
}

/// The pod of one of two servers, and what it could reach.
struct Pod {
    folder: TempDir,
    api: Party,
    peer: Party,
    /// Whether clients must come by TLS, where they can.
    tls: Option<bool>,
    server: Option<Child>,
}

impl Pod {
    /// A server of epoch 3, as its volume says. `dolt` answers with the epoch of the other one.
    fn new(role: &str, api: bool, peer: bool, others_epoch: u32) -> Self {
        let pod = Self { folder: tempfile::tempdir().unwrap(), api: Party::new(api), peer: Party::new(peer), tls: None, server: None };
        let volume = pod.folder.path().join("volume");
        for folder in [".dolt", "bench/.dolt/noms/oldgen"] {
            fs::create_dir_all(volume.join(folder)).unwrap();
        }
        let roles = format!(
            r#"{{"sqlserver.cluster.dolt_cluster_role":"{role}","sqlserver.cluster.dolt_cluster_role_epoch":"3","user.name":"x"}}"#
        );
        fs::write(volume.join(".dolt/config_global.json"), roles).unwrap();
        let config = format!(
            "cluster:\n    standby_remotes:\n        - name: demo-1\n          remote_url_template: http://{}/{{database}}\n",
            pod.peer.at
        );
        fs::write(volume.join("config.yaml"), config).unwrap();
        for file in ["manifest", "0123456789abcdefghijklmnopqrstuv", "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv", "oldgen/manifest"] {
            fs::write(volume.join("bench/.dolt/noms").join(file), "before").unwrap();
        }
        pod::program(pod.folder.path(), "dolt", &format!("#!/bin/sh\nprintf '@@global.dolt_cluster_role_epoch\\n{others_epoch}\\n'\n"));
        pod
    }

    fn volume(&self) -> std::path::PathBuf {
        self.folder.path().join("volume")
    }

    /// Starts the server as its container does. `exec` makes the shell what it starts, so what ends is the server.
    fn start(&mut self) {
        let mut command = pod::command("containers", self.tls).split_off(2);
        command.truncate(6);
        let mut process = pod::in_pod(self.folder.path(), &command);
        process.args(["sh", "-c", "touch runs; exec sleep 1000"]);
        process.env("KUBERNETES_SERVICE_HOST", self.api.at.ip().to_string()).env("KUBERNETES_SERVICE_PORT", self.api.at.port().to_string());
        self.server = Some(process.spawn().unwrap());
    }

    fn runs(&self) -> bool {
        self.volume().join("runs").exists()
    }

    /// Waits until something is so.
    fn until(&mut self, what: &str, limit: Duration, mut holds: impl FnMut(&mut Self) -> bool) -> Duration {
        let start = Instant::now();
        while !holds(self) {
            assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
            thread::sleep(Duration::from_millis(50));
        }
        start.elapsed()
    }

    fn has_ended(&mut self) -> bool {
        self.server.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    fn is_armed(&self) -> bool {
        self.volume().join(".doltdb/fenced-when-cut-off").exists()
    }

    fn message(&self) -> String {
        fs::read_to_string(self.folder.path().join("message")).unwrap_or_default()
    }

    fn role(&self) -> String {
        let text = fs::read_to_string(self.volume().join(".dolt/config_global.json")).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        format!("{} {}", value["sqlserver.cluster.dolt_cluster_role"], value["sqlserver.cluster.dolt_cluster_role_epoch"])
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

#[test]
fn a_primary_that_is_cut_off_ends_and_starts_again_when_somebody_answers() {
    let mut pod = Pod::new("primary", true, true, 3);
    pod.start();
    pod.until("it is armed", BUSY, |pod| pod.is_armed());
    pod.api.answer(false);
    pod.peer.answer(false);
    let took = pod.until("it ends", STOPPED + BUSY, Pod::has_ended);
    println!("it ended after {took:?}");
    assert!(pod.message().starts_with("cut off: neither the API server nor another server has answered for "), "{}", pod.message());
    fs::remove_file(pod.volume().join("runs")).unwrap();
    pod.start();
    thread::sleep(Duration::from_secs(3));
    assert!(!pod.runs() && !pod.has_ended(), "it takes no writes before somebody answers");
    pod.peer.answer(true);
    pod.until("it runs", BUSY, |pod| pod.runs());
}

/// Who still reaches somebody goes on, and so does a standby, and a primary that has never reached the API server.
#[rstest]
#[case::the_api_server_is_down("primary", true, false, true)]
#[case::the_other_server_is_down("primary", true, true, false)]
#[case::a_standby("standby", true, false, false)]
#[case::a_policy_forbids_the_api_server("primary", false, false, false)]
fn others_are_left_alone(#[case] role: &str, #[case] api_at_first: bool, #[case] api: bool, #[case] peer: bool) {
    let mut pod = Pod::new(role, api_at_first, true, 3);
    pod.start();
    pod.until("it runs", BUSY, |pod| pod.runs());
    if role == "primary" && api_at_first {
        pod.until("it is armed", BUSY, |pod| pod.is_armed());
    }
    pod.api.answer(api);
    pod.peer.answer(peer);
    thread::sleep(STOPPED + Duration::from_secs(3));
    assert!(!pod.has_ended(), "{}", pod.message());
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_primary_that_was_replaced_keeps_what_it_had_and_follows() {
    let mut pod = Pod::new("primary", true, true, 4);
    pod.start();
    pod.until("it ends", BUSY, Pod::has_ended);
    assert!(!pod.runs(), "the server was not started");
    assert_eq!(pod.role(), "\"standby\" \"3\"");
    let message = pod.message();
    let place = message.lines().find_map(|line| line.strip_prefix("kept ")).unwrap();
    assert!(place.starts_with(pod.volume().join(".doltdb/kept").to_str().unwrap()) && place.ends_with("-epoch-3"), "{message}");
    // What comes later to the database does not come to what is kept.
    for file in ["manifest", "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv", "oldgen/manifest"] {
        fs::write(pod.volume().join("bench/.dolt/noms").join(file), "after").unwrap();
        assert_eq!(read(&Path::new(place).join("bench/.dolt/noms").join(file)), "before", "{file}");
    }
    assert_eq!(read(&Path::new(place).join("bench/.dolt/noms/0123456789abcdefghijklmnopqrstuv")), "before");
    pod.start();
    pod.until("it runs as a standby", BUSY, |pod| pod.runs());
    assert_eq!(fs::read_dir(pod.volume().join(".doltdb/kept")).unwrap().count(), 1);
}

/// Where clients can come by TLS, another server is asked by it, by the name in its certificate and by the authority in the Secret; in plain text
/// where it does not offer TLS, as long as pods are replaced.
#[rstest]
#[case::by_tls(false, "*' --host 127.0.0.1.svc.cluster.local '*", "[ \"$SSL_CERT_FILE\" = /etc/doltdb-listener-tls/ca.crt ]")]
#[case::required(true, "*' --host 127.0.0.1.svc.cluster.local '*", "[ \"$SSL_CERT_FILE\" = /etc/doltdb-listener-tls/ca.crt ]")]
#[case::without_tls(false, "*' --host 127.0.0.1 '*' --no-tls '*", "true")]
fn another_server_is_asked_by_tls_first(#[case] required: bool, #[case] asked: &str, #[case] holds: &str) {
    let mut pod = Pod::new("primary", true, true, 4);
    pod.tls = Some(required);
    let stub = format!(
        "#!/bin/sh\ncase \" $* \" in {asked}) {holds} || exit 1 ;; *) exit 1 ;; esac\n\
         [ \"$DOLT_CLI_PASSWORD\" = secret ] && printf '@@global.dolt_cluster_role_epoch\\n4\\n'\n"
    );
    pod::program(pod.folder.path(), "dolt", &stub);
    pod.start();
    pod.until("it ends", BUSY, Pod::has_ended);
    assert_eq!(pod.role(), "\"standby\" \"3\"");
}

#[rstest]
#[case("primary", 3)]
#[case("primary", 2)]
#[case("standby", 4)]
fn who_was_not_replaced_starts_as_it_is(#[case] role: &str, #[case] others_epoch: u32) {
    let mut pod = Pod::new(role, true, true, others_epoch);
    pod.start();
    pod.until("it runs", BUSY, |pod| pod.runs());
    assert_eq!(pod.role(), format!("\"{role}\" \"3\""));
    assert!(!pod.volume().join(".doltdb/kept").exists());
}

#[test]
fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
    let mut pod = Pod::new("primary", true, true, 4);
    let kept = pod.volume().join(".doltdb/kept");
    for n in 1..=5 {
        fs::create_dir_all(kept.join(format!("2026010{n}T000000Z-epoch-{n}"))).unwrap();
    }
    pod.start();
    pod.until("it ends", BUSY, Pod::has_ended);
    let mut names: Vec<_> = fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 5);
    assert!(names[0].ends_with("epoch-2") && names[4].ends_with("epoch-3"), "{names:?}");
}

#[test]
fn a_pod_on_the_volume_of_a_replaced_primary_keeps_it_before_the_server_starts() {
    let pod = Pod::new("primary", true, true, 4);
    let config = pod.folder.path().join("config");
    fs::create_dir_all(&config).unwrap();
    fs::copy(pod.volume().join("config.yaml"), config.join("demo-0.yaml")).unwrap();
    fs::create_dir_all(pod.volume().join(".doltcfg")).unwrap();
    fs::write(pod.volume().join(".doltcfg/privileges.db"), "").unwrap();
    let mut command = pod::command("initContainers", None);
    command[2] = command[2].replace("/etc/doltdb", config.to_str().unwrap());
    let mut process = pod::in_pod(pod.folder.path(), &command);
    let status = process.env("COMMIT_AUTHOR_NAME", "a").env("COMMIT_AUTHOR_EMAIL", "b").env("METRICS_DISABLED", "false").status().unwrap();
    assert!(status.success());
    assert_eq!(pod.role(), "\"standby\" \"3\"");
    assert!(pod.message().lines().any(|line| line.starts_with("kept ") && line.ends_with("-epoch-3")), "{}", pod.message());
}
