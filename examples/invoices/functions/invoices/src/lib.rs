//! `/invoices`: invoices under a gapless number, which are sent once.

use serde::{Deserialize, Serialize};
use service::function::{
    Code, Handler, Inbound, Index, Items, Kind, List, Number, Problem, Reply, Resource, Store, Text, Timestamp, Whole,
};

service::scopes! {
    /// Reading invoices.
    Read = "invoices:read",
    /// Writing and sending invoices.
    Write = "invoices:write",
}

const NOT_FOUND: Code = Code::own("invoice_not_found", 404, "Not found");
const SENT: Code = Code::own("invoice_sent", 409, "Conflict");

/// An invoice, as it is stored and shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invoice {
    customer: Customer,
    lines: Lines,
    /// The sum of the lines, in cents.
    total: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent_at: Option<Timestamp>,
}

/// The part of an invoice that a client writes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    customer: Customer,
    lines: Lines,
}

type Customer = Text<1, 100>;
type Lines = List<Line, 1, 100>;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    text: Text<1, 200>,
    quantity: Whole<1, 10_000>,
    /// In cents.
    unit_price: Whole<0, 100_000_000>,
}

impl Kind for Invoice {
    const NAME: &'static str = "invoices";
    type Id = Number;
    type Read = Read;
    type Write = Write;
    const INDEXES: &'static [Index<Self>] =
        &[Index { name: "customer", key: |invoice| Some(invoice.customer.as_str().to_owned()) }];
}

impl Resource for Invoice {
    const ABSENT: Code = NOT_FOUND;
}

/// The function's state.
#[derive(Debug)]
pub struct Invoices(Items<Invoice>);

impl Invoices {
    /// A function on this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(Items::new(store))
    }
}

impl Handler for Invoices {
    async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        match request.route() {
            ("GET", "/invoices") => self.0.list(request).await,
            ("GET", "/invoices/{id}") => self.0.show(request).await,
            ("POST", "/invoices") => {
                let draft: Draft = request.json()?;
                self.0.append(request, |_, _| Invoice::of(draft.clone())).await
            }
            ("POST", "/invoices/{id}/send") => self.0.change(request, send).await,
            _ => Err(request.unknown_route()),
        }
    }
}

impl Invoice {
    fn of(Draft { customer, lines }: Draft) -> Self {
        // The limits of its parts keep the sum far below the greatest integer.
        let total = lines.iter().map(|line| line.quantity.get() * line.unit_price.get()).sum();
        Self { customer, lines, total, sent_at: None }
    }
}

fn send(invoice: &mut Invoice, now: Timestamp) -> Result<(), Problem> {
    if invoice.sent_at.is_some() {
        return Err(Problem::new(SENT, "The invoice was sent before, and is sent only once."));
    }
    invoice.sent_at = Some(now);
    Ok(())
}
