//! A reconcile that happened: a request, and each read with its answer. It is played to the component through the host's gateway, and to
//! the same code natively, in the same order.

use std::{collections::VecDeque, path::Path, sync::Arc, sync::Mutex, time::Duration};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use contract::world::{Played, cross, subject};
use host::{
    contract::{self as host_side},
    gateway::{Answer, Answers, Applied, Gateway, Listed, Queries, Read, Recorder, Replay, Seen, Subject},
    runtime::{Guest, Runtime},
};
use sdk::{Level, World, testkit::Fixture};

/// A module's machine code, loaded.
pub(crate) fn load(runtime: &Runtime, wasm: &[u8], code: &Path) -> Result<Guest> {
    std::fs::write(code, runtime.compile(wasm)?)?;
    Ok(runtime.load(code)?)
}

pub(crate) fn component(modules: &Path, slot: &str) -> Result<Vec<u8>> {
    let file = modules.join(format!("{slot}.wasm"));
    std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
}

/// What went in.
pub(crate) struct Past {
    pub(crate) subject: Subject,
    pub(crate) request: host_side::Request,
    pub(crate) native_request: sdk::Request,
    pub(crate) reads: Vec<Read>,
    answers: Vec<NativeAnswer>,
}

impl Past {
    /// What a module reads in a case of its tests.
    pub(crate) async fn of(case: &Path, reconciler: &str, guest: &Guest) -> Result<Self> {
        let fixture = Fixture::load(case)?;
        let native_request = fixture.request();
        let request: host_side::Request = cross(&native_request);
        let subject = subject(reconciler, &request);
        let recorder = Arc::new(Recorder::new(Arc::new(Played::at_once(fixture))));
        let plan = guest.reconcile(&subject, recorder.clone(), &request).await?;
        ensure!(plan.is_ok(), "the reconciler cannot decide in {}", case.display());
        let reads = recorder.take();
        let answers = reads.iter().map(|read| NativeAnswer::from(&read.answer)).collect();
        Ok(Self { subject, request, native_request, reads, answers })
    }

    /// Its answers for the component.
    pub(crate) fn gateway(&self) -> Arc<Replay> {
        Arc::new(Replay::new(self.reads.clone()))
    }

    /// Its answers for the native code.
    pub(crate) fn world(&self) -> Native {
        Native(Mutex::new(self.answers.clone().into()))
    }
}

#[derive(Clone)]
enum NativeAnswer {
    Get(Result<Option<sdk::Object>, sdk::ReadError>),
    Select(Result<sdk::Page, sdk::ReadError>),
    Secret(Result<Option<Vec<sdk::SecretDigest>>, sdk::ReadError>),
    Query(Vec<Result<Vec<sdk::Rows>, sdk::SqlError>>),
    Tasks(Vec<sdk::TaskState>),
    Now(u64),
}

impl From<&Answer> for NativeAnswer {
    fn from(answer: &Answer) -> Self {
        match answer {
            Answer::Get(answer) => Self::Get(cross(answer)),
            Answer::Select(answer) => Self::Select(cross(answer)),
            Answer::Secret(answer) => Self::Secret(cross(answer)),
            Answer::Query(answers) => Self::Query(cross(answers)),
            Answer::Tasks(answer) => Self::Tasks(cross(answer)),
            Answer::Now(now) => Self::Now(*now),
        }
    }
}

/// The world of the native code.
pub(crate) struct Native(Mutex<VecDeque<NativeAnswer>>);

impl Native {
    fn next(&self) -> NativeAnswer {
        self.0.lock().expect("no holder of the lock can panic").pop_front().expect("it asks as it did as a component")
    }
}

impl World for Native {
    fn get(&self, _: &sdk::ObjectRef, _: &[&str]) -> Result<Option<sdk::Object>, sdk::ReadError> {
        match self.next() {
            NativeAnswer::Get(answer) => answer,
            _ => unreachable!("it asks as it did as a component"),
        }
    }

    fn select(&self, _: &sdk::Selection) -> Result<sdk::Page, sdk::ReadError> {
        match self.next() {
            NativeAnswer::Select(answer) => answer,
            _ => unreachable!("it asks as it did as a component"),
        }
    }

    fn secret(&self, _: &str, _: &str) -> Result<Option<Vec<sdk::SecretDigest>>, sdk::ReadError> {
        match self.next() {
            NativeAnswer::Secret(answer) => answer,
            _ => unreachable!("it asks as it did as a component"),
        }
    }

    fn query(&self, _: &[sdk::Query]) -> Vec<Result<Vec<sdk::Rows>, sdk::SqlError>> {
        match self.next() {
            NativeAnswer::Query(answers) => answers,
            _ => unreachable!("it asks as it did as a component"),
        }
    }

    fn tasks(&self) -> Vec<sdk::TaskState> {
        match self.next() {
            NativeAnswer::Tasks(answer) => answer,
            _ => unreachable!("it asks as it did as a component"),
        }
    }

    fn now(&self) -> sdk::Timestamp {
        match self.next() {
            NativeAnswer::Now(now) => now,
            _ => unreachable!("it asks as it did as a component"),
        }
    }

    fn log(&self, _: Level, _: &str, _: &[(&str, String)]) {}
}

/// The same answers, each after a while.
pub(crate) struct Slow(pub(crate) Arc<Replay>, pub(crate) Duration);

#[async_trait]
impl Gateway for Slow {
    async fn get(&self, subject: &Subject, object: &host_side::ObjectRef, fields: &[String]) -> Result<Option<Seen>, host_side::ReadError> {
        tokio::time::sleep(self.1).await;
        self.0.get(subject, object, fields).await
    }

    async fn select(&self, subject: &Subject, selection: &host_side::Selection) -> Result<Listed, host_side::ReadError> {
        tokio::time::sleep(self.1).await;
        self.0.select(subject, selection).await
    }

    async fn secret(
        &self,
        subject: &Subject,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Vec<host_side::SecretDigest>>, host_side::ReadError> {
        tokio::time::sleep(self.1).await;
        self.0.secret(subject, namespace, name).await
    }

    async fn query(&self, subject: &Subject, queries: &Queries) -> Answers {
        tokio::time::sleep(self.1).await;
        self.0.query(subject, queries).await
    }

    fn now(&self) -> host_side::Timestamp {
        self.0.now()
    }

    async fn apply(&self, subject: &Subject, effect: &host_side::Effect) -> Result<Applied, host_side::EffectFailure> {
        self.0.apply(subject, effect).await
    }

    async fn event(&self, subject: &Subject, event: &host_side::Event) {
        self.0.event(subject, event).await;
    }
}
