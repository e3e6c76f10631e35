//! Several Dolt servers that replicate, each with a folder of its own. They end with their value.

use std::time::Duration;

use mysql_async::{Conn, OptsBuilder, Row, prelude::Queryable};

use crate::server::{Server, free_port};

/// For how long a server that does nothing is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Servers named `s0`, `s1` and so on.
pub struct Cluster {
    /// The servers by their numbers.
    pub servers: Vec<Server>,
}

impl Cluster {
    /// Starts a server for each role, all at epoch 1.
    ///
    /// # Panics
    /// When `DOLT_BIN` isn't set, or a server doesn't come up.
    pub async fn start(roles: &[&str]) -> Self {
        Self::with_listeners(roles, "").await
    }

    /// The same, with these lines in the part of each configuration that is about clients.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub async fn with_listeners(roles: &[&str], listener: &str) -> Self {
        let ports: Vec<u16> = roles.iter().map(|_| free_port()).collect();
        let mut servers = Vec::new();
        for (number, role) in roles.iter().enumerate() {
            let mut config = format!("{listener}cluster:\n  standby_remotes:\n");
            for (peer, port) in ports.iter().enumerate().filter(|(peer, _)| *peer != number) {
                config.push_str(&format!("  - name: s{peer}\n    remote_url_template: http://127.0.0.1:{port}/{{database}}\n"));
            }
            let port = ports[number];
            config.push_str(&format!(
                "  bootstrap_role: {role}\n  bootstrap_epoch: 1\n  remotesapi:\n    address: 127.0.0.1\n    port: {port}\n"
            ));
            servers.push(Server::in_cluster(&config).await);
        }
        Self { servers }
    }

    /// A session of the administrator.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn connect(&self, server: usize) -> Result<Conn, mysql_async::Error> {
        let port = self.servers[server].port;
        let opts = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(port).user(Some("root")).prefer_socket(false);
        tokio::time::timeout(PATIENCE, Conn::new(opts)).await.expect("a server that is asked answers")
    }

    /// The rows of a statement.
    ///
    /// # Errors
    /// The server's words.
    pub async fn ask(&self, server: usize, statement: &str) -> Result<Vec<Row>, String> {
        let words = |error: mysql_async::Error| match error {
            mysql_async::Error::Server(error) => error.message,
            other => other.to_string(),
        };
        let mut conn = self.connect(server).await.map_err(words)?;
        let rows = tokio::time::timeout(PATIENCE, conn.query(statement)).await.expect("a server that is asked answers");
        let rows = rows.map_err(words)?;
        drop(conn.disconnect().await);
        Ok(rows)
    }
}
