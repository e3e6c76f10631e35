//! Which connections may be used again: one small pool for each endpoint, database, Secret of credentials and way (by TLS or in plain text), as
//! long as account and authority stay.
//!
//! The database is part of it, so that a connection never carries one over to a query that named none.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mysql_async::{Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};
use tokio::time::Instant;

use super::{
    SqlLimits,
    address::Address,
    error::Failure,
    login::{Authority, Login, LoginDigest},
};
use crate::contract::Endpoint;

/// A silent peer is found out after this time, when nobody waits for it any more.
const KEEPALIVE: Duration = Duration::from_secs(15);

#[derive(PartialEq, Eq, Hash)]
struct Key {
    address: Address,
    database: Option<String>,
    credentials: [String; 4],
    by_tls: bool,
}

struct Entry {
    login: LoginDigest,
    pool: Arc<Pool>,
    used: Instant,
}

pub(super) struct Pools {
    limits: SqlLimits,
    pools: Mutex<HashMap<Key, Entry>>,
}

impl Pools {
    pub(super) fn new(limits: &SqlLimits) -> Self {
        Self { limits: limits.clone(), pools: Mutex::default() }
    }

    /// The pool for this login, by one of its ways. One with other values is closed; so are those that nobody has used for long.
    pub(super) fn get(
        &self,
        endpoint: &Endpoint,
        database: Option<&str>,
        login: &Login,
        way: Option<&Authority>,
    ) -> Result<Arc<Pool>, Failure> {
        let address = Address::of(endpoint);
        let opts = self.opts(&address, database, login, way)?;
        let account = endpoint.credentials.clone();
        let credentials = [account.namespace, account.secret, account.user_key, account.password_key];
        let key = Key { address, database: database.map(Into::into), credentials, by_tls: way.is_some() };
        let (digest, now) = (login.digest(), Instant::now());

        let mut pools = self.lock();
        pools.retain(|_, entry| now.duration_since(entry.used) < self.limits.lifetime + self.limits.idle);
        let fresh = || Entry { login: digest, pool: Arc::new(Pool::new(opts)), used: now };
        let entry = match pools.entry(key) {
            std::collections::hash_map::Entry::Occupied(known) if known.get().login == digest => known.into_mut(),
            other => other.insert_entry(fresh()).into_mut(),
        };
        entry.used = now;
        Ok(entry.pool.clone())
    }

    /// Drops the pool if the failure puts its other connections in doubt, so that the next query connects anew.
    pub(super) fn forget_if_gone(&self, pool: &Arc<Pool>, failure: &Failure) {
        if failure.is_gone() {
            self.lock().retain(|_, entry| !Arc::ptr_eq(&entry.pool, pool));
        }
    }

    /// How to connect by one of the login's ways.
    pub(super) fn opts(&self, address: &Address, database: Option<&str>, login: &Login, way: Option<&Authority>) -> Result<Opts, Failure> {
        if address.host.is_empty() || address.port == 0 {
            return Err(Failure::invalid("the endpoint has no host or no port"));
        }
        if database.is_some_and(str::is_empty) {
            return Err(Failure::invalid("the database's name is empty"));
        }
        let limits = &self.limits;
        let constraints = PoolConstraints::new(0, limits.connections.max(1)).expect("0 is not more than 1");
        let pool = PoolOpts::new()
            .with_constraints(constraints)
            .with_inactive_connection_ttl(limits.idle)
            .with_abs_conn_ttl(Some(limits.lifetime))
            .with_ttl_check_interval((limits.idle / 4).max(Duration::from_secs(1)))
            .with_reset_connection(true);
        Ok(OptsBuilder::default()
            .ip_or_hostname(&address.host)
            .tcp_port(address.port)
            .user(Some(login.account.user.reveal()))
            .pass(Some(login.account.password.reveal()))
            .ssl_opts(way.map(Authority::settings))
            .db_name(database)
            .pool_opts(pool)
            // A server on this machine is still the one at the given port, not the one behind its socket.
            .prefer_socket(false)
            .tcp_keepalive(Some(KEEPALIVE))
            // Given, so that the driver doesn't ask each server for them; the first one is what stops it from reading a huge row.
            .max_allowed_packet(Some(limits.bytes.max(64 << 10)))
            .wait_timeout(Some(usize::try_from(limits.idle.as_secs()).unwrap_or(usize::MAX)))
            .stmt_cache_size(0)
            .into())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
