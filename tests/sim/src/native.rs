//! Reconcilers as ordinary functions in the place of components.
//!
//! A reconciler asks and waits, while whoever answers does so in virtual time. As it is a pure function of its request and of the answers, it
//! need not be suspended: where an answer takes time it is left, and called again with all answers so far once there is one more.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::FutureExt;
use host::{
    contract,
    controller::{Decide, Reconcile},
    gateway::{Answer, Question, SharedGateway, Subject, ask},
    runtime::CallError,
};
use sdk::{
    Failure, Level, Object, ObjectRef, Page, Plan, Query, ReadError, Request, Rows, SecretDigest, Selection, SqlError, TaskState,
    Timestamp, World,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::gateway::Sim;

/// A reconciler's function.
pub(crate) type Function = fn(&dyn World, &Request) -> Result<Plan, Failure>;

/// A reconciler, natively, in a simulated world.
pub(crate) struct Native {
    pub(crate) function: Function,
    pub(crate) sim: Arc<Sim>,
    /// As which of the instances that the slot has had it decides.
    pub(crate) digest: String,
}

/// A question whose answer takes time.
struct Asks(Question);

/// The same record on the other side of the boundary.
pub(crate) fn cross<A: Serialize, B: DeserializeOwned>(value: &A) -> B {
    let bytes = postcard::to_stdvec(value).expect("records of the contract serialise");
    postcard::from_bytes(&bytes).expect("both sides of the contract have the same fields in the same order")
}

/// Whoever decides in a slot, until another one is promoted. A round goes on with the one it began with.
pub(crate) struct Seat(Mutex<Arc<dyn Decide>>);

impl Seat {
    pub(crate) fn new(first: Arc<dyn Decide>) -> Self {
        Self(Mutex::new(first))
    }

    pub(crate) fn promote(&self, next: Arc<dyn Decide>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

impl Reconcile for Seat {
    fn active(&self) -> Option<Arc<dyn Decide>> {
        Some(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

#[async_trait]
impl Decide for Native {
    fn digest(&self) -> &str {
        &self.digest
    }

    async fn decide(
        &self,
        subject: &Subject,
        gateway: SharedGateway,
        request: &contract::Request,
    ) -> Result<Result<contract::Plan, contract::Failure>, CallError> {
        self.sim.at_now().on_round(&subject.object, &self.digest);
        let request: Request = cross(request);
        let mut answers = Vec::new();
        loop {
            let question = match attempt(self.function, &request, subject, &gateway, &mut answers) {
                Ok(decided) => return Ok(cross(&decided)),
                Err(payload) => match payload.downcast::<Asks>() {
                    Ok(asks) => asks.0,
                    Err(panic) => {
                        let text = panic.downcast_ref::<String>().cloned();
                        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                        return Err(CallError::Panic { message: text.unwrap_or_else(|| "a panic".into()), frames: Vec::new() });
                    }
                },
            };
            let answer = ask(&*gateway, subject, &question).await;
            answers.push(answer);
        }
    }
}

fn attempt(
    function: Function,
    request: &Request,
    subject: &Subject,
    gateway: &SharedGateway,
    answers: &mut Vec<Answer>,
) -> std::thread::Result<Result<Plan, Failure>> {
    let past = Past { subject, gateway, state: RefCell::new(State { answers, next: 0, now: None }) };
    // Nothing of `past` but the answers outlives the call, and those are whole at each question.
    catch_unwind(AssertUnwindSafe(|| function(&past, request)))
}

struct State<'a> {
    answers: &'a mut Vec<Answer>,
    next: usize,
    now: Option<Timestamp>,
}

/// A world that answers from the past as far as that goes.
struct Past<'a> {
    subject: &'a Subject,
    gateway: &'a SharedGateway,
    state: RefCell<State<'a>>,
}

impl Past<'_> {
    fn ask(&self, question: Question) -> Answer {
        let mut state = self.state.borrow_mut();
        let at = state.next;
        state.next += 1;
        if at == state.answers.len() {
            if matches!(question, Question::Query(_)) {
                drop(state);
                resume_unwind(Box::new(Asks(question)));
            }
            let answer = ask(&**self.gateway, self.subject, &question).now_or_never().expect("only databases take time");
            state.answers.push(answer);
        }
        state.answers[at].clone()
    }
}

const MISMATCH: &str = "an answer is of the kind of its question";

impl World for Past<'_> {
    fn get(&self, object: &ObjectRef, fields: &[&str]) -> Result<Option<Object>, ReadError> {
        let fields = fields.iter().map(ToString::to_string).collect();
        let Answer::Get(answer) = self.ask(Question::Get { object: cross(object), fields }) else { unreachable!("{MISMATCH}") };
        cross(&answer)
    }

    fn select(&self, selection: &Selection) -> Result<Page, ReadError> {
        let Answer::Select(answer) = self.ask(Question::Select(cross(selection))) else { unreachable!("{MISMATCH}") };
        cross(&answer)
    }

    fn secret(&self, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        let question = Question::Secret { namespace: namespace.into(), name: name.into() };
        let Answer::Secret(answer) = self.ask(question) else { unreachable!("{MISMATCH}") };
        cross(&answer)
    }

    fn query(&self, queries: &[Query]) -> Vec<Result<Vec<Rows>, SqlError>> {
        let Answer::Query(answer) = self.ask(Question::Query(cross(&queries))) else { unreachable!("{MISMATCH}") };
        cross(&answer)
    }

    fn tasks(&self) -> Vec<TaskState> {
        let Answer::Tasks(answer) = self.ask(Question::Tasks) else { unreachable!("{MISMATCH}") };
        cross(&answer)
    }

    fn now(&self) -> Timestamp {
        let known = self.state.borrow().now;
        if let Some(now) = known {
            return now;
        }
        let Answer::Now(now) = self.ask(Question::Now) else { unreachable!("{MISMATCH}") };
        self.state.borrow_mut().now = Some(now);
        now
    }

    fn log(&self, _: Level, _: &str, _: &[(&str, String)]) {}
}
