//! The world's imports: each read is counted and passed to the gateway, in the order in which the guest asks.
//! It knows nothing of how they are answered.

use super::call::Call;
use crate::{
    contract::{
        Object, ObjectRef, Page, Query, ReadError, Rows, SecretDigest, Selection, SqlError, TaskState, Timestamp, clock, cluster, log, sql,
        tasks, types,
    },
    gateway::{Listed, Seen},
};

impl types::Host for Call {}

impl cluster::Host for Call {
    async fn get(&mut self, object: ObjectRef, fields: Vec<String>) -> wasmtime::Result<Result<Option<Object>, ReadError>> {
        let (subject, gateway) = self.read(1)?;
        let answer = gateway.get(&subject, &object, &fields).await;
        self.answered();
        Ok(answer.map(|found| found.map(Seen::into_inner)))
    }

    async fn select(&mut self, selection: Selection) -> wasmtime::Result<Result<Page, ReadError>> {
        let (subject, gateway) = self.read(1)?;
        let answer = gateway.select(&subject, &selection).await;
        self.answered();
        Ok(answer.map(Listed::into_page))
    }

    async fn secret(&mut self, namespace: String, name: String) -> wasmtime::Result<Result<Option<Vec<SecretDigest>>, ReadError>> {
        let (subject, gateway) = self.read(1)?;
        let answer = gateway.secret(&subject, &namespace, &name).await;
        self.answered();
        Ok(answer)
    }
}

impl sql::Host for Call {
    async fn run(&mut self, queries: Vec<Query>) -> wasmtime::Result<Vec<Result<Vec<Rows>, SqlError>>> {
        // Each query is a read, and so is asking none: a call of an import must never be free.
        let (subject, gateway) = self.read(queries.len().max(1))?;
        let answers = gateway.query(&subject, &queries.into()).await;
        self.answered();
        Ok(answers.into_inner())
    }
}

impl tasks::Host for Call {
    async fn list(&mut self) -> wasmtime::Result<Vec<TaskState>> {
        let (subject, gateway) = self.read(1)?;
        let tasks = gateway.tasks(&subject).await;
        self.answered();
        Ok(tasks)
    }
}

impl clock::Host for Call {
    async fn now(&mut self) -> wasmtime::Result<Timestamp> {
        Ok(self.now()?)
    }
}

impl log::Host for Call {
    async fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.log.write(level, &message, &fields);
        Ok(())
    }
}
