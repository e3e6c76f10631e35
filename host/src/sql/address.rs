//! Where a server is, as errors and logs name it.

use std::fmt;

use crate::contract::Endpoint;

/// Host and port. The name is looked up at each connect.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Address {
    pub host: String,
    pub port: u16,
}

impl Address {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        // A literal IPv6 address may come in brackets.
        let host = endpoint.host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(&endpoint.host);
        Self { host: host.into(), port: endpoint.port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
