//! The world before the present one, beside it: components that were built for it run on, and neither they nor the rest of the host notice.
//!
//! Its records are the present ones or a part of them, since cases and optional fields are only added. So they are
//! translated by name, through their common serialised form, each time that one crosses the boundary. It is the old world that pays for that.

use serde::{Serialize, de::DeserializeOwned};
use wasmtime::{
    Store,
    component::{HasSelf, Linker},
};

use super::{call::Call, world::World};
use crate::contract;

#[allow(missing_docs, clippy::all, unreachable_pub, reason = "generated; the docs stand in the WIT file")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit/blessed/0.1.0/reconciler.wit",
        world: "reconciler",
        imports: { default: async | trappable },
        exports: { default: async },
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

pub(super) use bindings::{Reconciler, ReconcilerPre};

use bindings::controller::reconciler::{
    clock, cluster, log, sql,
    types::{self, Object, ObjectRef, Page, Query, ReadError, Rows, SecretDigest, Selection, SqlError, Timestamp},
};

/// What this room serves.
pub(super) const WORLD: World = World { version: "0.1.0", interfaces: &["types", "cluster", "sql", "clock", "log"] };

/// Serves the imports of the world.
pub(super) fn add_to_linker(linker: &mut Linker<Call>) -> wasmtime::Result<()> {
    Reconciler::add_to_linker::<_, HasSelf<Call>>(linker, |call| call)
}

/// Asks what it is.
pub(super) async fn describe(guest: &Reconciler, store: &mut Store<Call>) -> wasmtime::Result<contract::Description> {
    present(&guest.call_describe(store).await?)
}

/// Asks what is to be done.
pub(super) async fn reconcile(
    guest: &Reconciler,
    store: &mut Store<Call>,
    request: &contract::Request,
) -> wasmtime::Result<Result<contract::Plan, contract::Failure>> {
    let request = present(request)?;
    present(&guest.call_reconcile(store, &request).await?)
}

/// The same in the other world.
fn present<A: Serialize, B: DeserializeOwned>(value: &A) -> wasmtime::Result<B> {
    let translated = serde_json::to_value(value).and_then(serde_json::from_value);
    translated.map_err(|e| wasmtime::Error::msg(format!("what crosses between the worlds cannot be translated: {e}")))
}

impl types::Host for Call {}

impl cluster::Host for Call {
    async fn get(&mut self, object: ObjectRef, fields: Vec<String>) -> wasmtime::Result<Result<Option<Object>, ReadError>> {
        present(&contract::cluster::Host::get(self, present(&object)?, fields).await?)
    }

    async fn select(&mut self, selection: Selection) -> wasmtime::Result<Result<Page, ReadError>> {
        present(&contract::cluster::Host::select(self, present(&selection)?).await?)
    }

    async fn secret(&mut self, namespace: String, name: String) -> wasmtime::Result<Result<Option<Vec<SecretDigest>>, ReadError>> {
        present(&contract::cluster::Host::secret(self, namespace, name).await?)
    }
}

impl sql::Host for Call {
    async fn run(&mut self, queries: Vec<Query>) -> wasmtime::Result<Vec<Result<Vec<Rows>, SqlError>>> {
        present(&contract::sql::Host::run(self, present(&queries)?).await?)
    }
}

impl clock::Host for Call {
    async fn now(&mut self) -> wasmtime::Result<Timestamp> {
        contract::clock::Host::now(self).await
    }
}

impl log::Host for Call {
    async fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        contract::log::Host::write(self, present(&level)?, message, fields).await
    }
}
