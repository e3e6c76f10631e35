//! The way to one registry: TLS, logins, redirects, and answers of bounded length. It knows nothing of manifests.

use std::{error::Error, time::Duration};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header::{self, HeaderMap, HeaderValue},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{error::RegistryError, login::Login};

/// For coming to speak to a registry.
const CONNECT: Duration = Duration::from_secs(5);
/// Registries send who wants a blob elsewhere, but not for ever.
const REDIRECTS: usize = 5;
/// Of an answer that is not a blob: a token, an error.
const SHORT: usize = 1 << 20;
/// Docker's registry has another host than its name.
const DOCKER: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// A registry, and who asks.
pub(super) struct Session<'a> {
    pub(super) registry: &'a str,
    base: String,
    plain_http: bool,
    login: Option<&'a Login>,
    /// What repository the requests are about, and what is done there: the scope of a token.
    scope: String,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    authorization: Mutex<Option<HeaderValue>>,
}

/// A request without its way.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// From the registry's root, or a whole URL that it gave.
    pub(super) path: &'a str,
    pub(super) headers: Vec<(header::HeaderName, &'a str)>,
    pub(super) body: Bytes,
}

impl<'a> Session<'a> {
    /// Comes to speak to nobody yet. `authorities` is PEM, trusted beside what the system trusts.
    pub(super) fn new(
        registry: &'a str,
        scope: String,
        login: Option<&'a Login>,
        plain_http: bool,
        authorities: &str,
    ) -> Result<Self, RegistryError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
            let certificate = certificate.map_err(|error| RegistryError::Client(format!("certificateAuthorities: {error}")))?;
            roots.add(certificate).map_err(|error| RegistryError::Client(format!("certificateAuthorities: {error}")))?;
        }
        // Where the system has none, what is trusted is said by the settings, or nothing is.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|error| RegistryError::Client(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(CONNECT));
        http.enforce_http(false);
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(http);
        let host = if registry == DOCKER.0 { DOCKER.1 } else { registry };
        let base = format!("{}://{host}", if plain_http { "http" } else { "https" });
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { registry, base, plain_http, login, scope, client, authorization: Mutex::default() })
    }

    /// Who asks, for people.
    fn who(&self) -> &str {
        self.login.map_or("anybody without a login", |login| &login.user)
    }

    /// Asks, and gives the answer if it has one of these statuses.
    pub(super) async fn ask(&self, ask: &Ask<'_>, expected: &[StatusCode]) -> Result<Response<Incoming>, RegistryError> {
        let mut answer = self.follow(ask).await?;
        if answer.status() == StatusCode::UNAUTHORIZED
            && self.authorization.lock().await.is_none()
            && self.authorize(answer.headers()).await?
        {
            answer = self.follow(ask).await?;
        }
        let status = answer.status();
        if expected.contains(&status) {
            return Ok(answer);
        }
        let body = self.body(answer, SHORT).await.unwrap_or_default();
        Err(RegistryError::answered(self.registry, self.who(), status, &body))
    }

    /// Sends a request, and again to where it is sent. What it shows to the registry is shown to nobody else.
    async fn follow(&self, ask: &Ask<'_>) -> Result<Response<Incoming>, RegistryError> {
        let mut place = self.place(ask.path)?;
        for _ in 0..=REDIRECTS {
            let ours = place.to_string().starts_with(&format!("{}/", self.base));
            let authorization = if ours { self.authorization.lock().await.clone() } else { None };
            let answer = self.send(ask, &place, authorization).await?;
            if !answer.status().is_redirection() || ask.method != Method::GET {
                return Ok(answer);
            }
            let location = answer.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
            place = self.place(location.ok_or_else(|| self.failed("it sends elsewhere and does not say where"))?)?;
        }
        Err(self.failed("it sends elsewhere without end"))
    }

    async fn send(&self, ask: &Ask<'_>, place: &Uri, authorization: Option<HeaderValue>) -> Result<Response<Incoming>, RegistryError> {
        let mut request = Request::builder().method(ask.method.clone()).uri(place.clone());
        for (name, value) in &ask.headers {
            request = request.header(name, *value);
        }
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(ask.body.clone())).map_err(|error| self.failed(&error.to_string()))?;
        self.client.request(request).await.map_err(|error| RegistryError::unreachable(self.registry, &error))
    }

    /// A path at the registry, or a URL. Once with TLS, always with TLS.
    pub(super) fn place(&self, path: &str) -> Result<Uri, RegistryError> {
        let whole = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() };
        let place: Uri = whole.parse().map_err(|_| self.failed("it names a place that is no URL"))?;
        match place.scheme_str() {
            Some("https") => Ok(place),
            Some("http") if self.plain_http => Ok(place),
            _ => Err(self.failed("it names a place that is reached without TLS")),
        }
    }

    /// Gets what a registry wants to see, by its own words. False where there is nothing to show.
    async fn authorize(&self, headers: &HeaderMap) -> Result<bool, RegistryError> {
        let challenges = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let mut shown = None;
        for challenge in challenges {
            if let Some(parameters) = challenge.strip_prefix("Bearer ") {
                shown = Some(format!("Bearer {}", self.token(parameters).await?));
                break;
            }
            if challenge.starts_with("Basic") {
                shown = self.login.map(Login::basic);
            }
        }
        let Some(shown) = shown else { return Ok(false) };
        let mut value = HeaderValue::from_str(&shown).map_err(|_| self.failed("its token is no header"))?;
        value.set_sensitive(true);
        *self.authorization.lock().await = Some(value);
        Ok(true)
    }

    /// A token for the scope, from where the registry says.
    async fn token(&self, parameters: &str) -> Result<String, RegistryError> {
        #[derive(Deserialize)]
        struct Token {
            #[serde(default)]
            token: String,
            #[serde(default)]
            access_token: String,
        }
        let realm = parameter(parameters, "realm").ok_or_else(|| self.failed("it wants a token and does not say from where"))?;
        let mut url = format!("{realm}{}scope={}", if realm.contains('?') { '&' } else { '?' }, escaped(&self.scope));
        if let Some(service) = parameter(parameters, "service") {
            url += &format!("&service={}", escaped(service));
        }
        let login = self.login.map(Login::basic).and_then(|basic| HeaderValue::from_str(&basic).ok());
        let ask = Ask { method: Method::GET, path: &url, headers: vec![], body: Bytes::new() };
        let answer = self.send(&ask, &self.place(&url)?, login).await?;
        let status = answer.status();
        let body = self.body(answer, SHORT).await?;
        if status != StatusCode::OK {
            return Err(RegistryError::answered(self.registry, self.who(), status, &body));
        }
        let Token { token, access_token } = serde_json::from_slice(&body).map_err(|_| self.failed("its token is not of the known form"))?;
        Ok(if token.is_empty() { access_token } else { token })
    }

    /// The whole body, unless it is longer than `most` bytes.
    pub(super) async fn body(&self, answer: Response<Incoming>, most: usize) -> Result<Bytes, RegistryError> {
        match Limited::new(answer.into_body(), most).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Err(self.failed(&format!("its answer is longer than {most} bytes")))
            }
            Err(error) => Err(RegistryError::unreachable(self.registry, error.as_ref() as &dyn Error)),
        }
    }

    pub(super) fn failed(&self, message: &str) -> RegistryError {
        RegistryError::Failed { registry: self.registry.into(), message: message.into() }
    }
}

/// A parameter of a challenge: `name="value"`.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = parameters;
    while let Some((key, after)) = rest.split_once("=\"") {
        let (value, next) = after.split_once('"')?;
        if key.trim_start_matches([',', ' ']) == name {
            return Some(value);
        }
        rest = next;
    }
    None
}

/// As a value of a query.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() || b"-._~/:,".contains(&byte) {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("realm", Some("https://a/token"))]
    #[case("scope", Some("repository:x:pull,push"))]
    #[case("service", Some("registry.example"))]
    #[case("error", None)]
    fn a_challenge_is_read(#[case] name: &str, #[case] expected: Option<&str>) {
        let challenge = r#"realm="https://a/token",service="registry.example", scope="repository:x:pull,push""#;
        assert_eq!(parameter(challenge, name), expected);
    }

    #[test]
    fn what_has_to_be_escaped_is() {
        assert_eq!(escaped("repository:a/b:pull,push"), "repository:a/b:pull,push");
        assert_eq!(escaped("a b&c=d"), "a%20b%26c%3Dd");
    }

    #[test]
    fn with_tls_nobody_is_sent_where_there_is_none() {
        let session = |plain| Session::new("r.example", String::new(), None, plain, "").unwrap();
        assert!(session(false).place("http://elsewhere/x").is_err());
        assert!(session(true).place("http://elsewhere/x").is_ok());
        assert_eq!(session(false).place("/v2/").unwrap().to_string(), "https://r.example/v2/");
        assert!(session(false).place("file:///etc/passwd").is_err());
    }
}
