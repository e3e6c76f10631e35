//! Reconcilers as ordinary functions in the place of components.
//!
//! A reconciler asks and waits, while whoever answers does so in virtual time. It runs on a stack of its own, and is left there while it waits
//! for a database: all else is answered at once.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use corosensei::{Coroutine, CoroutineResult, Yielder, stack::DefaultStack};
use futures::FutureExt;
use host::{
    contract,
    controller::{Decide, Reconcile},
    gateway::{Answers, Listed, Queries, SharedGateway, Subject},
    runtime::CallError,
};
use sdk::{
    Application, Argument, Credentials, Effect, Endpoint, Failure, Header, Kind, Level, Object, ObjectRef, Operator, Page, Plan, Query,
    ReadError, Request, Requirement, Rows, SecretDigest, Selection, SqlError, Statement, TaskState, Timestamp, Tls, Value, World,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::moment::Sim;

/// A reconciler's function.
pub(crate) type Function = fn(&dyn World, &Request) -> Result<Plan, Failure>;

/// A reconciler, natively, in a simulated world.
pub(crate) struct Native {
    pub(crate) function: Function,
    pub(crate) sim: Arc<Sim>,
    /// As which of the instances that the slot has had it decides.
    pub(crate) digest: String,
}

/// The same record on the other side of the boundary.
pub(crate) fn cross<A: Serialize, B: DeserializeOwned>(value: &A) -> B {
    let bytes = postcard::to_stdvec(value).expect("records of the contract serialise");
    postcard::from_bytes(&bytes).expect("both sides of the contract have the same fields in the same order")
}

/// A plan on its way to the host. Bodies are long, and not copied.
fn carried(plan: Plan) -> contract::Plan {
    let effect = |effect: Effect| match effect {
        Effect::Apply(Application { object, uid, body }) => {
            contract::Effect::Apply(contract::Application { object: named(object), uid, body })
        }
        Effect::Status(status) => contract::Effect::Status(status),
        other => cross(&other),
    };
    contract::Plan { effects: plan.effects.into_iter().map(effect).collect(), events: cross(&plan.events), next: cross(&plan.next) }
}

fn named(ObjectRef { api_version, kind, namespace, name }: ObjectRef) -> contract::ObjectRef {
    contract::ObjectRef { api_version, kind, namespace, name }
}

/// An object on its way to a reconciler. There are many, so they are not written out for it as all else is.
fn shown(contract::Object { header, body }: contract::Object) -> Object {
    let contract::Header { api_version, kind, namespace, name, uid, resource_version, generation, deleting, labels } = header;
    Object { header: Header { api_version, kind, namespace, name, uid, resource_version, generation, deleting, labels }, body }
}

/// A query on its way to the host.
fn asked(query: &Query) -> contract::Query {
    let Query { endpoint, database, statements, deadline, max_rows } = query;
    let Endpoint { host, port, credentials, tls } = endpoint.clone();
    let Credentials { namespace, secret, user_key, password_key } = credentials;
    let credentials = contract::Credentials { namespace, secret, user_key, password_key };
    let tls = tls.map(|Tls { secret, key, plaintext }| contract::Tls { secret, key, plaintext });
    let argument = |argument: &Argument| match argument {
        Argument::Identifier(name) => contract::Argument::Identifier(name.clone()),
        Argument::Value(Value::Text(text)) => contract::Argument::Value(contract::Value::Text(text.clone())),
        Argument::Value(Value::Signed(number)) => contract::Argument::Value(contract::Value::Signed(*number)),
        other => cross(other),
    };
    let statement = |Statement { text, arguments }: &Statement| contract::Statement {
        text: text.clone(),
        arguments: arguments.iter().map(argument).collect(),
    };
    contract::Query {
        endpoint: contract::Endpoint { host, port, credentials, tls },
        database: database.clone(),
        statements: statements.iter().map(statement).collect(),
        deadline: *deadline,
        max_rows: *max_rows,
    }
}

/// A selection on its way to the host.
fn selected(selection: &Selection) -> contract::Selection {
    let Selection { kind: Kind { api_version, kind }, namespace, labels, fields, limit, page } = selection.clone();
    let operator = |operator| match operator {
        Operator::In => contract::Operator::In,
        Operator::NotIn => contract::Operator::NotIn,
        Operator::Exists => contract::Operator::Exists,
        Operator::DoesNotExist => contract::Operator::DoesNotExist,
    };
    let requirement = |Requirement { key, operator: by, values }| contract::Requirement { key, operator: operator(by), values };
    let labels = labels.into_iter().map(requirement).collect();
    contract::Selection { kind: contract::Kind { api_version, kind }, namespace, labels, fields, limit, page }
}

/// Rows on their way to a reconciler.
fn told(contract::Rows { columns, rows }: &contract::Rows) -> Rows {
    let value = |value: &contract::Value| match value {
        contract::Value::Null => Value::Null,
        contract::Value::Boolean(value) => Value::Boolean(*value),
        contract::Value::Signed(value) => Value::Signed(*value),
        contract::Value::Unsigned(value) => Value::Unsigned(*value),
        contract::Value::Double(value) => Value::Double(*value),
        contract::Value::Text(value) => Value::Text(value.clone()),
        other => cross(other),
    };
    Rows { columns: columns.clone(), rows: rows.iter().map(|row| row.iter().map(value).collect()).collect() }
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
        let contract::Request { object, settings, last } = request;
        let request = Request { object: shown(object.clone()), settings: settings.clone(), last: cross(last) };
        let mut call = Call::begin(self.function, request, subject.clone(), gateway.clone());
        let mut answers = Answers::from(Vec::new());
        loop {
            match call.go_on(answers) {
                Ok(CoroutineResult::Yield(queries)) => answers = gateway.query(subject, &queries).await,
                Ok(CoroutineResult::Return(decided)) => return Ok(decided.map(carried).map_err(|failure| cross(&failure))),
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().cloned();
                    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                    return Err(CallError::Panic { message: text.unwrap_or_else(|| "a panic".into()), frames: Vec::new() });
                }
            }
        }
    }
}

type Decided = Result<Plan, Failure>;
type Stack = Coroutine<Answers, Queries, Decided>;

/// Bytes of a call's stack.
const STACK: usize = 1 << 20;

#[derive(Default)]
struct Calls {
    begun: u64,
    waiting: HashMap<u64, Stack>,
    free: Vec<DefaultStack>,
}

thread_local! {
    /// A run stays on its thread, and so do its calls: a stack cannot go to another one, which a future may.
    static CALLS: RefCell<Calls> = RefCell::default();
}

/// A call of a reconciler's function. It ends with its value.
struct Call(u64);

impl Call {
    fn begin(function: Function, request: Request, subject: Subject, gateway: SharedGateway) -> Self {
        let run = move |yielder: &Yielder<Answers, Queries>, _: Answers| {
            function(&Inside { subject, gateway, yielder, now: Cell::new(None) }, &request)
        };
        CALLS.with_borrow_mut(|calls| {
            let stack = calls.free.pop().unwrap_or_else(|| DefaultStack::new(STACK).expect("there is room for a stack"));
            calls.begun += 1;
            calls.waiting.insert(calls.begun, Coroutine::with_stack(stack, run));
            Self(calls.begun)
        })
    }

    /// Goes on with answers to what was asked last, to the next question or to the end.
    fn go_on(&mut self, answers: Answers) -> std::thread::Result<CoroutineResult<Queries, Decided>> {
        let mut stack = CALLS.with_borrow_mut(|calls| calls.waiting.remove(&self.0)).expect("a call that has not ended waits");
        // Of a call that has panicked nothing is left.
        let result = catch_unwind(AssertUnwindSafe(|| stack.resume(answers)))?;
        CALLS.with_borrow_mut(|calls| match &result {
            CoroutineResult::Yield(_) => drop(calls.waiting.insert(self.0, stack)),
            CoroutineResult::Return(_) => calls.free.push(stack.into_stack()),
        });
        Ok(result)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        drop(CALLS.with_borrow_mut(|calls| calls.waiting.remove(&self.0)));
    }
}

/// The world from inside of a call.
struct Inside<'a> {
    subject: Subject,
    gateway: SharedGateway,
    yielder: &'a Yielder<Answers, Queries>,
    now: Cell<Option<Timestamp>>,
}

const AT_ONCE: &str = "only databases take time";

impl World for Inside<'_> {
    fn get(&self, object: &ObjectRef, fields: &[&str]) -> Result<Option<Object>, ReadError> {
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        let answer = self.gateway.get(&self.subject, &named(object.clone()), &fields).now_or_never().expect(AT_ONCE);
        answer.map(|found| found.map(|seen| shown(seen.into_inner()))).map_err(|error| cross(&error))
    }

    fn select(&self, selection: &Selection) -> Result<Page, ReadError> {
        let answer = self.gateway.select(&self.subject, &selected(selection)).now_or_never().expect(AT_ONCE);
        let page = |Listed { objects, next }| Page { objects: objects.into_iter().map(|seen| shown(seen.into_inner())).collect(), next };
        answer.map(page).map_err(|error| cross(&error))
    }

    fn secret(&self, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        let answer = self.gateway.secret(&self.subject, namespace, name).now_or_never().expect(AT_ONCE);
        let digest = |contract::SecretDigest { key, digest }| SecretDigest { key, digest };
        answer.map(|keys| keys.map(|keys| keys.into_iter().map(digest).collect())).map_err(|error| cross(&error))
    }

    fn query(&self, queries: &[Query]) -> Vec<Result<Vec<Rows>, SqlError>> {
        let answers = self.yielder.suspend(queries.iter().map(asked).collect::<Vec<_>>().into());
        let answer = |answer: &Result<Vec<contract::Rows>, contract::SqlError>| match answer {
            Ok(rows) => Ok(rows.iter().map(told).collect()),
            Err(error) => Err(cross(error)),
        };
        answers.iter().map(answer).collect()
    }

    fn tasks(&self) -> Vec<TaskState> {
        cross(&self.gateway.tasks(&self.subject).now_or_never().expect(AT_ONCE))
    }

    fn now(&self) -> Timestamp {
        let now = self.now.get().unwrap_or_else(|| self.gateway.now());
        self.now.set(Some(now));
        now
    }

    fn log(&self, _: Level, _: &str, _: &[(&str, String)]) {}
}
