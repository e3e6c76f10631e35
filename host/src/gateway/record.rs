//! Recording: every read of a reconcile with its answer, in order. The journal is what replay, the dependency index and
//! "ask the same reads again" work from.

use std::sync::Mutex;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Answers, Applied, Gateway, Listed, Queries, Seen, SharedGateway, Subject};
use crate::contract::{
    Effect, EffectFailure, Event, Failure, ObjectRef, Plan, ReadError, Request, SecretDigest, Selection, TaskState, Timestamp,
};

/// What a reconcile asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// One object.
    Get {
        /// Its name.
        object: ObjectRef,
        /// The mask.
        fields: Vec<String>,
    },
    /// Objects of a kind.
    Select(Selection),
    /// Digests of a Secret.
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Queries that ran at once.
    Query(Queries),
    /// The object's tasks.
    Tasks,
    /// The time.
    Now,
}

/// What it was told, by the kind of its question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Question::Get`].
    Get(Result<Option<Seen>, ReadError>),
    /// To [`Question::Select`].
    Select(Result<Listed, ReadError>),
    /// To [`Question::Secret`].
    Secret(Result<Option<Vec<SecretDigest>>, ReadError>),
    /// To [`Question::Query`].
    Query(Answers),
    /// To [`Question::Tasks`].
    Tasks(Vec<TaskState>),
    /// To [`Question::Now`].
    Now(Timestamp),
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Read {
    /// What was asked.
    pub question: Question,
    /// What came back.
    pub answer: Answer,
}

/// How a recorded reconcile ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Ending {
    /// With a plan.
    Plan(Plan),
    /// The reconciler could not decide.
    Failure(Failure),
    /// The call was ended by a limit or a trap.
    Ended(String),
}

/// One reconcile: everything that went in and came out. Holds no secret: values of Secrets never reach a gateway's caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// Who reconciled what.
    pub subject: Subject,
    /// Digest of the module that decided.
    pub module: String,
    /// What it was given.
    pub request: Request,
    /// What it read, in order.
    pub reads: Vec<Read>,
    /// What it decided.
    pub ending: Ending,
}

impl Journal {
    /// What was decided, if anything was.
    pub fn plan(&self) -> Option<&Plan> {
        match &self.ending {
            Ending::Plan(plan) => Some(plan),
            Ending::Failure(_) | Ending::Ended(_) => None,
        }
    }
}

/// A gateway that writes down what passes.
pub struct Recorder {
    inner: SharedGateway,
    reads: Mutex<Vec<Read>>,
}

impl Recorder {
    /// Records what goes to `inner`.
    pub fn new(inner: SharedGateway) -> Self {
        Self { inner, reads: Mutex::default() }
    }

    /// The reads so far; the record starts anew.
    pub fn take(&self) -> Vec<Read> {
        std::mem::take(&mut *self.reads.lock().expect("no holder of the lock can panic"))
    }

    fn note(&self, question: Question, answer: Answer) {
        self.reads.lock().expect("no holder of the lock can panic").push(Read { question, answer });
    }
}

/// Asks a question anew.
pub async fn ask(gateway: &dyn Gateway, subject: &Subject, question: &Question) -> Answer {
    match question {
        Question::Get { object, fields } => Answer::Get(gateway.get(subject, object, fields).await),
        Question::Select(selection) => Answer::Select(gateway.select(subject, selection).await),
        Question::Secret { namespace, name } => Answer::Secret(gateway.secret(subject, namespace, name).await),
        Question::Query(queries) => Answer::Query(gateway.query(subject, queries).await),
        Question::Tasks => Answer::Tasks(gateway.tasks(subject).await),
        Question::Now => Answer::Now(gateway.now()),
    }
}

#[async_trait]
impl Gateway for Recorder {
    async fn get(&self, subject: &Subject, object: &ObjectRef, fields: &[String]) -> Result<Option<Seen>, ReadError> {
        let answer = self.inner.get(subject, object, fields).await;
        self.note(Question::Get { object: object.clone(), fields: fields.to_vec() }, Answer::Get(answer.clone()));
        answer
    }

    async fn select(&self, subject: &Subject, selection: &Selection) -> Result<Listed, ReadError> {
        let answer = self.inner.select(subject, selection).await;
        self.note(Question::Select(selection.clone()), Answer::Select(answer.clone()));
        answer
    }

    async fn secret(&self, subject: &Subject, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        let answer = self.inner.secret(subject, namespace, name).await;
        self.note(Question::Secret { namespace: namespace.into(), name: name.into() }, Answer::Secret(answer.clone()));
        answer
    }

    async fn query(&self, subject: &Subject, queries: &Queries) -> Answers {
        let answers = self.inner.query(subject, queries).await;
        self.note(Question::Query(queries.clone()), Answer::Query(answers.clone()));
        answers
    }

    async fn tasks(&self, subject: &Subject) -> Vec<TaskState> {
        let tasks = self.inner.tasks(subject).await;
        self.note(Question::Tasks, Answer::Tasks(tasks.clone()));
        tasks
    }

    fn now(&self) -> Timestamp {
        let now = self.inner.now();
        self.note(Question::Now, Answer::Now(now));
        now
    }

    async fn apply(&self, subject: &Subject, effect: &Effect) -> Result<Applied, EffectFailure> {
        self.inner.apply(subject, effect).await
    }

    async fn event(&self, subject: &Subject, event: &Event) {
        self.inner.event(subject, event).await;
    }
}
