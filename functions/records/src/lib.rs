//! `/collections`: records, and the collections they are in.

mod draft;

use lambda_http::http::StatusCode;
use service::domain::caller::{Access, RecordsRead, RecordsWrite};
use service::domain::record::{CollectionName, Record, RecordId, RecordKey};
use service::http::{Handler, IdempotentWrite, Inbound, Problem, Query, Reply};
use service::store::{Put, Store};

use draft::{Change, draft};

/// The function's state.
#[derive(Debug)]
pub struct Records {
    store: Store,
}

type Write<'a> = IdempotentWrite<'a, RecordsWrite>;

impl Records {
    /// A function on this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

impl Handler for Records {
    async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        let caller = request.caller()?;
        let write = || Write::new(&self.store, request, caller.access()?);
        match request.route() {
            ("GET", "/collections") => self.list_collections(request, caller.access()?).await,
            ("GET", "/collections/{collection}/records") => self.list(request, caller.access()?).await,
            ("POST", "/collections/{collection}/records") => write()?.run(|write| self.create(write)).await,
            ("GET", "/collections/{collection}/records/{id}") => self.get(request, caller.access()?).await,
            ("PUT", "/collections/{collection}/records/{id}") => write()?.run(|write| self.put(write)).await,
            ("PATCH", "/collections/{collection}/records/{id}") => write()?.run(|write| self.patch(write)).await,
            ("DELETE", "/collections/{collection}/records/{id}") => write()?.run(|write| self.delete(write)).await,
            _ => Err(request.unknown_route()),
        }
    }
}

impl Records {
    async fn list_collections(&self, request: &Inbound<'_>, access: Access<RecordsRead>) -> Result<Reply, Problem> {
        let query = request.query(Query::PAGE)?;
        let found = self.store.collection_list(&access, &query.page()?).await?;
        query.paged(&request.path(), &found)
    }

    async fn list(&self, request: &Inbound<'_>, access: Access<RecordsRead>) -> Result<Reply, Problem> {
        let collection = collection(request)?;
        let query = request.query(Query::PAGE)?;
        let found = self.store.record_list(&access, &collection, &query.page()?).await?;
        query.paged(&request.path(), &found)
    }

    async fn create(&self, write: &Write<'_>) -> Result<Reply, Problem> {
        let Write { request, access, .. } = write;
        let collection = collection(request)?;
        request.query(&[])?;
        let draft = draft(request)?;
        let key = RecordKey { collection, id: RecordId::generate() };
        let reply = write
            .reply(|record| changed(StatusCode::CREATED, record))
            .stored_without(|record: &Record| &record.data)
            .created_at(request.child(key.id.as_str()));
        reply.after(self.store.record_create(access, &key, draft, &reply)).await
    }

    async fn get(&self, request: &Inbound<'_>, access: Access<RecordsRead>) -> Result<Reply, Problem> {
        let key = key(request)?;
        let consistent = request.query(&["consistent"])?.consistent()?;
        let precondition = request.precondition()?;
        let record = self.store.record_get(&access, &key, consistent).await?;
        Reply::if_holds(&precondition, record.version, &record)
    }

    async fn put(&self, write: &Write<'_>) -> Result<Reply, Problem> {
        let Write { request, access, .. } = write;
        let key = key(request)?;
        request.query(&[])?;
        let precondition = request.precondition()?;
        let draft = draft(request)?;
        let reply = write
            .reply(|Put { record, created }| {
                if *created {
                    Ok(changed(StatusCode::CREATED, record)?.location(&request.path()))
                } else {
                    changed(StatusCode::OK, record)
                }
            })
            .stored_without(|put: &Put| &put.record.data);
        reply.after(self.store.record_put(access, &key, draft, &precondition, &reply)).await
    }

    async fn patch(&self, write: &Write<'_>) -> Result<Reply, Problem> {
        let Write { request, access, .. } = write;
        let key = key(request)?;
        request.query(&[])?;
        let precondition = request.precondition()?;
        let Change { data, expiry } = Change::of(request)?;
        let reply = write.reply(|record| changed(StatusCode::OK, record));
        reply.after(self.store.record_merge(access, &key, data, expiry, &precondition, &reply)).await
    }

    async fn delete(&self, write: &Write<'_>) -> Result<Reply, Problem> {
        let Write { request, access, .. } = write;
        let key = key(request)?;
        request.query(&[])?;
        let precondition = request.precondition()?;
        let reply = write.reply(|()| Ok(Reply::empty(StatusCode::NO_CONTENT)));
        reply.after(self.store.record_delete(access, &key, &precondition, &reply)).await
    }
}

/// The reply to a change of a record.
fn changed(status: StatusCode, record: &Record) -> Result<Reply, Problem> {
    Ok(Reply::json(status, record)?.etag(record.version))
}

fn collection(request: &Inbound<'_>) -> Result<CollectionName, Problem> {
    Ok(CollectionName::parse(&request.path_parameter("collection")?)?)
}

fn key(request: &Inbound<'_>) -> Result<RecordKey, Problem> {
    Ok(RecordKey { collection: collection(request)?, id: RecordId::parse(&request.path_parameter("id")?)? })
}
