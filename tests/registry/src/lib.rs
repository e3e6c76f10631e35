//! A real registry server (`tests/cluster/programs/registry`) for tests: with or without TLS, with or without a login. It knows nothing of
//! what is kept in it. `REGISTRY_BIN` names the program.

use std::{
    env, fs, io,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The one account of a server with a login.
pub const USER: &str = "puller";
/// Its password.
pub const PASSWORD: &str = "open sesame";
/// The account as htpasswd keeps it.
const ACCOUNT: &str = "puller:$2b$04$lI1MmeZTK4R6ZFAtwRJE6OAfZZ7lGp8SM64gZm8Zy36XG150bBLdO\n";
/// For the server to answer.
const START: Duration = Duration::from_secs(30);

/// A server, which ends with this value. What was pushed stays until then, also while it is stopped.
pub struct Registry {
    folder: TempDir,
    address: SocketAddr,
    child: Option<Child>,
}

/// How a server is set up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// With a certificate of an authority of its own.
    pub tls: bool,
    /// For [`USER`] only.
    pub login: bool,
}

impl Registry {
    /// Sets one up at a free port of an address of this machine, and does not start it yet.
    ///
    /// # Errors
    /// When there is no such address, or no certificate can be made.
    pub fn at(address: IpAddr, options: Options) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        // Free now; nobody else is likely to take it before the server does.
        let address = TcpListener::bind((address, 0))?.local_addr()?;
        let place = folder.path().display();
        let mut config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: '{place}/blobs'}}}}\n"
        );
        config += &format!("http:\n  addr: '{address}'\n");
        if options.tls {
            certify(folder.path(), address.ip())?;
            config += &format!("  tls: {{certificate: '{place}/server.pem', key: '{place}/server.key'}}\n");
        }
        if options.login {
            fs::write(folder.path().join("htpasswd"), ACCOUNT)?;
            config += &format!("auth: {{htpasswd: {{realm: test, path: '{place}/htpasswd'}}}}\n");
        }
        fs::write(folder.path().join("config.yaml"), config)?;
        Ok(Self { folder, address, child: None })
    }

    /// One on this machine that has been started.
    ///
    /// # Errors
    /// As [`Registry::at`] and [`Registry::start`].
    pub fn started(options: Options) -> io::Result<Self> {
        let mut registry = Self::at(IpAddr::from([127, 0, 0, 1]), options)?;
        registry.start()?;
        Ok(registry)
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// When the program is not there, or the server does not answer.
    pub fn start(&mut self) -> io::Result<()> {
        let program = env::var_os("REGISTRY_BIN").ok_or_else(|| io::Error::other("REGISTRY_BIN is not set; run: cargo xtask test"))?;
        let log = fs::File::create(self.folder.path().join("log"))?;
        let config = self.folder.path().join("config.yaml");
        let mut command = Command::new(program);
        // Without the variable it tells whoever runs it of traces that it cannot deliver.
        command.arg("serve").arg(config).env("OTEL_TRACES_EXPORTER", "none").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn()?);
        let end = Instant::now() + START;
        while TcpStream::connect(self.address).is_err() {
            if Instant::now() > end {
                let said = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("the registry does not answer: {said}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Ends the server; it can be started again.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Changes a byte of every large blob, as a broken disk or somebody at the registry might.
    ///
    /// # Errors
    /// When there is none.
    pub fn damage_layers(&self) -> io::Result<()> {
        let mut damaged = false;
        let mut folders = vec![self.folder.path().join("blobs")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)?.flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if entry.metadata()?.len() > 100_000 {
                    let mut bytes = fs::read(&path)?;
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                    fs::write(&path, bytes)?;
                    damaged = true;
                }
            }
        }
        if damaged { Ok(()) } else { Err(io::Error::other("there is no large blob")) }
    }

    /// `address:port`, as in a reference.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The certificate of the authority, for a server with TLS.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Docker's configuration with the login for the server, in a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn docker_config(&self, password: &str) -> io::Result<PathBuf> {
        let file = self.folder.path().join("docker.json");
        fs::write(&file, self.logins(password))?;
        Ok(file)
    }

    /// Docker's configuration with the login for the server.
    #[must_use]
    pub fn logins(&self, password: &str) -> String {
        format!(r#"{{"auths": {{"{}": {{"username": "{USER}", "password": "{password}"}}}}}}"#, self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Makes an authority and a certificate of it for an address.
fn certify(folder: &Path, address: IpAddr) -> io::Result<()> {
    // Without a configuration of its own openssl would make every certificate an authority.
    fs::write(folder.join("openssl.cnf"), "[req]\ndistinguished_name = none\n[none]\n")?;
    let name = format!("subjectAltName=IP:{address}");
    let runs: [&[&str]; 2] = [
        &[
            "-subj",
            "/CN=test authority",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-keyout",
            "authority.key",
            "-out",
            "authority.pem",
        ],
        &[
            "-subj",
            "/CN=registry",
            "-addext",
            &name,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-CA",
            "authority.pem",
            "-CAkey",
            "authority.key",
            "-keyout",
            "server.key",
            "-out",
            "server.pem",
        ],
    ];
    for arguments in runs {
        let mut command = Command::new("openssl");
        command.current_dir(folder).args([
            "req",
            "-x509",
            "-config",
            "openssl.cnf",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]);
        let output = command.args(["-nodes", "-days", "2"]).args(arguments).output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("openssl: {}", String::from_utf8_lossy(&output.stderr))));
        }
    }
    Ok(())
}
