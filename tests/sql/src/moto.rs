//! A server that speaks S3 and DynamoDB as far as backups need them: moto, from the Python Package Index.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tokio::task::spawn_blocking;

const PACKAGE: &str = "moto[server]==5.2.5";

/// Makes a bucket `bucket` and a table `table` as Dolt wants it, tells the port, and serves until nobody listens any more.
const PROGRAM: &str = r#"
import logging
import sys
import boto3
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
port = server.get_host_and_port()[1]
login = dict(endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="word")
boto3.client("s3", **login).create_bucket(Bucket="bucket")
boto3.client("dynamodb", **login).create_table(
    TableName="table", BillingMode="PAY_PER_REQUEST",
    AttributeDefinitions=[dict(AttributeName="db", AttributeType="S")], KeySchema=[dict(AttributeName="db", KeyType="HASH")])
print(port, flush=True)
sys.stdin.read()
"#;

/// The server. It ends with its value.
pub struct Moto {
    process: Child,
    port: u16,
}

impl Moto {
    /// Starts it; `folder` is where its package is kept for the next time.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(folder: &str) -> Self {
        let folder = PathBuf::from(folder);
        spawn_blocking(move || Self::run(&package(&folder))).await.expect("it starts")
    }

    fn run(package: &Path) -> Self {
        let mut python = Command::new("python3");
        python.arg("-c").arg(PROGRAM).env("PYTHONPATH", package).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = python.spawn().expect("python3 runs");
        let mut line = String::new();
        let mut told = std::io::BufReader::new(process.stdout.take().expect("its output is piped"));
        std::io::BufRead::read_line(&mut told, &mut line).expect("it tells its port");
        let port = line.trim().parse().expect("its port is a number");
        Self { process, port }
    }

    /// What a server of Dolt has in its environment to use it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let variables = [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "word"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The package, installed once into a folder of its version.
fn package(folder: &Path) -> PathBuf {
    let place = folder.join(PACKAGE);
    if !place.exists() {
        let scratch = tempfile::tempdir_in(folder).expect("a folder");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--target"])
            .arg(scratch.path())
            .arg(PACKAGE);
        assert!(pip.status().expect("python3 runs").success(), "{PACKAGE} cannot be installed");
        // Whoever was quicker has put the same there.
        let _ = fs::rename(scratch.keep(), &place);
    }
    place
}
