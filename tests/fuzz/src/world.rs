//! A world that answers as a fixture does, and where that has no answer, or now and then in its place, anything.

use std::cell::RefCell;

use arbtest::arbitrary::{Result as Random, Unstructured};
use sdk::{
    Level, Object, ObjectRef, Page, Query, ReadError, Rows, SecretDigest, Selection, SqlError, SqlErrorKind, Statement, TaskState,
    Timestamp, Value, World, testkit::Fixture,
};

use crate::text;

/// How often an answer is another than the fixture's.
const OTHER: (u32, u32) = (1, 6);

/// The world.
pub struct Anything<'a, 'u> {
    fixture: &'a Fixture,
    random: RefCell<&'a mut Unstructured<'u>>,
}

impl<'a, 'u> Anything<'a, 'u> {
    /// A fixture's, with these random bytes. Without any left it answers with nothing and nulls.
    pub fn new(fixture: &'a Fixture, random: &'a mut Unstructured<'u>) -> Self {
        Self { fixture, random: RefCell::new(random) }
    }

    fn another(&self) -> bool {
        self.random.borrow_mut().ratio(OTHER.0, OTHER.1).unwrap_or(false)
    }

    fn statement(&self, host: &str, statement: &Statement) -> Result<Rows, SqlError> {
        let fits = |answer: &&sdk::testkit::SqlAnswer| answer.statement.as_ref().is_none_or(|text| *text == statement.text);
        let mut known = self.fixture.sql.iter().filter(fits);
        let answer = known.clone().find(|answer| answer.host == host).or_else(|| known.next());
        match answer.filter(|answer| answer.error.is_none() && !self.another()) {
            Some(answer) => answer.answer(),
            None => anything(&mut self.random.borrow_mut()).unwrap_or_else(|_| Ok(Rows { columns: Vec::new(), rows: Vec::new() })),
        }
    }
}

fn anything(u: &mut Unstructured<'_>) -> Random<Result<Rows, SqlError>> {
    if u.ratio(1, 4)? {
        let kinds =
            [SqlErrorKind::Unreachable, SqlErrorKind::AccessDenied, SqlErrorKind::Timeout, SqlErrorKind::Server, SqlErrorKind::Lost];
        return Ok(Err(SqlError { kind: *u.choose(&kinds)?, code: u.arbitrary()?, state: "HY000".to_owned(), message: text(u)? }));
    }
    let width = u.int_in_range(0..=4)?;
    let rows = (0..u.int_in_range(0..=3)?).map(|_| (0..width).map(|_| cell(u)).collect()).collect::<Random<Vec<Vec<Value>>>>()?;
    Ok(Ok(Rows { columns: (0..width).map(|i| format!("c{i}")).collect(), rows }))
}

fn cell(u: &mut Unstructured<'_>) -> Random<Value> {
    Ok(match u.int_in_range(0..=6)? {
        0 => Value::Null,
        1 => Value::Signed(u.arbitrary()?),
        2 => Value::Unsigned(u.arbitrary()?),
        3 => Value::Double(u.arbitrary()?),
        4 => Value::Bytes(u.arbitrary()?),
        5 => Value::Text(
            (*u.choose(&["primary", "standby", "detected_broken_config", "2026-01-01 00:00:00.5", "1", "GRANT ALL"])?).to_owned(),
        ),
        _ => Value::Text(text(u)?),
    })
}

impl World for Anything<'_, '_> {
    fn get(&self, object: &ObjectRef, fields: &[&str]) -> Result<Option<Object>, ReadError> {
        if self.another() { Ok(None) } else { self.fixture.get(object, fields) }
    }

    fn select(&self, selection: &Selection) -> Result<Page, ReadError> {
        self.fixture.select(selection)
    }

    fn secret(&self, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        if self.another() { Ok(None) } else { self.fixture.secret(namespace, name) }
    }

    fn query(&self, queries: &[Query]) -> Vec<Result<Vec<Rows>, SqlError>> {
        let ask = |query: &Query| query.statements.iter().map(|statement| self.statement(&query.endpoint.host, statement)).collect();
        queries.iter().map(ask).collect()
    }

    fn tasks(&self) -> Vec<TaskState> {
        self.fixture.tasks()
    }

    fn now(&self) -> Timestamp {
        self.fixture.now()
    }

    fn log(&self, _: Level, _: &str, _: &[(&str, String)]) {}
}
