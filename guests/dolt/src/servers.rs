//! Where the servers of a DoltDB are, and by which account they are asked.

use crds::names;
use sdk::{Credentials, Endpoint, Query, Statement};

/// Time for reading from a server, connecting included, in milliseconds. A server that takes longer counts as not there.
pub const READ_DEADLINE: u64 = 3_000;
/// Time for writing to a server, connecting included, in milliseconds.
pub const WRITE_DEADLINE: u64 = 10_000;

/// The servers of one DoltDB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    namespace: String,
    name: String,
    port: u16,
    domain: String,
    password_key: &'static str,
}

impl Servers {
    /// The servers of the DoltDB of this name. `domain` is the cluster's DNS domain.
    pub fn new(namespace: &str, name: &str, spec: &crds::DoltDBSpec, domain: &str) -> Self {
        let port = u16::try_from(spec.server.listener.port).unwrap_or_default();
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            port,
            domain: domain.to_owned(),
            password_key: names::ADMIN_PASSWORD_KEY,
        }
    }

    /// The same servers, to be entered with the password that the account had before.
    #[must_use]
    pub fn with_previous_password(&self) -> Self {
        Self { password_key: names::ADMIN_PREVIOUS_PASSWORD_KEY, ..self.clone() }
    }

    /// The server in the pod of this ordinal.
    pub fn pod(&self, ordinal: i32) -> Endpoint {
        self.endpoint(names::pod_host(&self.name, ordinal, &self.namespace, &self.domain))
    }

    /// The server that takes writes, by the Service that leads to it.
    pub fn primary(&self) -> Endpoint {
        self.endpoint(names::service_host(&names::primary_service(&self.name), &self.namespace, &self.domain))
    }

    fn endpoint(&self, host: String) -> Endpoint {
        let credentials = Credentials {
            namespace: self.namespace.clone(),
            secret: names::credentials_secret(&self.name),
            user_key: names::ADMIN_USER_KEY.to_owned(),
            password_key: self.password_key.to_owned(),
        };
        Endpoint { host, port: self.port, credentials }
    }
}

/// A query with the deadline that reads have.
pub(crate) fn read(endpoint: Endpoint, statements: Vec<Statement>) -> Query {
    Query { endpoint, database: None, statements, deadline: READ_DEADLINE, max_rows: 100 }
}
