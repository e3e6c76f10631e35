//! What can go wrong, in the contract's words. Knows which of the driver's errors and of the server's numbers mean what.

use std::time::Duration;

use mysql_async::{DriverError, IoError, ServerError, TlsError};
use rustls::CertificateError;

use super::{address::Address, login::Authority};
use crate::contract::{SqlError, SqlErrorKind};

/// The most of a server's message that is passed on, in bytes.
const MESSAGE_BYTES: usize = 1024;

/// The server closes the connection with these: shutdown, aborted, killed, idle for too long.
const KILLED: [u16; 5] = [1053, 1152, 1927, 3169, 4031];
/// The server refuses the account: wrong password, no access to the database, no password given, must be changed, locked.
const REFUSED: [u16; 6] = [1044, 1045, 1698, 1820, 1862, 3118];

/// The server takes connections by TLS only. Where it has no number of its own for that, it says so in these words.
const ONLY_BY_TLS: (u16, &str) = (3159, "does not allow insecure connections");

/// An error that doesn't say yet on which endpoint.
pub(super) struct Failure {
    kind: SqlErrorKind,
    code: u16,
    state: String,
    message: String,
    no_tls: bool,
}

impl Failure {
    pub(super) fn new(kind: SqlErrorKind, message: impl Into<String>) -> Self {
        Self { kind, code: 0, state: String::new(), message: message.into(), no_tls: false }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(SqlErrorKind::Invalid, message)
    }

    pub(super) fn no_secrets() -> Self {
        Self::new(SqlErrorKind::NoCredentials, "secrets could not be read before the deadline")
    }

    /// The limit and not the time that has passed: the same trouble is told in the same words each time.
    pub(super) fn timeout(limit: Duration) -> Self {
        Self::new(SqlErrorKind::Timeout, format!("no answer within {} ms", limit.as_millis()))
    }

    /// While a connection is made, by TLS or in plain text: nothing was sent yet that could take effect.
    pub(super) fn connecting(error: mysql_async::Error, way: Option<&Authority>) -> Self {
        let unreachable = |why: &str| Self::new(SqlErrorKind::Unreachable, format!("no connection: {why}"));
        match error {
            mysql_async::Error::Server(ServerError { code, message, .. }) if code == ONLY_BY_TLS.0 || message.contains(ONLY_BY_TLS.1) => {
                unreachable("the server takes connections by tls only, and this one is in plain text")
            }
            mysql_async::Error::Server(error) => Self::server(error, false),
            mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer) => {
                Self { no_tls: true, ..unreachable("the server offers no tls, and without it is not allowed") }
            }
            error => match (way, tls(&error)) {
                (Some(authority), Some(error)) => unreachable(&distrust(error, authority)),
                _ => unreachable(&driver(&error)),
            },
        }
    }

    /// Whether there is a server that offers no TLS.
    pub(super) fn is_without_tls(&self) -> bool {
        self.no_tls
    }

    /// While a statement runs. `secret`: whether it carries one.
    pub(super) fn running(error: mysql_async::Error, secret: bool) -> Self {
        match error {
            mysql_async::Error::Server(error) => Self::server(error, secret),
            error if too_large(&error) => Self::new(SqlErrorKind::TooLarge, "one row or statement has more bytes than the host allows"),
            error => Self::new(SqlErrorKind::Lost, format!("the connection was lost: {}", driver(&error))),
        }
    }

    fn server(error: ServerError, secret: bool) -> Self {
        let ServerError { code, state, mut message } = error;
        if message.len() > MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
            message.push('…');
        }
        let words = if secret { "its words are withheld, since the statement carries a secret" } else { message.trim() };
        let kind = match code {
            _ if REFUSED.contains(&code) => SqlErrorKind::AccessDenied,
            _ if KILLED.contains(&code) => SqlErrorKind::Lost,
            _ => SqlErrorKind::Server,
        };
        let message = format!("server error {code} ({state}): {words}");
        Self { kind, code, state, message, no_tls: false }
    }

    /// Says which statement of several it was.
    pub(super) fn nth(self, index: usize, of: usize) -> Self {
        if of > 1 { self.of(&format!("statement {}", index + 1)) } else { self }
    }

    /// Says of what it was.
    pub(super) fn of(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Says on which endpoint it was.
    pub(super) fn at(self, address: &Address) -> SqlError {
        SqlError { kind: self.kind, code: self.code, state: self.state, message: format!("{address}: {}", self.message) }
    }

    /// Whether other connections to the same address are in doubt too.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.kind, SqlErrorKind::Timeout | SqlErrorKind::Lost | SqlErrorKind::Unreachable)
    }
}

/// The driver's words. None of its errors holds a password or a statement, but some hold packets: those are named by kind only.
fn driver(error: &mysql_async::Error) -> String {
    match error {
        mysql_async::Error::Io(IoError::Io(error)) => error.to_string().to_lowercase(),
        mysql_async::Error::Driver(DriverError::ConnectionClosed) => "the server closed it".into(),
        mysql_async::Error::Driver(DriverError::UnknownAuthPlugin { name }) => format!("the server asks for authentication by {name}"),
        mysql_async::Error::Driver(DriverError::CleartextPluginDisabled) => "the server asks for the password in clear text".into(),
        _ => "the server's answer is not what the protocol expects".into(),
    }
}

/// What went wrong with TLS, if that was it: while hands are shaken it comes as an error of the connection.
fn tls(error: &mysql_async::Error) -> Option<&rustls::Error> {
    match error {
        mysql_async::Error::Io(IoError::Tls(TlsError::Tls(error))) => Some(error),
        mysql_async::Error::Io(IoError::Io(error)) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// Why a server is not taken for the one that it should be. Without times, which would be others each time.
fn distrust(error: &rustls::Error, authority: &Authority) -> String {
    let rustls::Error::InvalidCertificate(error) = error else { return format!("tls failed: {}", error.to_string().to_lowercase()) };
    let place = authority.place();
    match error {
        // A wrong signature: another authority of the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("the server's certificate is not of an authority in {place}")
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let bare = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
            let names: Vec<String> = presented.iter().map(bare).collect();
            let names = if names.is_empty() { "for no name".to_owned() } else { format!("for {}", names.join(", ")) };
            format!("the server's certificate is not for {}, but {names}", expected.to_str())
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the server's certificate has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "the server's certificate is not valid yet".into(),
        error => format!("the server's certificate is refused: {}", error.to_string().to_lowercase()),
    }
}

/// The driver says so by an error of a crate that it doesn't export, so its text has to do; a test reads a row that is too large.
fn too_large(error: &mysql_async::Error) -> bool {
    matches!(error, mysql_async::Error::Io(IoError::Io(error)) if error.to_string().contains("max_allowed_packet"))
        || matches!(error, mysql_async::Error::Driver(DriverError::PacketTooLarge))
}
