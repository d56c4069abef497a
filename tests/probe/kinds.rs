//! A business function with kinds of its own, to probe the base for business functions: numbered tickets, labels with ids
//! that a client chooses, and notes with generated ids.

use serde::{Deserialize, Serialize};
use service::domain::kind::{Chosen, Generated, Id as _, Index, Item, Kind, Number};
use service::domain::limits::{Text, Whole};
use service::domain::time::{Expiry, Timestamp};
use service::http::{Code, Exit, Handler, IdempotentWrite, Inbound, Items, Problem, Reply, Resource, problem, serve};
use service::runtime::{self, Started};
use service::store::Store;
use service::store::items::ItemError;

service::scopes! {
    /// Reading everything.
    Read = "probe:read",
    /// Writing everything.
    Write = "probe:write",
}

const NOT_FOUND: Code = Code::own("probe_not_found", 404, "Not found");
const CLOSED: Code = Code::own("probe_closed", 409, "Conflict");
const TOO_LIGHT: Code = Code::own("probe_too_light", 409, "Conflict");

/// A ticket, of which each has the number after the last one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ticket {
    owner: Text<1, 20>,
    #[serde(default)]
    closed: bool,
}

impl Kind for Ticket {
    const NAME: &'static str = "tickets";
    type Id = Number;
    type Read = Read;
    type Write = Write;
    const INDEXES: &'static [Index<Self>] =
        &[Index { name: "owner", key: |ticket| Some(ticket.owner.as_str().to_owned()) }];
}

impl Resource for Ticket {
    const ABSENT: Code = NOT_FOUND;
}

/// A label. Those that are grey are in no index.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Label {
    color: Text<1, 2000>,
    weight: Whole<0, 1_000_000>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<Expiry>,
}

impl Kind for Label {
    const NAME: &'static str = "labels";
    type Id = Chosen;
    type Read = Read;
    type Write = Write;
    const INDEXES: &'static [Index<Self>] =
        &[Index { name: "color", key: |label| Some(label.color.as_str().to_owned()).filter(|color| color != "grey") }];

    fn expires_at(&self) -> Option<Expiry> {
        self.ends_at
    }
}

impl Resource for Label {
    const ABSENT: Code = NOT_FOUND;
}

/// A note, whose first form had its text in `body`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    text: String,
}

impl Kind for Note {
    const NAME: &'static str = "notes";
    type Id = Generated;
    type Read = Read;
    type Write = Write;
    const SCHEMA: u32 = 2;

    fn upgrade(_: u32, stored: serde_json::Value) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct First {
            body: String,
        }
        serde_json::from_value(stored).map(|First { body }| Self { text: body })
    }
}

impl Resource for Note {
    const ABSENT: Code = NOT_FOUND;
}

struct Probe {
    store: Store,
    tickets: Items<Ticket>,
    labels: Items<Label>,
    notes: Items<Note>,
}

impl Handler for Probe {
    async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        match request.route() {
            ("POST", "/tickets") => {
                let ticket: Ticket = request.json()?;
                self.tickets.append(request, |_, _| ticket.clone()).await
            }
            ("GET", "/tickets") => self.tickets.list(request).await,
            ("GET", "/tickets/{id}") => self.tickets.show(request).await,
            ("PATCH", "/tickets/{id}") => {
                let Ticket { owner, .. } = request.json()?;
                let reassign = |ticket: &mut Ticket, _| {
                    ticket.owner = owner.clone();
                    Ok(())
                };
                self.tickets.change(request, reassign).await
            }
            ("POST", "/tickets/{id}/close") => self.tickets.change(request, close).await,
            ("DELETE", "/tickets/{id}") => self.tickets.delete(request).await,
            ("GET", "/labels") => self.labels.list(request).await,
            ("GET", "/labels/{id}") => self.labels.show(request).await,
            ("PUT", "/labels/{id}") => self.labels.put(request, request.json()?).await,
            ("DELETE", "/labels/{id}") => self.labels.delete(request).await,
            ("POST", "/labels/{id}/grow") => self.labels.change(request, grow).await,
            ("POST", "/labels/{id}/move") => self.move_weight(request).await,
            ("POST", "/notes") => self.notes.create(request, request.json()?).await,
            ("GET", "/notes/{id}") => self.notes.show(request).await,
            _ => Err(request.unknown_route()),
        }
    }
}

impl Probe {
    /// Moves weight from one label to another, and opens a ticket about it: three items of two kinds in one transaction.
    async fn move_weight(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        #[derive(Deserialize)]
        struct Move {
            to: String,
            weight: Whole<1, 1000>,
        }
        let Move { to, weight } = request.json()?;
        let parse = |text: &str| Chosen::from_sort_key(text).ok_or_else(|| Problem::invalid_parameter("no id"));
        let (from, to) = (parse(&request.path_parameter("id")?)?, parse(&to)?);
        let write = IdempotentWrite::<Write>::new(&self.store, request, request.caller()?.access()?)?;
        let (store, access) = (&self.store, &write.access);
        write
            .run(|write| async move {
                let reply = write.reply(|ticket: &Item<Ticket>| Reply::json(http::StatusCode::OK, ticket));
                let moved = async {
                    let mut rounds = store.item_rounds();
                    loop {
                        let mut changes = rounds.begin();
                        let light = changes.get::<Label>(access, &from).await?.ok_or(ItemError::NotFound)?;
                        let heavy = changes.get::<Label>(access, &to).await?.ok_or(ItemError::NotFound)?;
                        let with = |label: &Item<Label>, change: i64| {
                            let weight = Whole::new(label.value.weight.get() + change)?;
                            Some(Label { weight, ..label.value.clone() })
                        };
                        let (Some(less), Some(more)) = (with(&light, -weight.get()), with(&heavy, weight.get())) else {
                            let problem = Problem::new(TOO_LIGHT, "The label has less weight.");
                            return Err(ItemError::Rejected(problem));
                        };
                        let owner = Text::new(from.to_string()).ok_or(ItemError::NotFound)?;
                        changes.replace(access, &light, less)?;
                        changes.replace(access, &heavy, more)?;
                        let ticket = changes.append(access, |_| Ticket { owner, closed: false }).await?;
                        if let Some(applied) = rounds.commit(changes, access, ticket, &reply).await? {
                            return Ok(applied);
                        }
                    }
                };
                reply.after(async { moved.await.map_err(problem::<Label>) }).await
            })
            .await
    }
}

fn grow(label: &mut Label, _: Timestamp) -> Result<(), Problem> {
    let weight = Whole::new(label.weight.get() + 1);
    label.weight = weight.ok_or_else(|| Problem::new(TOO_LIGHT, "The label has no room for more weight."))?;
    Ok(())
}

fn close(ticket: &mut Ticket, _: Timestamp) -> Result<(), Problem> {
    if ticket.closed {
        return Err(Problem::new(CLOSED, "The ticket was closed before."));
    }
    ticket.closed = true;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Exit {
    let Started { config, dynamodb, .. } = runtime::start("probe-kinds")?;
    let store = Store::new(dynamodb, config.table);
    let (tickets, labels, notes) = (Items::new(store.clone()), Items::new(store.clone()), Items::new(store.clone()));
    serve(Probe { store, tickets, labels, notes }, None).await
}
