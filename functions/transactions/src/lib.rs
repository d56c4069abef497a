//! `/transactions`: operations on records that happen all together, or not at all.

mod operations;

use lambda_http::http::StatusCode;
use serde::Serialize;
use service::domain::caller::RecordsWrite;
use service::domain::record::{CollectionName, RecordId, Version};
use service::domain::transaction::Transaction;
use service::http::{Handler, IdempotentWrite, Inbound, Problem, Reply};
use service::store::Store;

/// The function's state.
#[derive(Debug)]
pub struct Transactions {
    store: Store,
}

/// The response: one entry for each operation, in the order of the request.
#[derive(Serialize)]
struct Done<'a> {
    operations: Vec<DoneOperation<'a>>,
}

/// The result of one operation. It leaves out the data, which the caller has sent.
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

    async fn create(&self, write: &IdempotentWrite<'_, RecordsWrite>) -> Result<Reply, Problem> {
        let IdempotentWrite { request, access, .. } = write;
        request.query(&[])?;
        let transaction = operations::read(write)?;
        let reply = write.reply(|versions: &Vec<_>| Reply::json(StatusCode::OK, &Done::of(&transaction, versions)));
        reply.after(self.store.transaction_commit(access, &transaction, &reply)).await
    }
}

impl Handler for Transactions {
    async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        let caller = request.caller()?;
        match request.route() {
            ("POST", "/transactions") => {
                let write = IdempotentWrite::new(&self.store, request, caller.access()?)?;
                write.run(|write| self.create(write)).await
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
