//! Elections in paused time, against a Lease in memory.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use rstest::rstest;
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::sleep,
};

use super::*;

const PERIODS: Periods = Periods { lease: Duration::from_secs(15), renew: Duration::from_secs(10), retry: Duration::from_secs(2) };

/// A test double of the API server: one Lease with optimistic locking, as the server does it.
#[derive(Clone, Default)]
struct Server {
    lease: Arc<Mutex<Option<Lease>>>,
    changed: Arc<Notify>,
}

/// One candidate's way to the server.
#[derive(Clone, Default)]
struct Connection {
    server: Server,
    /// Calls fail at once.
    cut: Arc<AtomicBool>,
    /// Calls are never answered.
    hangs: Arc<AtomicBool>,
    /// Calls are answered late.
    slow: Arc<AtomicBool>,
    /// The next write finds that another one was faster.
    raced: Arc<AtomicBool>,
    /// Watches tell nothing.
    deaf: Arc<AtomicBool>,
}

impl Server {
    fn connect(&self) -> Connection {
        Connection { server: self.clone(), ..Default::default() }
    }

    fn spec(&self) -> LeaseSpec {
        self.lease.lock().unwrap().clone().and_then(|lease| lease.spec).unwrap_or_default()
    }

    fn with(holder: &str, renewed: &str) -> Self {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(renewed.parse().unwrap())),
            lease_transitions: Some(4),
            ..Default::default()
        };
        let server = Self::default();
        server.put(&Lease { spec: Some(spec), ..Default::default() });
        server
    }

    fn put(&self, lease: &Lease) {
        let mut current = self.lease.lock().unwrap();
        let version = version(current.as_ref()) + 1;
        let mut lease = lease.clone();
        lease.metadata.resource_version = Some(version.to_string());
        *current = Some(lease);
        self.changed.notify_waiters();
    }
}

fn version(lease: Option<&Lease>) -> u64 {
    lease.and_then(|lease| lease.metadata.resource_version.as_deref()).map_or(0, |version| version.parse().unwrap())
}

impl Connection {
    async fn call(&self) -> Result<(), StoreError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        sleep(Duration::from_millis(if self.slow.load(Ordering::SeqCst) { 700 } else { 5 })).await;
        if self.cut.load(Ordering::SeqCst) { Err(StoreError::Timeout) } else { Ok(()) }
    }
}

impl LeaseStore for Connection {
    async fn get(&self) -> Result<Option<Lease>, StoreError> {
        self.call().await?;
        Ok(self.server.lease.lock().unwrap().clone())
    }

    async fn create(&self, lease: &Lease) -> Result<(), StoreError> {
        self.call().await?;
        if self.server.lease.lock().unwrap().is_some() {
            return Err(StoreError::Conflict);
        }
        self.server.put(lease);
        Ok(())
    }

    async fn replace(&self, lease: &Lease) -> Result<(), StoreError> {
        self.call().await?;
        if self.raced.swap(false, Ordering::SeqCst) {
            let current = self.server.lease.lock().unwrap().clone().unwrap();
            self.server.put(&current);
        }
        if version(self.server.lease.lock().unwrap().as_ref()) != version(Some(lease)) {
            return Err(StoreError::Conflict);
        }
        self.server.put(lease);
        Ok(())
    }

    async fn released(&self, since: &str) {
        loop {
            let changed = self.server.changed.notified();
            let later = self.server.lease.lock().unwrap().clone().filter(|lease| lease.metadata.resource_version.as_deref() != Some(since));
            if later.is_some_and(|lease| store::holder(&lease).is_none()) && !self.deaf.load(Ordering::SeqCst) {
                return sleep(Duration::from_millis(5)).await;
            }
            changed.await;
        }
    }
}

/// A replica that campaigns.
struct Replica {
    leadership: Leadership,
    connection: Connection,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn replica(server: &Server, identity: &str) -> Replica {
    let (leadership, mandate) = Leadership::contested();
    let connection = server.connect();
    let (stop, stopped) = oneshot::channel();
    let (store, identity) = (connection.clone(), identity.to_owned());
    let task = tokio::spawn(async move {
        let candidate = Candidate::new("system", "leader", identity, PERIODS.lease);
        run(&store, candidate, PERIODS, &mandate, async { drop(stopped.await) }).await;
    });
    Replica { leadership, connection, stop, task }
}

/// How long until `b` leads. Fails when both lead at any time.
async fn until_takeover(a: &Leadership, b: &Leadership) -> Duration {
    let start = Instant::now();
    while !b.is_held() {
        assert!(start.elapsed() < Duration::from_secs(60), "nobody took over");
        sleep(Duration::from_millis(10)).await;
        assert!(!(a.is_held() && b.is_held()), "two leaders after {:?}", start.elapsed());
    }
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_replaced_within_20_seconds_and_two_never_lead() {
    // The worst time to be killed is not known beforehand: try the whole retry period.
    for offset in 0..20 {
        let server = Server::default();
        let a = replica(&server, "a");
        a.leadership.acquired().await;
        sleep(Duration::from_millis(700)).await;
        let b = replica(&server, "b");
        sleep(Duration::from_millis(30_000 + offset * 100)).await;
        assert!(a.leadership.is_held() && !b.leadership.is_held());
        assert_eq!(b.leadership.holder().as_deref(), Some("a"));
        a.task.abort();
        let took = until_takeover(&a.leadership, &b.leadership).await;
        assert!(took < Duration::from_secs(18), "took {took:?}");
        assert_eq!(server.spec().lease_transitions, Some(1));
        assert_eq!(server.spec().holder_identity.as_deref(), Some("b"));
    }
}

#[rstest]
#[case::at_once(false, Duration::from_millis(50))]
#[case::at_the_next_try_where_it_cannot_be_watched(true, PERIODS.retry)]
#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken(#[case] deaf: bool, #[case] within: Duration) {
    let server = Server::default();
    let (a, b) = (replica(&server, "a"), replica(&server, "b"));
    b.connection.deaf.store(deaf, Ordering::SeqCst);
    a.leadership.acquired().await;
    // Not at a time at which the other one tries anyway.
    sleep(Duration::from_millis(30_700)).await;
    a.stop.send(()).unwrap();
    a.task.await.unwrap();
    assert!(!a.leadership.is_held());
    assert_eq!(server.spec().holder_identity, None);
    let took = until_takeover(&a.leadership, &b.leadership).await;
    assert!(took <= within, "took {took:?}");
}

/// Neither a renewal "long ago" nor one "in the future" by another's clock changes how long a candidate waits.
#[rstest]
#[case::clock_behind("2000-01-01T00:00:00Z")]
#[case::clock_ahead("2100-01-01T00:00:00Z")]
#[tokio::test(start_paused = true)]
async fn the_times_in_the_lease_are_not_compared(#[case] renewed: &str) {
    let server = Server::with("gone", renewed);
    let start = Instant::now();
    let a = replica(&server, "a");
    a.leadership.acquired().await;
    let waited = start.elapsed();
    assert!(waited >= PERIODS.lease && waited < PERIODS.lease + Duration::from_millis(100), "waited {waited:?}");
    assert_eq!(server.spec().lease_transitions, Some(5));
}

#[tokio::test(start_paused = true)]
async fn the_promise_of_the_holder_counts() {
    let server = Server::with("gone", "2026-01-01T00:00:00Z");
    let mut lease = server.lease.lock().unwrap().clone().unwrap();
    lease.spec.as_mut().unwrap().lease_duration_seconds = Some(40);
    server.put(&lease);
    let start = Instant::now();
    let a = replica(&server, "a");
    a.leadership.acquired().await;
    assert!(start.elapsed() >= Duration::from_secs(40));
    assert_eq!(server.spec().lease_duration_seconds, Some(15));
}

#[rstest]
#[case::calls_fail(true)]
#[case::calls_hang(false)]
#[tokio::test(start_paused = true)]
async fn a_leader_without_renewals_stops_before_another_may_take_over(#[case] fail: bool) {
    let server = Server::default();
    let (a, b) = (replica(&server, "a"), replica(&server, "b"));
    a.leadership.acquired().await;
    sleep(Duration::from_secs(30)).await;
    let trouble = if fail { &a.connection.cut } else { &a.connection.hangs };
    trouble.store(true, Ordering::SeqCst);

    let start = Instant::now();
    a.leadership.lost().await;
    assert!(!a.leadership.is_held());
    let stopped = start.elapsed();
    assert!(stopped <= PERIODS.renew, "stopped after {stopped:?}");
    let took = until_takeover(&a.leadership, &b.leadership).await;
    assert!(took >= PERIODS.lease - PERIODS.renew - PERIODS.retry, "{took:?} between two leaders");

    // Back again, it sees the other one and waits for it.
    trouble.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(30)).await;
    assert!(!a.leadership.is_held() && b.leadership.is_held());
    assert_eq!(a.leadership.holder().as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_leadership_stays_lost_for_a_retry_period_and_is_won_again() {
    let server = Server::default();
    let a = replica(&server, "a");
    a.leadership.acquired().await;
    a.connection.hangs.store(true, Ordering::SeqCst);
    a.leadership.lost().await;
    a.connection.hangs.store(false, Ordering::SeqCst);
    let start = Instant::now();
    a.leadership.acquired().await;
    assert!(start.elapsed() >= PERIODS.retry);
    assert_eq!(server.spec().lease_transitions, Some(0), "its own lease is renewed, not taken over");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_arrives_after_the_tenure_does_not_hide_the_loss() {
    let server = Server::default();
    let a = replica(&server, "a");
    a.leadership.acquired().await;
    // The try after 2 s is never answered and given up after 7 s. The one after 9 s is answered when the tenure of 10 s is over.
    sleep(Duration::from_secs(1)).await;
    a.connection.hangs.store(true, Ordering::SeqCst);
    sleep(Duration::from_secs(7)).await;
    a.connection.hangs.store(false, Ordering::SeqCst);
    a.connection.slow.store(true, Ordering::SeqCst);
    a.leadership.lost().await;
    let start = Instant::now();
    a.leadership.acquired().await;
    assert!(start.elapsed() >= PERIODS.retry, "held again after {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_slept_through_its_tenure_does_not_hold() {
    let (leadership, mandate) = Leadership::contested();
    mandate.set(Tenure::Until(Instant::now() + PERIODS.renew), Some("a".to_owned()));
    assert!(leadership.is_held());
    // No task of this process has run since: the clock alone decides.
    tokio::time::advance(PERIODS.renew).await;
    assert!(!leadership.is_held());
    leadership.lost().await;
}

#[tokio::test(start_paused = true)]
async fn its_own_lease_is_taken_at_once_after_a_restart() {
    let server = Server::with("a", "2026-01-01T00:00:00Z");
    let start = Instant::now();
    let a = replica(&server, "a");
    a.leadership.acquired().await;
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(server.spec().lease_transitions, Some(4));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_overtaken_does_not_count() {
    let server = Server::with("", "2026-01-01T00:00:00Z");
    let connection = server.connect();
    connection.raced.store(true, Ordering::SeqCst);
    let mut candidate = Candidate::new("system", "leader", "a".to_owned(), PERIODS.lease);
    assert!(matches!(candidate.attempt(&connection).await, Err(StoreError::Conflict)));
    assert_eq!(server.spec().holder_identity.as_deref(), Some(""));
    assert!(matches!(candidate.attempt(&connection).await, Ok(Standing::Held { .. })));
}

#[tokio::test(start_paused = true)]
async fn of_two_that_create_the_lease_one_leads() {
    let server = Server::default();
    let (a, b) = (replica(&server, "a"), replica(&server, "b"));
    sleep(Duration::from_secs(1)).await;
    assert!(a.leadership.is_held() != b.leadership.is_held());
}

#[tokio::test(start_paused = true)]
async fn without_an_election_it_always_leads() {
    let leadership = Leadership::always();
    leadership.acquired().await;
    assert!(leadership.is_held());
    assert!(timeout(Duration::from_secs(3600), leadership.lost()).await.is_err());
}

#[rstest]
#[case(15, 10, 2, true)]
#[case(15, 15, 2, false)]
#[case(10, 15, 2, false)]
#[case(15, 10, 10, false)]
#[case(15, 10, 0, false)]
fn periods_that_contradict_each_other_are_refused(#[case] lease: u32, #[case] renew: u32, #[case] retry: u32, #[case] fine: bool) {
    let settings = LeaderElection {
        name: "leader".to_owned(),
        namespace: "system".to_owned(),
        lease_duration_seconds: lease,
        renew_deadline_seconds: renew,
        retry_period_seconds: retry,
    };
    assert_eq!(Periods::try_from(&settings).is_ok(), fine);
}
