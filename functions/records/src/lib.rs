//! `/collections`: records, and the collections they are in.

mod draft;

use lambda_http::http::StatusCode;
use service::domain::caller::{Access, RecordsRead, RecordsWrite};
use service::domain::idempotency::{Keep, Once};
use service::domain::record::{CollectionName, Record, RecordId, RecordKey};
use service::http::{Handler, Inbound, Problem, Query, Reply, answer, first_answer};
use service::store::Store;
use service::store::records::Put;

use draft::{Change, draft};

/// The function's state.
#[derive(Debug)]
pub struct Records {
    store: Store,
}

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
        match request.route() {
            ("GET", "/collections") => self.list_collections(request, caller.access()?).await,
            ("GET", "/collections/{collection}/records") => self.list(request, caller.access()?).await,
            ("GET", "/collections/{collection}/records/{id}") => self.get(request, caller.access()?).await,
            ("POST", "/collections/{collection}/records")
            | ("PUT" | "PATCH" | "DELETE", "/collections/{collection}/records/{id}") => {
                self.write(request, &caller.access()?).await
            }
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

    /// Any write, once if it has an idempotency key.
    async fn write(&self, request: &Inbound<'_>, access: &Access<RecordsWrite>) -> Result<Reply, Problem> {
        let once = request.once()?;
        let once = once.as_ref();
        // On the heap: four ways to call the SDK make a large future.
        let work = Box::pin(async {
            match request.route().0 {
                "POST" => self.create(request, access, once).await,
                "PUT" => self.put(request, access, once).await,
                "PATCH" => self.patch(request, access, once).await,
                _ => self.delete(request, access, once).await,
            }
        });
        first_answer(&self.store, access, request, once, work).await
    }

    async fn create(
        &self,
        request: &Inbound<'_>,
        access: &Access<RecordsWrite>,
        once: Option<&Once>,
    ) -> Result<Reply, Problem> {
        let collection = collection(request)?;
        request.query(&[])?;
        let draft = draft(request)?;
        let key = RecordKey { collection, id: RecordId::generate() };
        let location = format!("{}/{}", request.path(), key.id.as_str());
        let created = |record: &Record| Ok(changed(StatusCode::CREATED, record)?.location(&location));
        let kept = |record: &Record| created(record).ok()?.keep_around(&record.data);
        let keep = once.map(|once| Keep { once, answer: &kept });
        // Also with an error: it may have been written, and a retry there with `If-None-Match: *` writes it once.
        let written = self
            .store
            .record_create(access, &key, draft, keep.as_ref())
            .await
            .map_err(|error| Problem::from(error).with_location(&location))?;
        answer(request, once, written, created)
    }

    async fn get(&self, request: &Inbound<'_>, access: Access<RecordsRead>) -> Result<Reply, Problem> {
        let key = key(request)?;
        let consistent = request.query(&["consistent"])?.consistent()?;
        let precondition = request.precondition()?;
        let record = self.store.record_get(&access, &key, consistent).await?;
        let current = Some(record.version);
        if !precondition.matches(current) {
            Err(service::store::WriteError::PreconditionFailed.into())
        } else if precondition.none_match(current) {
            Ok(Reply::json(StatusCode::OK, &record)?.etag(record.version))
        } else {
            Ok(Reply::empty(StatusCode::NOT_MODIFIED).etag(record.version))
        }
    }

    async fn put(
        &self,
        request: &Inbound<'_>,
        access: &Access<RecordsWrite>,
        once: Option<&Once>,
    ) -> Result<Reply, Problem> {
        let key = key(request)?;
        request.query(&[])?;
        let precondition = request.precondition()?;
        let draft = draft(request)?;
        let put = |Put { record, created }: &Put| {
            if *created {
                Ok(changed(StatusCode::CREATED, record)?.location(&request.path()))
            } else {
                changed(StatusCode::OK, record)
            }
        };
        let kept = |end: &Put| put(end).ok()?.keep_around(&end.record.data);
        let keep = once.map(|once| Keep { once, answer: &kept });
        let written = self.store.record_put(access, &key, draft, &precondition, keep.as_ref()).await?;
        answer(request, once, written, put)
    }

    async fn patch(
        &self,
        request: &Inbound<'_>,
        access: &Access<RecordsWrite>,
        once: Option<&Once>,
    ) -> Result<Reply, Problem> {
        let key = key(request)?;
        request.query(&[])?;
        let precondition = request.precondition()?;
        let Change { data, expiry } = Change::of(request)?;
        let patched = |record: &Record| changed(StatusCode::OK, record);
        let kept = |record: &Record| patched(record).ok()?.keep();
        let keep = once.map(|once| Keep { once, answer: &kept });
        let written = self.store.record_merge(access, &key, data, expiry, &precondition, keep.as_ref()).await?;
        answer(request, once, written, patched)
    }

    async fn delete(
        &self,
        request: &Inbound<'_>,
        access: &Access<RecordsWrite>,
        once: Option<&Once>,
    ) -> Result<Reply, Problem> {
        let key = key(request)?;
        request.query(&[])?;
        let precondition = request.precondition()?;
        let deleted = || Reply::empty(StatusCode::NO_CONTENT);
        let kept = |(): &()| deleted().keep();
        let keep = once.map(|once| Keep { once, answer: &kept });
        let written = self.store.record_delete(access, &key, &precondition, keep.as_ref()).await?;
        answer(request, once, written, |()| Ok(deleted()))
    }
}

/// A record as it is after a change.
fn changed(status: StatusCode, record: &Record) -> Result<Reply, Problem> {
    Ok(Reply::json(status, record)?.etag(record.version))
}

fn collection(request: &Inbound<'_>) -> Result<CollectionName, Problem> {
    Ok(CollectionName::parse(&request.path_parameter("collection")?)?)
}

fn key(request: &Inbound<'_>) -> Result<RecordKey, Problem> {
    Ok(RecordKey { collection: collection(request)?, id: RecordId::parse(&request.path_parameter("id")?)? })
}
