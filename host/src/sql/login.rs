//! What a connection takes: by whom it is made, by whose certificates its server is known, and whether it may do without TLS.

use mysql_async::SslOpts;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use sha2::{Digest, Sha256};

use super::{
    Secrets,
    account::{self, Account},
    error::Failure,
};
use crate::contract::{Endpoint, SqlErrorKind, Tls};

/// Account and authority, as the endpoint names them.
pub(super) struct Login {
    pub account: Account,
    authority: Option<Authority>,
    plaintext: bool,
}

/// Tells logins apart without holding them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct LoginDigest([u8; 32]);

/// The certificates by which a server is known. They are no secret, but they come from one.
pub(super) struct Authority {
    place: String,
    certificates: Vec<u8>,
}

impl Login {
    /// Reads what the endpoint names.
    pub(super) async fn read(secrets: &dyn Secrets, endpoint: &Endpoint) -> Result<Self, Failure> {
        let account = Account::read(secrets, &endpoint.credentials).await?;
        let authority = match &endpoint.tls {
            Some(tls) => Some(Authority::read(secrets, &endpoint.credentials.namespace, tls).await?),
            None => None,
        };
        Ok(Self { account, authority, plaintext: endpoint.tls.as_ref().is_none_or(|tls| tls.plaintext) })
    }

    pub(super) fn digest(&self) -> LoginDigest {
        let mut hasher = Sha256::new();
        let parts = [self.account.user.reveal().as_bytes(), self.account.password.reveal().as_bytes()];
        for part in parts.into_iter().chain(self.authority.as_ref().map(|authority| authority.certificates.as_slice())) {
            hasher.update(part.len().to_le_bytes());
            hasher.update(part);
        }
        LoginDigest(hasher.finalize().into())
    }

    /// The ways to connect, in the order in which they are to be tried: with an authority, or in plain text. The next one is for a server that
    /// offers no TLS, and for nothing else.
    pub(super) fn ways(&self) -> impl Iterator<Item = Option<&Authority>> {
        let by_tls = self.authority.as_ref().map(Some);
        by_tls.into_iter().chain(self.plaintext.then_some(None))
    }
}

impl Authority {
    async fn read(secrets: &dyn Secrets, namespace: &str, tls: &Tls) -> Result<Self, Failure> {
        let place = format!("key {} of secret {namespace}/{}", tls.key, tls.secret);
        let certificates = account::secret(secrets, namespace, &tls.secret, &tls.key).await?.reveal().as_bytes().to_vec();
        // The driver would say no more than that there is none that it can use.
        let mut found = CertificateDer::pem_slice_iter(&certificates).peekable();
        if found.peek().is_none() || found.any(|one| one.is_err()) {
            let message = format!("{place} holds no certificates in pem: an authority is needed to know the server by");
            return Err(Failure::new(SqlErrorKind::NoCredentials, message));
        }
        Ok(Self { place, certificates })
    }

    /// Where it was found.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// The driver's settings: this authority and no other, and the server's name counts.
    pub(super) fn settings(&self) -> SslOpts {
        SslOpts::default().with_root_certs(vec![self.certificates.clone().into()]).with_disable_built_in_roots(true)
    }
}
