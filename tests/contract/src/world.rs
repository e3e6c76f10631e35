//! Worlds for components to see: a fixture of the SDK's test kit, answered through the host's gateway, and one that is slow.

use std::time::Duration;

use async_trait::async_trait;
use host::{
    contract,
    gateway::{Answers, Applied, Gateway, Listed, Queries, Seen, Subject},
};
use sdk::{World, testkit::Fixture};
use serde::{Serialize, de::DeserializeOwned};

/// The same record on the other side of the boundary.
///
/// # Panics
/// When the two sides do not serialise alike.
pub fn cross<A: Serialize, B: DeserializeOwned>(value: &A) -> B {
    let json = serde_json::to_value(value).expect("records of the contract serialise");
    serde_json::from_value(json).expect("both sides of the contract serialise alike")
}

/// The subject of a request.
pub fn subject(reconciler: &str, request: &contract::Request) -> Subject {
    let header = &request.object.header;
    Subject { reconciler: reconciler.into(), object: header.into(), uid: header.uid.clone() }
}

/// A fixture as the world of a component, each answer after a while.
pub struct Played {
    /// Who answers.
    pub fixture: Fixture,
    /// How long each answer takes.
    pub delay: Duration,
}

impl Played {
    /// A fixture that answers at once.
    pub fn at_once(fixture: Fixture) -> Self {
        Self { fixture, delay: Duration::ZERO }
    }

    async fn wait(&self) {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
    }
}

#[async_trait]
impl Gateway for Played {
    async fn get(&self, _: &Subject, object: &contract::ObjectRef, fields: &[String]) -> Result<Option<Seen>, contract::ReadError> {
        self.wait().await;
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        cross(&self.fixture.get(&cross(object), &fields))
    }

    async fn select(&self, _: &Subject, selection: &contract::Selection) -> Result<Listed, contract::ReadError> {
        self.wait().await;
        cross(&self.fixture.select(&cross(selection)))
    }

    async fn secret(&self, _: &Subject, namespace: &str, name: &str) -> Result<Option<Vec<contract::SecretDigest>>, contract::ReadError> {
        self.wait().await;
        cross(&self.fixture.secret(namespace, name))
    }

    async fn query(&self, _: &Subject, queries: &Queries) -> Answers {
        self.wait().await;
        cross(&self.fixture.query(&cross::<_, Vec<sdk::Query>>(queries)))
    }

    async fn tasks(&self, _: &Subject) -> Vec<contract::TaskState> {
        self.wait().await;
        cross(&self.fixture.tasks())
    }

    fn now(&self) -> contract::Timestamp {
        self.fixture.now()
    }

    /// # Panics
    /// Always: a reconciler has no way here.
    async fn apply(&self, _: &Subject, effect: &contract::Effect) -> Result<Applied, contract::EffectFailure> {
        panic!("a call has no effects, but here is {effect:?}")
    }

    /// # Panics
    /// Always: a reconciler has no way here.
    async fn event(&self, _: &Subject, event: &contract::Event) {
        panic!("a call has no effects, but here is {event:?}")
    }
}
