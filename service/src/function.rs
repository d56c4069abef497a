//! Everything that a business function uses of this library.
//!
//! This module is the interface for functions that a team adds to Tenantry, in this repository or in one of its own. It has
//! re-exports only, and a change that concerns them is in `CHANGELOG.md`. The other modules serve the product's own
//! functions, and change without notice. `docs/guides/add-a-function.md` is the tutorial.
//!
//! | to | use |
//! |---|---|
//! | start a function | [`run_metered`], [`required`], [`optional`] |
//! | handle requests | [`Handler`], [`Inbound`], [`Query`], [`Reply`], [`StatusCode`], [`Problem`], [`Code`] |
//! | declare scopes | [`scopes!`](crate::scopes), [`Scope`], [`Access`], [`Caller`] |
//! | describe a kind of items | [`Kind`], [`Index`], [`Item`], the ids [`Number`], [`Generated`] and [`Chosen`] |
//! | validate bodies | [`Text`], [`Whole`], [`List`], [`Inbound::json`] |
//! | serve the items of a kind | [`Items`], [`Resource`] |
//! | write several items at once | [`IdempotentWrite`], [`Store::item_rounds`], [`Changes`], [`problem`] |
//! | call another system, or another service of AWS | [`connector`], [`Config`], [`credentials`] |
//!
//! # A kind and its handler
//!
//! A [`Kind`] is a type of values that a tenant stores. [`Items`] serves its items over HTTP, with scopes, pages, entity tags,
//! preconditions and idempotency keys, so that a handler contains the rules of the business only:
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use service::function::{
//!     Code, Generated, Handler, Inbound, Index, Items, Kind, Problem, Reply, Resource, Text, Timestamp,
//! };
//!
//! service::scopes! {
//!     Read = "tickets:read",
//!     Write = "tickets:write",
//! }
//!
//! const CLOSED: Code = Code::own("ticket_closed", 409, "Conflict");
//!
//! /// A ticket, as it is stored and shown.
//! #[derive(Debug, Clone, Serialize, Deserialize)]
//! #[serde(rename_all = "camelCase")]
//! struct Ticket {
//!     subject: Text<1, 200>,
//!     assignee: Option<Text<1, 100>>,
//!     #[serde(default)]
//!     closed_at: Option<Timestamp>,
//! }
//!
//! /// The part of a ticket that a client writes.
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Draft {
//!     subject: Text<1, 200>,
//!     #[serde(default)]
//!     assignee: Option<Text<1, 100>>,
//! }
//!
//! impl Kind for Ticket {
//!     const NAME: &'static str = "tickets";
//!     type Id = Generated;
//!     type Read = Read;
//!     type Write = Write;
//!     const INDEXES: &'static [Index<Self>] =
//!         &[Index { name: "assignee", key: |ticket| ticket.assignee.as_ref().map(|name| name.as_str().to_owned()) }];
//! }
//!
//! impl Resource for Ticket {
//!     const ABSENT: Code = Code::own("ticket_not_found", 404, "Not found");
//! }
//!
//! /// The function's state.
//! #[derive(Debug)]
//! struct Tickets(Items<Ticket>);
//!
//! impl Handler for Tickets {
//!     async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
//!         match request.route() {
//!             ("GET", "/tickets") => self.0.list(request).await,
//!             ("GET", "/tickets/{id}") => self.0.show(request).await,
//!             ("POST", "/tickets") => {
//!                 let Draft { subject, assignee } = request.json()?;
//!                 self.0.create(request, Ticket { subject, assignee, closed_at: None }).await
//!             }
//!             ("POST", "/tickets/{id}/close") => self.0.change(request, close).await,
//!             ("DELETE", "/tickets/{id}") => self.0.delete(request).await,
//!             _ => Err(request.unknown_route()),
//!         }
//!     }
//! }
//!
//! fn close(ticket: &mut Ticket, now: Timestamp) -> Result<(), Problem> {
//!     if ticket.closed_at.is_some() {
//!         return Err(Problem::new(CLOSED, "The ticket is closed already."));
//!     }
//!     ticket.closed_at = Some(now);
//!     Ok(())
//! }
//!
//! # if false {
//! service::function::run_metered(env!("CARGO_PKG_NAME"), |store| Tickets(Items::new(store)))?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! # Several items in one transaction
//!
//! [`Store::item_rounds`] writes items of any kinds together or not at all. Each round reads, decides and commits. If another
//! request changes one of the items in between, `commit` returns `None`, and the next round decides on the new state:
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use service::function::{
//!     Access, Applied, Code, Generated, Id, IdempotentWrite, Inbound, Item, ItemError, Kind, Number, Problem, Reply, ReplyTo,
//!     Resource, StatusCode, Store, Whole, problem,
//! };
//!
//! service::scopes! { Read = "invoices:read", Write = "invoices:write" }
//!
//! const OVERPAID: Code = Code::own("invoice_overpaid", 409, "Conflict");
//!
//! type Cents = Whole<1, 100_000_000>;
//!
//! #[derive(Debug, Clone, Serialize, Deserialize)]
//! struct Invoice {
//!     /// The amount that is not paid yet, in cents.
//!     open: i64,
//! }
//!
//! /// A payment, which reduces the open amount of its invoice.
//! #[derive(Debug, Clone, Serialize, Deserialize)]
//! struct Payment {
//!     invoice: Number,
//!     amount: Cents,
//! }
//!
//! impl Kind for Invoice {
//!     const NAME: &'static str = "invoices";
//!     type Id = Number;
//!     type Read = Read;
//!     type Write = Write;
//! }
//!
//! impl Kind for Payment {
//!     const NAME: &'static str = "payments";
//!     type Id = Generated;
//!     type Read = Read;
//!     type Write = Write;
//! }
//!
//! impl Resource for Invoice {
//!     const ABSENT: Code = Code::own("invoice_not_found", 404, "Not found");
//! }
//!
//! struct Payments(Store);
//!
//! impl Payments {
//!     /// `POST /invoices/{id}/payments`: pays a part of an invoice.
//!     async fn create(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
//!         request.query(&[])?;
//!         let number = Number::parse(&request.path_parameter("id")?)?;
//!         let Draft { amount } = request.json()?;
//!         IdempotentWrite::<Write>::new(&self.0, request, request.caller()?.access()?)?
//!             .run(|write| async move {
//!                 let reply = write.reply(|payment: &Item<Payment>| Reply::json(StatusCode::CREATED, payment));
//!                 let paid = async { self.pay(&write.access, number, amount, &reply).await.map_err(problem::<Invoice>) };
//!                 reply.after(paid).await
//!             })
//!             .await
//!     }
//!
//!     async fn pay(
//!         &self,
//!         access: &Access<Write>,
//!         number: Number,
//!         amount: Cents,
//!         reply: &dyn ReplyTo<Item<Payment>>,
//!     ) -> Result<Applied<Item<Payment>>, ItemError<Problem>> {
//!         let mut rounds = self.0.item_rounds();
//!         loop {
//!             let mut changes = rounds.begin();
//!             let invoice = changes.get::<Invoice>(access, &number).await?.ok_or(ItemError::NotFound)?;
//!             let open = invoice.value.open - amount.get();
//!             if open < 0 {
//!                 return Err(ItemError::Rejected(Problem::new(OVERPAID, "The amount is greater than the open one.")));
//!             }
//!             changes.replace(access, &invoice, Invoice { open })?;
//!             let payment = changes.create(access, Generated::generate(), Payment { invoice: number, amount })?;
//!             if let Some(applied) = rounds.commit(changes, access, payment, reply).await? {
//!                 return Ok(applied);
//!             }
//!         }
//!     }
//! }
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Draft {
//!     amount: Cents,
//! }
//! ```
//!
//! # A call to another system
//!
//! A request has 5 seconds ([`Handler::DEADLINE`]), so a call of another system has a timeout well below that, and a result
//! that may be some minutes old is cached. The secret reaches no log, because `Rates` does not implement `Debug`, and the
//! cause of a problem, which is for the log, names the system only:
//!
//! ```
//! use std::time::Duration;
//!
//! use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
//! use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
//! use http_body_util::{BodyExt, Limited};
//! use service::function::Problem;
//! use tokio::sync::Mutex;
//! use tokio::time::{Instant, timeout};
//!
//! const TIMEOUT: Duration = Duration::from_secs(2);
//! const FRESH: Duration = Duration::from_mins(10);
//! const MAX_BYTES: usize = 64 * 1024;
//!
//! /// The tax rates of another system.
//! struct Rates {
//!     connector: SharedHttpConnector,
//!     url: String,
//!     secret: String,
//!     cached: Mutex<Option<(Instant, String)>>,
//! }
//!
//! impl Rates {
//!     async fn current(&self) -> Result<String, Problem> {
//!         let mut cached = self.cached.lock().await;
//!         if let Some((at, rates)) = &*cached
//!             && at.elapsed() < FRESH
//!         {
//!             return Ok(rates.clone());
//!         }
//!         let fetched = timeout(TIMEOUT, self.fetch()).await;
//!         let rates = fetched
//!             .map_err(|_| Problem::unavailable("the tax rates did not arrive in time"))?
//!             .map_err(|error| Problem::unavailable(format!("the tax rates are unavailable: {error}")))?;
//!         *cached = Some((Instant::now(), rates.clone()));
//!         Ok(rates)
//!     }
//!
//!     async fn fetch(&self) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
//!         let mut request = HttpRequest::get(&self.url)?;
//!         request.headers_mut().insert("authorization", format!("Bearer {}", self.secret));
//!         let response = self.connector.call(request).await?;
//!         match response.status().as_u16() {
//!             200 => Ok(String::from_utf8(Limited::new(response.into_body(), MAX_BYTES).collect().await?.to_bytes().into())?),
//!             status => Err(format!("the status is {status}").into()),
//!         }
//!     }
//! }
//! ```

pub use http::{StatusCode, header};

pub use crate::domain::caller::{Access, Caller, Scope};
pub use crate::domain::idempotency::{Applied, ReplyTo};
pub use crate::domain::kind::{Chosen, Generated, Id, Index, InvalidId, Item, Kind, Number};
pub use crate::domain::limits::{List, Text, Whole};
pub use crate::domain::page::{Limit, Order, Page, PageRequest, Unreadable};
pub use crate::domain::precondition::Precondition;
pub use crate::domain::record::Version;
pub use crate::domain::time::{Expiry, Timestamp};
pub use crate::http::{
    Code, Exit, Handler, IdempotentWrite, Inbound, Items, Problem, Query, Reply, Resource, WriteReply, problem,
    run_metered,
};
pub use crate::runtime::aws::{connector, credentials};
pub use crate::runtime::config::{AwsConfig, Config, MissingVariable, optional, required};
pub use crate::store::items::{Changes, ItemError, MAX_VALUE_BYTES, Rounds};
pub use crate::store::{CommitError, Fault, ListError, Store};
