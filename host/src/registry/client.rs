//! Pulling an artifact by its digest, pushing one under a tag. Each call has a session of its own, so no login is kept, and a changed one
//! counts at once.

use std::time::Duration;

use hyper::{Method, StatusCode, body::Bytes, header};

use super::{
    artifact::{self, Interface},
    error::RegistryError,
    http::{Ask, Session},
    login::Login,
    pinned::{Pinned, Place, Target},
};
use crate::{module::LONGEST, plan::fits, settings::Registries};

/// For a whole artifact: 64 MiB at 0.5 MiB/s.
const WHOLE: Duration = Duration::from_secs(120);
/// The longest manifest, in bytes. One layer takes some hundred.
const MANIFEST: usize = 64 << 10;

/// What registries are spoken to with.
#[derive(Debug, Clone)]
pub struct Registry {
    settings: Registries,
}

impl Registry {
    /// By these settings.
    pub fn new(settings: &Registries) -> Self {
        Self { settings: settings.clone() }
    }

    /// Fetches a module.
    ///
    /// # Errors
    /// Why it cannot be had, or is none.
    pub async fn pull(&self, pinned: &Pinned, login: Option<&Login>) -> Result<Vec<u8>, RegistryError> {
        let registry = pinned.registry();
        if !self.settings.allowed.iter().any(|pattern| fits(pattern, registry)) {
            return Err(RegistryError::NotAllowed { registry: registry.into(), allowed: self.settings.allowed.clone() });
        }
        in_time(registry, self.pull_in_its_time(pinned, login)).await
    }

    async fn pull_in_its_time(&self, pinned: &Pinned, login: Option<&Login>) -> Result<Vec<u8>, RegistryError> {
        let session = self.session(&pinned.place, "pull", login)?;
        let repository = &pinned.place.repository;
        let get = |path: &str, accept: &'static str, most: usize| {
            let path = path.to_owned();
            let session = &session;
            async move {
                let ask = Ask { method: Method::GET, path: &path, headers: vec![(header::ACCEPT, accept)], body: Bytes::new() };
                session.body(session.ask(&ask, &[StatusCode::OK]).await?, most).await
            }
        };
        let manifest = get(&format!("/v2/{repository}/manifests/sha256:{}", pinned.digest()), artifact::MANIFEST, MANIFEST).await?;
        // The registry's word is not taken for it.
        if artifact::sha256(&manifest) != format!("sha256:{}", pinned.digest()) {
            return Err(session.failed("its manifest has another digest"));
        }
        let layer = artifact::layer(&manifest, LONGEST)?;
        let size = usize::try_from(layer.size).unwrap_or(usize::MAX);
        let wasm = get(&format!("/v2/{repository}/blobs/{}", layer.digest), "*/*", size).await?;
        if artifact::sha256(&wasm) != layer.digest {
            return Err(session.failed("its layer has another digest"));
        }
        if !wasm.starts_with(b"\0asm") {
            return Err(RegistryError::NotAModule("its layer does not begin as WebAssembly does".into()));
        }
        Ok(wasm.into())
    }

    /// Puts a module into a registry, and gives the name by which it can be pulled for good.
    ///
    /// # Errors
    /// Why it cannot.
    pub async fn push(&self, target: &Target, login: Option<&Login>, wasm: &[u8], interface: &Interface) -> Result<Pinned, RegistryError> {
        in_time(target.registry(), self.push_in_its_time(target, login, wasm, interface)).await
    }

    async fn push_in_its_time(
        &self,
        target: &Target,
        login: Option<&Login>,
        wasm: &[u8],
        interface: &Interface,
    ) -> Result<Pinned, RegistryError> {
        let session = self.session(&target.place, "pull,push", login)?;
        let repository = &target.place.repository;
        let packed = artifact::pack(wasm, interface);
        for (bytes, digest) in [(wasm.to_vec(), &packed.layer_digest), (packed.config, &packed.config_digest)] {
            upload(&session, repository, bytes.into(), digest).await?;
        }
        let path = format!("/v2/{repository}/manifests/{}", target.tag);
        let headers = vec![(header::CONTENT_TYPE, artifact::MANIFEST)];
        let ask = Ask { method: Method::PUT, path: &path, headers, body: packed.manifest.into() };
        session.ask(&ask, &[StatusCode::CREATED]).await?;
        Ok(Pinned::new(&target.place, packed.manifest_digest.trim_start_matches("sha256:")))
    }

    fn session<'a>(&self, place: &'a Place, actions: &str, login: Option<&'a Login>) -> Result<Session<'a>, RegistryError> {
        let scope = format!("repository:{}:{actions}", place.repository);
        let plain_http = self.settings.plain_http.contains(&place.registry);
        Session::new(&place.registry, scope, login, plain_http, &self.settings.certificate_authorities)
    }
}

/// Uploads a blob, unless it is there.
async fn upload(session: &Session<'_>, repository: &str, bytes: Bytes, digest: &str) -> Result<(), RegistryError> {
    let path = format!("/v2/{repository}/blobs/{digest}");
    let there = Ask { method: Method::HEAD, path: &path, headers: vec![], body: Bytes::new() };
    if session.ask(&there, &[StatusCode::OK, StatusCode::NOT_FOUND]).await?.status() == StatusCode::OK {
        return Ok(());
    }
    let path = format!("/v2/{repository}/blobs/uploads/");
    let begin = Ask { method: Method::POST, path: &path, headers: vec![], body: Bytes::new() };
    let begun = session.ask(&begin, &[StatusCode::ACCEPTED]).await?;
    let location = begun.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let location = location.ok_or_else(|| session.failed("it does not say where to upload to"))?;
    let path = format!("{location}{}digest={digest}", if location.contains('?') { '&' } else { '?' });
    let headers = vec![(header::CONTENT_TYPE, "application/octet-stream")];
    let put = Ask { method: Method::PUT, path: &path, headers, body: bytes };
    session.ask(&put, &[StatusCode::CREATED]).await.map(drop)
}

async fn in_time<T>(registry: &str, work: impl Future<Output = Result<T, RegistryError>>) -> Result<T, RegistryError> {
    let done = tokio::time::timeout(WHOLE, work).await;
    done.unwrap_or_else(|_| Err(RegistryError::TooSlow { registry: registry.into(), seconds: WHOLE.as_secs() }))
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        extract::Request,
        http::HeaderMap,
        response::{IntoResponse, Redirect, Response},
    };

    use super::*;

    const WASM: &[u8] = b"\0asm and so on";

    /// A registry as the large ones are: tokens from another path, blobs from another host, which must not see the token.
    async fn answer(host: String, headers: HeaderMap, request: Request) -> Response {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let packed = artifact::pack(WASM, &Interface::default());
        match path {
            "/token" if query == "scope=repository:team/w:pull&service=r%20s" && shown == "Basic YTpi" => {
                r#"{"token": "good"}"#.into_response()
            }
            "/token" => StatusCode::FORBIDDEN.into_response(),
            "/storage" if shown.is_empty() => WASM.into_response(),
            "/storage" => StatusCode::BAD_REQUEST.into_response(),
            _ if shown != "Bearer good" => {
                let challenge = format!(r#"Bearer realm="http://{host}/token",service="r s""#);
                (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
            }
            path if path.contains("/manifests/") => packed.manifest.into_response(),
            _ => Redirect::temporary(&format!("http://localhost:{}/storage", host.rsplit(':').next().unwrap())).into_response(),
        }
    }

    async fn served() -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let own = host.clone();
        let router = Router::new().fallback(move |headers: HeaderMap, request: Request| answer(own.clone(), headers, request));
        tokio::spawn(async move { axum::serve(listener, router).await });
        host
    }

    #[tokio::test]
    async fn a_token_is_fetched_where_the_registry_says_and_shown_to_nobody_else() {
        let host = served().await;
        let registry = Registry::new(&Registries { allowed: vec![host.clone()], plain_http: vec![host.clone()], ..Registries::default() });
        let packed = artifact::pack(WASM, &Interface::default());
        let pinned: Pinned = format!("{host}/team/w@{}", packed.manifest_digest).parse().unwrap();
        let login = |password: &str| Login { user: "a".into(), password: password.into() };
        assert_eq!(registry.pull(&pinned, Some(&login("b"))).await.unwrap(), WASM);
        let error = registry.pull(&pinned, Some(&login("c"))).await.unwrap_err();
        assert_eq!(error.reason(), "NotAuthorized", "{error}");
        assert!(error.to_string().contains("does not let a in"), "{error}");
    }
}
