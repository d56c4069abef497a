//! `/collections`: records, and the collections they are in.

mod draft;

use lambda_http::http::StatusCode;
use service::caller::{Access, RecordsRead, RecordsWrite};
use service::http::{Handler, Inbound, Problem, Query, Reply};
use service::record::{CollectionName, RecordId};
use service::store::Store;
use service::store::collections::KnownCollections;
use service::store::records::Put;

use draft::{Change, draft};

/// The function's state.
#[derive(Debug)]
pub struct Records {
    store: Store,
    known: KnownCollections,
}

impl Records {
    /// A function on this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, known: KnownCollections::default() }
    }
}

impl Handler for Records {
    async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        let caller = request.caller()?;
        match request.route() {
            ("GET", "/collections") => self.list_collections(request, caller.access()?).await,
            ("GET", "/collections/{collection}/records") => self.list(request, caller.access()?).await,
            ("POST", "/collections/{collection}/records") => self.create(request, caller.access()?).await,
            ("GET", "/collections/{collection}/records/{id}") => self.get(request, caller.access()?).await,
            ("PUT", "/collections/{collection}/records/{id}") => self.put(request, caller.access()?).await,
            ("PATCH", "/collections/{collection}/records/{id}") => self.patch(request, caller.access()?).await,
            ("DELETE", "/collections/{collection}/records/{id}") => self.delete(request, caller.access()?).await,
            _ => Err(request.unknown_route()),
        }
    }
}

impl Records {
    async fn list_collections(&self, request: &Inbound<'_>, access: Access<RecordsRead>) -> Result<Reply, Problem> {
        let query = request.query(Query::PAGE)?;
        let found = self.store.collections(&access, &query.page()?).await?;
        query.paged(request.path(), &found)
    }

    async fn list(&self, request: &Inbound<'_>, access: Access<RecordsRead>) -> Result<Reply, Problem> {
        let collection = collection(request)?;
        let query = request.query(Query::PAGE)?;
        let found = self.store.records(&access, &collection, &query.page()?).await?;
        query.paged(request.path(), &found)
    }

    async fn create(&self, request: &Inbound<'_>, access: Access<RecordsWrite>) -> Result<Reply, Problem> {
        let collection = collection(request)?;
        request.query(&[])?;
        let draft = draft(request)?;
        let id = RecordId::generate();
        let location = format!("{}/{}", request.path().trim_end_matches('/'), id.as_str());
        // Also with an error: it may have been written, and a retry there with `If-None-Match: *` writes it once.
        let record = self
            .store
            .create_record(&access, &self.known, &collection, &id, draft)
            .await
            .map_err(|error| Problem::from(error).with_location(&location))?;
        Ok(Reply::json(StatusCode::CREATED, &record)?.etag(record.version).location(&location))
    }

    async fn get(&self, request: &Inbound<'_>, access: Access<RecordsRead>) -> Result<Reply, Problem> {
        let (collection, id) = (collection(request)?, id(request)?);
        let consistent = request.query(&["consistent"])?.consistent()?;
        let precondition = request.precondition()?;
        let record = self.store.record(&access, &collection, &id, consistent).await?;
        let current = Some(record.version);
        if !precondition.matches(current) {
            Err(service::store::WriteError::PreconditionFailed.into())
        } else if precondition.none_match(current) {
            Ok(Reply::json(StatusCode::OK, &record)?.etag(record.version))
        } else {
            Ok(Reply::empty(StatusCode::NOT_MODIFIED).etag(record.version))
        }
    }

    async fn put(&self, request: &Inbound<'_>, access: Access<RecordsWrite>) -> Result<Reply, Problem> {
        let (collection, id) = (collection(request)?, id(request)?);
        request.query(&[])?;
        let precondition = request.precondition()?;
        let draft = draft(request)?;
        let Put { record, created } =
            self.store.put_record(&access, &self.known, &collection, &id, draft, &precondition).await?;
        if created {
            Ok(Reply::json(StatusCode::CREATED, &record)?.etag(record.version).location(request.path()))
        } else {
            Ok(Reply::json(StatusCode::OK, &record)?.etag(record.version))
        }
    }

    async fn patch(&self, request: &Inbound<'_>, access: Access<RecordsWrite>) -> Result<Reply, Problem> {
        let (collection, id) = (collection(request)?, id(request)?);
        request.query(&[])?;
        let precondition = request.precondition()?;
        let Change { data, expiry } = Change::of(request)?;
        let record = self.store.merge_record(&access, &collection, &id, data, expiry, &precondition).await?;
        Ok(Reply::json(StatusCode::OK, &record)?.etag(record.version))
    }

    async fn delete(&self, request: &Inbound<'_>, access: Access<RecordsWrite>) -> Result<Reply, Problem> {
        let (collection, id) = (collection(request)?, id(request)?);
        request.query(&[])?;
        let precondition = request.precondition()?;
        self.store.delete_record(&access, &collection, &id, &precondition).await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }
}

fn collection(request: &Inbound<'_>) -> Result<CollectionName, Problem> {
    Ok(CollectionName::parse(request.path_parameter("collection")?)?)
}

fn id(request: &Inbound<'_>) -> Result<RecordId, Problem> {
    Ok(RecordId::parse(request.path_parameter("id")?)?)
}
