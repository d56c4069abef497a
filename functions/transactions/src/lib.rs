//! `/transactions`: operations on records that happen all together, or not at all.

mod operations;

use lambda_http::http::StatusCode;
use serde::Serialize;
use service::domain::caller::{Access, RecordsWrite};
use service::domain::idempotency::{Keep, Once};
use service::domain::record::{CollectionName, RecordId, Version};
use service::domain::transaction::Transaction;
use service::http::{Handler, Inbound, Problem, Reply, answer, first_answer};
use service::store::Store;

/// The function's state.
#[derive(Debug)]
pub struct Transactions {
    store: Store,
}

/// What was done.
#[derive(Serialize)]
struct Done<'a> {
    operations: Vec<DoneOperation<'a>>,
}

/// What one operation did. The data is what the caller sent, so it is not sent back.
#[derive(Serialize)]
struct DoneOperation<'a> {
    op: &'static str,
    collection: &'a CollectionName,
    id: &'a RecordId,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
}

impl Transactions {
    /// A function on this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    async fn create(
        &self,
        request: &Inbound<'_>,
        access: &Access<RecordsWrite>,
        once: Option<&Once>,
    ) -> Result<Reply, Problem> {
        request.query(&[])?;
        let transaction = operations::read(request, once)?;
        let done = |versions: &Vec<_>| Reply::json(StatusCode::OK, &Done::of(&transaction, versions));
        let kept = |versions: &Vec<_>| done(versions).ok()?.keep();
        let keep = once.map(|once| Keep { once, answer: &kept });
        let written = self.store.transaction_commit(access, &transaction, keep.as_ref()).await?;
        answer(request, once, written, done)
    }
}

impl Handler for Transactions {
    async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        let caller = request.caller()?;
        match request.route() {
            ("POST", "/transactions") => {
                let (access, once) = (caller.access()?, request.once()?);
                let work = self.create(request, &access, once.as_ref());
                first_answer(&self.store, &access, request, once.as_ref(), work).await
            }
            _ => Err(request.unknown_route()),
        }
    }
}

impl<'a> Done<'a> {
    fn of(transaction: &'a Transaction<'_>, versions: &[Option<Version>]) -> Self {
        let operations = transaction.operations().iter().zip(versions).map(|(operation, version)| DoneOperation {
            op: operations::name(&operation.action),
            collection: &operation.collection,
            id: &operation.id,
            version: *version,
        });
        Self { operations: operations.collect() }
    }
}
