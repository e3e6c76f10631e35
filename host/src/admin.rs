//! The admin server: `/healthz`, `/readyz`, `/metrics`, `/modules`, `/journals/{reconciler}`.
//!
//! Owns the HTTP side and what "ready" means. What it shows comes through [`Reports`] and [`Recent`], so it knows no other room's insides.
//! It serves without authentication, so nothing here changes anything. Journals hold objects as the reconcilers saw them (never a Secret's
//! value), and so do comparisons of modules in full: they are served to loopback peers only, which is how `kubectl port-forward` arrives.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    controller::Journals,
    metrics::{CONTENT_TYPE, Metrics},
    module::Modules,
};

/// How long open connections may hold up a shutdown.
const LINGER: Duration = Duration::from_secs(1);

/// The modules in their slots.
pub trait Reports: Send + Sync + 'static {
    /// A JSON list with one report for each slot. What shows objects is in the `whole` one only.
    fn report(&self, whole: bool) -> serde_json::Value;

    /// Slots in which nothing can run.
    fn empty(&self) -> Vec<String>;
}

/// The recent journals of the reconcilers.
pub trait Recent: Send + Sync + 'static {
    /// A JSON list, the oldest first; empty for a reconciler that is not known.
    fn recent(&self, reconciler: &str) -> serde_json::Value;
}

impl Reports for Modules {
    fn report(&self, whole: bool) -> serde_json::Value {
        json!(Self::report(self, whole))
    }

    fn empty(&self) -> Vec<String> {
        Self::empty(self)
    }
}

impl Recent for Journals {
    fn recent(&self, reconciler: &str) -> serde_json::Value {
        self.of(reconciler).iter().map(|journal| json!(**journal)).collect()
    }
}

/// How far the process is. The host says so; `/readyz` and `/modules` show it.
#[derive(Default)]
pub struct Status {
    modules: OnceLock<Arc<dyn Reports>>,
    leading: AtomicBool,
    reconciling: AtomicBool,
}

/// The answer of `/readyz`.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Readiness {
    ready: bool,
    leading: bool,
    missing: Vec<String>,
}

impl Status {
    /// What can be loaded has been. From now on a slot is missing only while it is empty.
    pub fn modules_loaded(&self, modules: Arc<impl Reports>) {
        // A second call changes nothing: the modules report for themselves what has changed in their slots.
        let _ = self.modules.set(modules);
    }

    /// This replica has become the leader: from now on it is ready only while it reconciles.
    pub fn leading(&self) {
        self.leading.store(true, Ordering::Relaxed);
    }

    /// The leader sees the cluster and its reconcilers run.
    pub fn reconciling(&self) {
        self.leading();
        self.reconciling.store(true, Ordering::Relaxed);
    }

    /// A standby that could take over at once is ready: it is as good a replica as it can be, and a rollout waits for it.
    fn readiness(&self) -> Readiness {
        let leading = self.leading.load(Ordering::Relaxed);
        let mut missing = Vec::new();
        match self.modules.get() {
            None => missing.push("modules".to_owned()),
            Some(modules) => missing.extend(modules.empty().into_iter().map(|slot| format!("module {slot}"))),
        }
        if leading && !self.reconciling.load(Ordering::Relaxed) {
            missing.push("caches".to_owned());
        }
        Readiness { ready: missing.is_empty(), leading, missing }
    }
}

/// The admin server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be listened on.
    #[error("cannot listen on admin address {address}: {source}")]
    Bind {
        /// From the command line.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The listener failed.
    #[error("the admin server failed: {0}")]
    Serve(#[from] std::io::Error),
}

#[derive(Clone)]
struct Shown {
    metrics: Metrics,
    status: Arc<Status>,
    journals: Arc<dyn Recent>,
}

/// The server, listening.
pub struct Server {
    listener: TcpListener,
    router: Router,
}

impl Server {
    /// Listens on the address, so that a mistake shows before anything else starts.
    ///
    /// # Errors
    /// When the address is in use or not this machine's.
    pub async fn bind(address: SocketAddr, metrics: Metrics, status: Arc<Status>, journals: Arc<dyn Recent>) -> Result<Self, AdminError> {
        let listener = TcpListener::bind(address).await.map_err(|source| AdminError::Bind { address, source })?;
        Ok(Self { listener, router: router(Shown { metrics, status, journals }) })
    }

    /// Where it listens: the port that was found when port 0 was asked for.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> Result<SocketAddr, AdminError> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until `shutdown` is ready and open requests are answered, for a second at most.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), AdminError> {
        let (closing, closed) = tokio::sync::oneshot::channel();
        let service = self.router.into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(self.listener, service).with_graceful_shutdown(async {
            shutdown.await;
            let _ = closing.send(());
        });
        let lingered = async {
            match closed.await {
                Ok(()) => tokio::time::sleep(LINGER).await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            served = serving => Ok(served?),
            () = lingered => Ok(()),
        }
    }
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/modules", get(modules))
        .route("/journals/{reconciler}", get(journals))
        .with_state(shown)
}

async fn readyz(State(shown): State<Shown>) -> Response {
    let readiness = shown.status.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn metrics(State(shown): State<Shown>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], shown.metrics.encode()).into_response()
}

async fn modules(State(shown): State<Shown>, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Response {
    let whole = may_see_journals(peer.ip());
    Json(shown.status.modules.get().map_or_else(|| json!([]), |modules| modules.report(whole))).into_response()
}

async fn journals(State(shown): State<Shown>, ConnectInfo(peer): ConnectInfo<SocketAddr>, Path(reconciler): Path<String>) -> Response {
    if !may_see_journals(peer.ip()) {
        return (StatusCode::FORBIDDEN, "journals are served to loopback only: use kubectl port-forward\n").into_response();
    }
    Json(shown.journals.recent(&reconciler)).into_response()
}

fn may_see_journals(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        sync::oneshot,
    };

    use super::*;

    /// A test double of the rooms that are shown.
    struct Fixed;

    impl Reports for Fixed {
        fn report(&self, whole: bool) -> serde_json::Value {
            json!([{"slot": "a", "whole": whole}])
        }

        fn empty(&self) -> Vec<String> {
            vec![]
        }
    }

    /// One of its slots has no module.
    struct Lacking;

    impl Reports for Lacking {
        fn report(&self, _: bool) -> serde_json::Value {
            json!([])
        }

        fn empty(&self) -> Vec<String> {
            vec!["a".into()]
        }
    }

    impl Recent for Fixed {
        fn recent(&self, reconciler: &str) -> serde_json::Value {
            if reconciler == "a" { json!([{"object": "ns/name"}]) } else { json!([]) }
        }
    }

    const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    async fn bind(address: SocketAddr, status: Status) -> Result<Server, AdminError> {
        Server::bind(address, Metrics::new("p"), Arc::new(status), Arc::new(Fixed)).await
    }

    async fn start(status: Status) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<Result<(), AdminError>>) {
        let server = bind(ANY_PORT, status).await.unwrap();
        let address = server.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        (address, stop, tokio::spawn(server.run(async { drop(stopped.await) })))
    }

    async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    #[rstest]
    #[case::starting(false, false, false, 503, json!({"ready": false, "leading": false, "missing": ["modules"]}))]
    #[case::standby(true, false, false, 200, json!({"ready": true, "leading": false, "missing": []}))]
    #[case::new_leader(true, true, false, 503, json!({"ready": false, "leading": true, "missing": ["caches"]}))]
    #[case::leader(true, true, true, 200, json!({"ready": true, "leading": true, "missing": []}))]
    #[tokio::test]
    async fn readiness_says_what_is_missing(
        #[case] loaded: bool,
        #[case] leads: bool,
        #[case] reconciles: bool,
        #[case] code: u16,
        #[case] expected: serde_json::Value,
    ) {
        let status = Status::default();
        if loaded {
            status.modules_loaded(Arc::new(Fixed));
        }
        if leads {
            status.leading();
        }
        if reconciles {
            status.reconciling();
        }
        let (address, _stop, _task) = start(status).await;
        let (got, body) = ask(address, "/readyz").await;
        assert_eq!((got, serde_json::from_str::<serde_json::Value>(&body).unwrap()), (code, expected));
    }

    #[rstest]
    #[case("/healthz", 200, "ok\n")]
    #[case("/modules", 200, r#"[{"slot":"a","whole":true}]"#)]
    #[case("/journals/a", 200, r#"[{"object":"ns/name"}]"#)]
    #[case("/journals/b", 200, "[]")]
    #[case("/", 404, "")]
    #[tokio::test]
    async fn each_path_answers(#[case] path: &str, #[case] code: u16, #[case] body: &str) {
        let status = Status::default();
        status.modules_loaded(Arc::new(Fixed));
        let (address, _stop, _task) = start(status).await;
        assert_eq!(ask(address, path).await, (code, body.to_owned()));
    }

    #[test]
    fn a_slot_without_a_module_is_missing_and_named() {
        let status = Status::default();
        status.modules_loaded(Arc::new(Lacking));
        status.reconciling();
        assert_eq!(status.readiness(), Readiness { ready: false, leading: true, missing: vec!["module a".into()] });
    }

    #[tokio::test]
    async fn metrics_end_as_the_format_wants() {
        let (address, _stop, _task) = start(Status::default()).await;
        let (status, body) = ask(address, "/metrics").await;
        assert_eq!(status, 200);
        assert!(body.contains("p_leader 0\n") && body.ends_with("# EOF\n"), "{body}");
    }

    #[tokio::test]
    async fn shutdown_does_not_wait_for_an_idle_connection() {
        let (address, stop, task) = start(Status::default()).await;
        let _idle = TcpStream::connect(address).await.unwrap();
        assert_eq!(ask(address, "/healthz").await.0, 200);
        stop.send(()).unwrap();
        tokio::time::timeout(LINGER * 3, task).await.expect("ends in time").unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let taken = bind(ANY_PORT, Status::default()).await.unwrap();
        let address = taken.address().unwrap();
        let message = bind(address, Status::default()).await.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.starts_with(&format!("cannot listen on admin address {address}: ")), "{message}");
    }

    #[rstest]
    #[case("127.0.0.1", true)]
    #[case("::1", true)]
    #[case("::ffff:127.0.0.1", true)]
    #[case("10.244.0.7", false)]
    #[case("::ffff:10.244.0.7", false)]
    fn journals_are_for_loopback(#[case] peer: IpAddr, #[case] may: bool) {
        assert_eq!(may_see_journals(peer), may);
    }
}
