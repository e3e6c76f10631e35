//! The component's imports as a [`World`].
//!
//! Natively the generated imports are stubs that panic: tests use `testkit` instead.

use crate::{
    Level, Object, ObjectRef, Page, Query, ReadError, Rows, SecretDigest, Selection, SqlError, TaskState, Timestamp, World,
    bindings::controller::reconciler::{clock, cluster, log, sql, tasks},
};

/// The world as the host shows it.
#[derive(Debug, Clone, Copy)]
pub struct Imports;

impl World for Imports {
    fn get(&self, object: &ObjectRef, fields: &[&str]) -> Result<Option<Object>, ReadError> {
        let fields: Vec<String> = fields.iter().map(ToString::to_string).collect();
        cluster::get(object, &fields)
    }

    fn select(&self, selection: &Selection) -> Result<Page, ReadError> {
        cluster::select(selection)
    }

    fn secret(&self, namespace: &str, name: &str) -> Result<Option<Vec<SecretDigest>>, ReadError> {
        cluster::secret(namespace, name)
    }

    fn query(&self, queries: &[Query]) -> Vec<Result<Vec<Rows>, SqlError>> {
        sql::run(queries)
    }

    fn tasks(&self) -> Vec<TaskState> {
        tasks::list()
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn log(&self, level: Level, message: &str, fields: &[(&str, String)]) {
        let fields: Vec<(String, String)> = fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        log::write(level, message, &fields);
    }
}

/// Nothing else shows the text of a panic: the trap itself only says that the component reached an unreachable instruction.
#[cfg(target_arch = "wasm32")]
pub fn set_panic_hook() {
    std::panic::set_hook(Box::new(|panic| log::write(log::Level::Error, &panic.to_string(), &[])));
}
