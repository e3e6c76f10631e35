//! A reconciler's world in two halves: its objects and Secrets are a fixture's, its SQL goes through the host's room to real servers.

use host::contract;
use sdk::{
    Level, Object, ObjectRef, Outcome, Page, Plan, Query, ReadError, Reconciler, Request, Rows, SecretDigest, Selection, SqlError, World,
    testkit::Fixture,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{runtime::Handle, task::block_in_place};

use crate::{Room, endpoint};

/// The same record on the other side of the boundary.
///
/// # Panics
/// When the sides differ.
pub fn cross<A: Serialize, B: DeserializeOwned>(value: &A) -> B {
    serde_json::from_value(serde_json::to_value(value).expect("records of the contract serialise")).expect("both sides serialise alike")
}

/// The endpoint on this machine, as root, that is known by what the other is known by.
pub(crate) fn here(port: u16, other: contract::Endpoint) -> contract::Endpoint {
    contract::Endpoint { tls: other.tls, ..endpoint(port, "root") }
}

/// The world.
pub struct Scene<'a> {
    /// What is in the cluster.
    pub fixture: Fixture,
    room: &'a Room,
    port: Box<dyn Fn(&str) -> u16 + 'a>,
}

impl<'a> Scene<'a> {
    /// `port` says at which port of this machine the server of a host's name is.
    pub fn new(fixture: Fixture, room: &'a Room, port: impl Fn(&str) -> u16 + 'a) -> Self {
        Self { fixture, room, port: Box::new(port) }
    }

    /// What a reconciler wants to do in it, when its last plan has ended like this.
    ///
    /// # Panics
    /// When it cannot decide.
    pub fn plan<R: Reconciler>(&self, last: Option<Outcome>) -> Plan {
        let request = Request { last, ..self.fixture.request() };
        block_in_place(|| R::reconcile(self, &request)).expect("it can decide")
    }
}

impl World for Scene<'_> {
    fn get(&self, object: &ObjectRef, fields: &[&str]) -> Result<Option<Object>, ReadError> {
        self.fixture.get(object, fields)
    }

    fn select(&self, selection: &Selection) -> Result<Page, ReadError> {
        self.fixture.select(selection)
    }

    fn secret(&self, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        self.fixture.secret(namespace, name)
    }

    fn query(&self, queries: &[Query]) -> Vec<Result<Vec<Rows>, SqlError>> {
        let mut queries: Vec<contract::Query> = queries.iter().map(cross).collect();
        for query in &mut queries {
            query.endpoint = here((self.port)(&query.endpoint.host), query.endpoint.clone());
        }
        let answers = Handle::current().block_on(self.room.sql.query_all(&queries));
        answers.iter().map(|answer| answer.as_ref().map(cross).map_err(cross)).collect()
    }

    fn tasks(&self) -> Vec<sdk::TaskState> {
        self.fixture.tasks()
    }

    fn now(&self) -> sdk::Timestamp {
        self.fixture.now()
    }

    fn log(&self, _: Level, _: &str, _: &[(&str, String)]) {}
}
