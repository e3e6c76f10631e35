//! A Dolt server process on loopback with a folder of its own. It ends with its value.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use mysql_async::{Conn, OptsBuilder};
use tempfile::TempDir;

const READY: Duration = Duration::from_secs(60);

/// A running server with an empty folder and the administrator `root` without password.
pub struct Server {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// Its folder.
    pub folder: TempDir,
    environment: Vec<(String, String)>,
    process: Option<Child>,
}

impl Server {
    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// When `DOLT_BIN` isn't set, or the server doesn't come up.
    pub async fn start() -> Self {
        let cluster = format!(
            "cluster:\n  standby_remotes:\n  - name: other\n    remote_url_template: http://127.0.0.1:{}/{{database}}\n  \
             bootstrap_role: primary\n  bootstrap_epoch: 1\n  remotesapi:\n    address: 127.0.0.1\n    port: {}\n",
            free_port(),
            free_port()
        );
        Self::in_cluster(&cluster).await
    }

    /// Starts one with this part of its configuration, which may begin with further lines about its listener, and waits until it answers.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub async fn in_cluster(cluster: &str) -> Self {
        Self::with(cluster, &[]).await
    }

    /// The same with variables in its environment.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub async fn with(cluster: &str, environment: &[(String, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self { port: free_port(), folder, environment: environment.to_vec(), process: None };
        let config = format!("log_level: warning\nlistener:\n  host: 127.0.0.1\n  port: {}\n{cluster}", server.port);
        fs::write(server.folder.path().join("config.yaml"), config).expect("the folder is writable");
        server.up().await;
        server
    }

    /// Starts one that is a Dolt remote as well, and gives the port for that.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub async fn remote() -> (Self, u16) {
        let port = free_port();
        (Self::in_cluster(&format!("remotesapi:\n  port: {port}\n")).await, port)
    }

    /// Ends the process and waits for it; data stays.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().and_then(|()| process.wait()).expect("the server can be ended");
        }
    }

    /// Ends the process and takes all data away.
    ///
    /// # Panics
    /// When they cannot be taken away.
    pub fn lose_data(&mut self) {
        self.stop();
        for entry in fs::read_dir(self.folder.path()).expect("the folder is readable") {
            let path = entry.expect("the folder is readable").path();
            if path.is_dir() {
                fs::remove_dir_all(path).expect("the folder is writable");
            }
        }
    }

    /// Takes a server of the cluster out of the configuration with which it starts the next time.
    ///
    /// # Panics
    /// When it is not there.
    pub fn forget(&self, peer: usize) {
        let file = self.folder.path().join("config.yaml");
        let config = fs::read_to_string(&file).expect("the configuration can be read");
        let mut lines: Vec<&str> = config.lines().collect();
        let at = lines.iter().position(|line| line.trim() == format!("- name: s{peer}")).expect("the server is named");
        lines.drain(at..at + 2);
        fs::write(file, lines.join("\n") + "\n").expect("the folder is writable");
    }

    /// Stops the process in its tracks, or lets it go on. Its connections stay open.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&self, frozen: bool) {
        let process = self.process.as_ref().expect("a server that runs");
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").args([signal, &process.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the server cannot be signalled");
    }

    /// Starts it again on the same data and port.
    ///
    /// # Panics
    /// When it doesn't come up.
    pub async fn up(&mut self) {
        let binary = std::env::var_os("DOLT_BIN")
            .expect("DOLT_BIN is not set: these tests need a Dolt server. Run `DOLT_BIN=/path/to/dolt cargo test --release -p sql-tests`");
        let folder = self.folder.path();
        let log = fs::File::create(folder.join("log")).expect("the folder is writable");
        let process = Command::new(&binary)
            .args(["sql-server", "--config", "config.yaml"])
            .current_dir(folder)
            .env("HOME", folder)
            .env("DOLT_ROOT_PATH", folder)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn();
        self.process = Some(process.unwrap_or_else(|e| panic!("cannot run {}: {e}", Path::new(&binary).display())));
        self.ready().await;
    }

    async fn ready(&mut self) {
        let opts = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(self.port).user(Some("root")).prefer_socket(false);
        let started = Instant::now();
        loop {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            if ended.is_some() || started.elapsed() > READY {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                panic!("the server is not ready ({ended:?}):\n{log}");
            }
            match Conn::new(opts.clone()).await {
                Ok(conn) => break drop(conn.disconnect().await),
                // It takes clients by TLS only.
                Err(mysql_async::Error::Server(error)) if error.message.contains("insecure connections") => break,
                // Refused at once while nothing listens: this is the pause between two tries.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port on which nobody listens, each time another one. They lie below those that the system gives to connections, any of which could take
/// the port before the server does.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Two test programs at the same time begin at different places.
    let first = u16::try_from(std::process::id() % 1_000).expect("less than 1,000") * 10;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
