//! `/usage` and `/admin/usage`: the usage of tenants by month, for themselves and, with its cost, for operators.

mod cost;
mod money;
mod prices;
mod start;
mod table;
mod view;

use lambda_http::http::StatusCode;
use lambda_http::http::header::{CONTENT_TYPE, VARY};
use service::domain::caller::UsageRead;
use service::domain::month::Month;
use service::domain::page::{Page, Unreadable};
use service::domain::quota::{Quotas, Row};
use service::domain::tenant::Status;
use service::domain::tenant::lifecycle::ManagedTenant;
use service::domain::time::Timestamp;
use service::http::{Handler, Inbound, Problem, Query, Reply};
use service::store::{Store, TenantFilter};

pub use prices::{InvalidPrices, Prices};
pub use start::run;

use view::{OfTenant, Own};

const JSON: &str = "application/json";
const CSV: &str = "text/csv";
/// Marks a file as UTF-8 for spreadsheets. It is sent only on request, because a CSV reader that does not support it
/// takes it for a part of the first column's name.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The function's state.
#[derive(Debug)]
pub struct Usage {
    store: Store,
    quotas: Quotas,
    prices: Prices,
}

impl Usage {
    /// Creates the function for this store, with the quotas of the plans, and the prices.
    #[must_use]
    pub fn new(store: Store, quotas: Quotas, prices: Prices) -> Self {
        Self { store, quotas, prices }
    }
}

impl Handler for Usage {
    async fn handle(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        match request.route() {
            ("GET", "/usage") => self.own(request).await,
            ("GET", "/admin/usage") => self.all(request).await,
            _ => Err(request.unknown_route()),
        }
    }
}

impl Usage {
    async fn own(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        let caller = request.caller()?;
        let month = period(&request.query(&["period"])?)?;
        let row = self.store.usage_get(&caller.access::<UsageRead>()?, month).await?;
        let limit = self.quotas.limit(&row.terms, caller.plan(), caller.quota()).ok();
        let plan = row.terms.plan.as_deref().unwrap_or(caller.plan());
        Reply::json(StatusCode::OK, &Own::of(month, plan, limit, &row))
    }

    async fn all(&self, request: &Inbound<'_>) -> Result<Reply, Problem> {
        let operator = request.operator()?;
        let query = request.query(&["period", "limit", "order", "cursor", "bom"])?;
        let (month, page, bom) = (period(&query)?, query.page()?, query.flag("bom")?);
        let media_type = request.preferred(&[JSON, CSV])?;
        let found = self.store.tenant_list(&operator, &page, &TenantFilter::default()).await?;
        let mut used = self.store.usage_get_many(&operator, found.items.iter().map(ManagedTenant::id), month).await?;
        let Page { items, mut unreadable, next } = found;
        let mut shown = Vec::with_capacity(items.len());
        for ManagedTenant { tenant, .. } in &items {
            let row = match used.remove(&tenant.id) {
                Some(Some(row)) => row,
                Some(None) => {
                    unreadable.push(Unreadable { id: tenant.id.to_string(), version: None });
                    continue;
                }
                None => Row::default(),
            };
            // The tenant was offboarded before the month. Its offboarding may have created a row for the month
            // nevertheless.
            if tenant.status == Status::Offboarded && row.usage.is_empty() {
                continue;
            }
            let limit = self.quotas.limit(&row.terms, &tenant.plan, tenant.quota).ok();
            shown.push(OfTenant::of(tenant, month, limit, &row, &self.prices));
        }
        let found = Page { items: shown, unreadable, next };
        let reply = if media_type == CSV {
            let table = table::csv(&found)?;
            let reply = Reply::text(StatusCode::OK, if bom { format!("{BYTE_ORDER_MARK}{table}") } else { table });
            // RFC 4180, section 3.
            let reply = reply.header(CONTENT_TYPE, "text/csv; charset=utf-8; header=present");
            query.link(reply, &request.path(), found.next.as_deref())
        } else {
            query.paged(&request.path(), &found)?
        };
        Ok(reply.header(VARY, "Accept"))
    }
}

/// The month of the `period` parameter, which must have begun, or else the current month.
fn period(query: &Query) -> Result<Month, Problem> {
    let invalid = |detail: &str| Problem::invalid_parameter(detail);
    let this = Month::of(Timestamp::now());
    let Some(text) = query.get("period") else { return Ok(this) };
    let month = Month::parse(text).map_err(|_| invalid("`period` must be a month, such as 2026-11."))?;
    if month > this { Err(invalid("`period` must be this month or an earlier one.")) } else { Ok(month) }
}
