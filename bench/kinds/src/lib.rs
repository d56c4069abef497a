//! `/notes`: a business function as a team would add it, whose items are as large as the records of the fixtures.

use serde::{Deserialize, Serialize};
use service::function::{Code, Generated, Handler, Inbound, Items, Kind, Problem, Reply, Resource, Store, Text};

service::scopes! {
    /// Reading notes.
    Read = "notes:read",
    /// Writing notes.
    Write = "notes:write",
}

/// A note, whose members are those of the data in `events/records-create.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    title: Text<1, 100>,
    price: f64,
}

impl Kind for Note {
    const NAME: &'static str = "notes";
    type Id = Generated;
    type Read = Read;
    type Write = Write;
}

impl Resource for Note {
    const ABSENT: Code = Code::own("note_not_found", 404, "Not found");
}

/// The function's state.
#[derive(Debug)]
pub struct Notes(Items<Note>);

impl Notes {
    /// A function on this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(Items::new(store))
    }
}

impl Handler for Notes {
    async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        match request.route() {
            ("POST", "/notes") => self.0.create(request, request.json()?).await,
            ("GET", "/notes/{id}") => self.0.show(request).await,
            _ => Err(request.unknown_route()),
        }
    }
}
