//! Replay: a journal answers in the place of the world. The first read that the journal does not have next is a divergence.
//! It writes nothing.

use std::{collections::VecDeque, sync::Mutex};

use async_trait::async_trait;

use super::{
    Applied, Gateway, Subject,
    record::{Answer, Question, Read},
    shared::{Answers, Listed, Queries, Seen},
};
use crate::contract::{
    Effect, EffectFailure, Event, FailureKind, ObjectRef, ReadError, SecretDigest, Selection, SqlError, SqlErrorKind, TaskState, Timestamp,
};

/// A read that differs from the journal's.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("read {place} differs: asked {asked:?}, the journal has {recorded:?}")]
pub struct Divergence {
    /// Its place among the reads, from 0.
    pub place: usize,
    /// What was asked.
    pub asked: Question,
    /// What the journal has there; none where the journal has ended.
    pub recorded: Option<Question>,
}

#[derive(Default)]
struct State {
    place: usize,
    rest: VecDeque<Read>,
    divergence: Option<Divergence>,
}

/// A gateway that answers from a journal.
pub struct Replay {
    state: Mutex<State>,
}

impl Replay {
    /// Answers from `reads`, in their order.
    pub fn new(reads: Vec<Read>) -> Self {
        Self { state: Mutex::new(State { rest: reads.into(), ..State::default() }) }
    }

    /// The first divergence, if there was one.
    pub fn divergence(&self) -> Option<Divergence> {
        self.state.lock().expect("no holder of the lock can panic").divergence.clone()
    }

    /// Reads of the journal that nobody asked for.
    pub fn unread(&self) -> usize {
        self.state.lock().expect("no holder of the lock can panic").rest.len()
    }

    fn answer(&self, asked: Question) -> Option<Answer> {
        let mut state = self.state.lock().expect("no holder of the lock can panic");
        let place = state.place;
        state.place += 1;
        let next = state.rest.pop_front();
        match next {
            Some(read) if read.question == asked => Some(read.answer),
            other => {
                state.divergence.get_or_insert(Divergence { place, asked, recorded: other.map(|read| read.question) });
                None
            }
        }
    }
}

const DIVERGED: &str = "the journal has no answer to this read";

fn diverged<T>() -> Result<T, ReadError> {
    Err(ReadError::Unavailable(DIVERGED.into()))
}

#[async_trait]
impl Gateway for Replay {
    async fn get(&self, _: &Subject, object: &ObjectRef, fields: &[String]) -> Result<Option<Seen>, ReadError> {
        match self.answer(Question::Get { object: object.clone(), fields: fields.to_vec() }) {
            Some(Answer::Get(answer)) => answer,
            _ => diverged(),
        }
    }

    async fn select(&self, _: &Subject, selection: &Selection) -> Result<Listed, ReadError> {
        match self.answer(Question::Select(selection.clone())) {
            Some(Answer::Select(answer)) => answer,
            _ => diverged(),
        }
    }

    async fn secret(&self, _: &Subject, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        match self.answer(Question::Secret { namespace: namespace.into(), name: name.into() }) {
            Some(Answer::Secret(answer)) => answer,
            _ => diverged(),
        }
    }

    async fn query(&self, _: &Subject, queries: &Queries) -> Answers {
        match self.answer(Question::Query(queries.clone())) {
            Some(Answer::Query(answers)) => answers,
            _ => queries
                .iter()
                .map(|_| Err(SqlError { kind: SqlErrorKind::Unreachable, code: 0, state: String::new(), message: DIVERGED.into() }))
                .collect::<Vec<_>>()
                .into(),
        }
    }

    async fn tasks(&self, _: &Subject) -> Vec<TaskState> {
        match self.answer(Question::Tasks) {
            Some(Answer::Tasks(tasks)) => tasks,
            _ => Vec::new(),
        }
    }

    fn now(&self) -> Timestamp {
        match self.answer(Question::Now) {
            Some(Answer::Now(now)) => now,
            _ => 0,
        }
    }

    async fn apply(&self, _: &Subject, _: &Effect) -> Result<Applied, EffectFailure> {
        Err(EffectFailure { effect: 0, kind: FailureKind::Denied, message: "a replay writes nothing".into(), sql: None })
    }

    async fn event(&self, _: &Subject, _: &Event) {}
}
