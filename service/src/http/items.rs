//! The operations on the items of a kind, as HTTP: scope, body, paging, preconditions and idempotency keys.
//!
//! `docs/guides/add-a-function.md` is the tutorial.

use std::marker::PhantomData;

use futures_util::TryFutureExt;
use http::StatusCode;

use super::{Code, IdempotentWrite, Inbound, Problem, Query, Reply};
use crate::domain::kind::{Generated, Id, Index, Item, Kind, Number};
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::items::{ItemError, MAX_VALUE_BYTES};

/// A kind with the problem of an item that does not exist.
pub trait Resource: Kind {
    /// The code of the problem of an item that does not exist.
    const ABSENT: Code;
}

/// The operations on the items of a kind. The path parameter of an item's id is `{id}`.
#[derive(Debug)]
pub struct Items<K> {
    store: Store,
    kind: PhantomData<fn() -> K>,
}

type Write<'a, K> = IdempotentWrite<'a, <K as Kind>::Write>;

impl<K: Resource> Items<K> {
    /// The items of the kind in a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, kind: PhantomData }
    }

    /// `GET /items`: lists the items by id, or those with a key in an index, which is a query parameter with the name of the
    /// index.
    pub async fn list(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        let access = request.caller()?.access()?;
        let names = K::INDEXES.iter().map(|index| index.name);
        let query = request.query(&Query::PAGE.iter().copied().chain(names).collect::<Vec<_>>())?;
        let page = query.page()?;
        let mut keys = K::INDEXES.iter().filter_map(|index: &Index<K>| Some((index, query.get(index.name)?)));
        let found = match (keys.next(), keys.next()) {
            (None, _) => self.store.item_list::<K>(&access, &page).await?,
            (Some((index, key)), None) => self.store.item_list_by(&access, index, key, &page).await?,
            (Some((one, _)), Some((other, _))) => {
                let (one, other) = (one.name, other.name);
                return Err(Problem::invalid_parameter(format!("Send either `{one}` or `{other}`, not both.")));
            }
        };
        query.paged(&request.path(), &found)
    }

    /// `GET /items/{id}`: reads an item, if the precondition holds.
    pub async fn show(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        let access = request.caller()?.access()?;
        let id = id::<K>(request)?;
        let consistent = request.query(&["consistent"])?.consistent()?;
        let precondition = request.precondition()?;
        let item = self.store.item_get::<K>(&access, &id, consistent).await?.ok_or_else(absent::<K>)?;
        Reply::if_holds(&precondition, item.version, &item)
    }

    /// `POST /items`: creates an item under an id that the service generates.
    pub async fn create(&self, request: &Inbound<'_>, value: K) -> Result<Reply, Problem>
    where
        K: Kind<Id = Generated>,
    {
        self.begin(request)?
            .run(|write| async move {
                let id = Generated::generate();
                let reply = write.reply(created::<K>).created_at(request.child(&id.to_string()));
                let created = self.store.item_create(&write.access, id, &value, &reply).map_err(problem::<K>);
                reply.after(created).await
            })
            .await
    }

    /// `POST /items`: creates an item under the next number. `value` has no effects of its own, because it may be called
    /// again with another number.
    pub async fn append(
        &self,
        request: &Inbound<'_>,
        value: impl Fn(Number, Timestamp) -> K + Sync,
    ) -> Result<Reply, Problem>
    where
        K: Kind<Id = Number>,
    {
        self.begin(request)?
            .run(|write| async move {
                let reply =
                    write.reply(|item: &Item<K>| Ok(created(item)?.location(&request.child(&item.id.to_string()))));
                let created = self.store.item_append(&write.access, &value, &reply).map_err(problem::<K>);
                reply.after(created).await
            })
            .await
    }

    /// `PUT /items/{id}`: creates or replaces an item, if the precondition holds.
    pub async fn put(&self, request: &Inbound<'_>, value: K) -> Result<Reply, Problem> {
        self.begin(request)?
            .run(|write| async move {
                let id = id::<K>(request)?;
                let precondition = request.precondition()?;
                let reply =
                    write.reply(
                        |(item, is_new): &(Item<K>, bool)| {
                            if *is_new { Ok(created(item)?.location(&request.path())) } else { changed(item) }
                        },
                    );
                let put = self.store.item_put(&write.access, &id, &value, &precondition, &reply).map_err(problem::<K>);
                reply.after(put).await
            })
            .await
    }

    /// Changes an item by a function that decides on its current value, if the precondition holds: `PATCH /items/{id}`, or
    /// `POST` to an action of the item. `decide` has no effects of its own, because it may be called again with a newer value.
    pub async fn change(
        &self,
        request: &Inbound<'_>,
        decide: impl Fn(&mut K, Timestamp) -> Result<(), Problem> + Sync,
    ) -> Result<Reply, Problem> {
        self.begin(request)?
            .run(|write| async move {
                let id = id::<K>(request)?;
                let precondition = request.precondition()?;
                let reply = write.reply(changed::<K>);
                let change =
                    self.store.item_change(&write.access, &id, &precondition, &decide, &reply).map_err(problem::<K>);
                reply.after(change).await
            })
            .await
    }

    /// `DELETE /items/{id}`: deletes an item, if the precondition holds.
    pub async fn delete(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        self.begin(request)?
            .run(|write| async move {
                let id = id::<K>(request)?;
                let precondition = request.precondition()?;
                let reply = write.reply(|()| Ok(Reply::empty(StatusCode::NO_CONTENT)));
                let delete =
                    self.store.item_delete::<K, _>(&write.access, &id, &precondition, &reply).map_err(problem::<K>);
                reply.after(delete).await
            })
            .await
    }

    fn begin<'a>(&'a self, request: &'a Inbound<'a>) -> Result<Write<'a, K>, Problem> {
        let write = Write::<K>::new(&self.store, request, request.caller()?.access()?)?;
        request.query(&[])?;
        Ok(write)
    }
}

fn id<K: Resource>(request: &Inbound<'_>) -> Result<K::Id, Problem> {
    Ok(K::Id::parse(&request.path_parameter("id")?)?)
}

fn created<K: Kind>(item: &Item<K>) -> Result<Reply, Problem> {
    Ok(Reply::json(StatusCode::CREATED, item)?.etag(item.version))
}

fn changed<K: Kind>(item: &Item<K>) -> Result<Reply, Problem> {
    Ok(Reply::json(StatusCode::OK, item)?.etag(item.version))
}

fn absent<K: Resource>() -> Problem {
    Problem::new(K::ABSENT, "There is nothing with this id.")
}

/// The problem of an error, where items of one kind are written.
#[must_use]
pub fn problem<K: Resource>(error: ItemError<Problem>) -> Problem {
    match error {
        ItemError::NotFound => absent::<K>(),
        ItemError::Exists => Problem::new(Code::ID_TAKEN, "This id is in use. Choose another one."),
        ItemError::PreconditionFailed => Problem::precondition_failed(),
        ItemError::Rejected(problem) => problem,
        ItemError::TooLarge(bytes) => {
            let detail = format!("It would have {bytes} bytes as JSON; the limit is {MAX_VALUE_BYTES} bytes.");
            Problem::new(Code::DATA_TOO_LARGE, detail)
        }
        ItemError::KeyTooLong(index) => {
            Problem::invalid_body(format!("The value by which the index `{index}` lists the item is too long."))
        }
        ItemError::Commit(error) => error.into(),
    }
}
