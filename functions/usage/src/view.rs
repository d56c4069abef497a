//! The JSON of a month's usage.

use serde::Serialize;
use service::domain::month::Month;
use service::domain::quota::Row;
use service::domain::tenant::Tenant;
use service::domain::usage::Usage;

use crate::cost::Cost;
use crate::prices::Prices;

/// The counted usage, and the remaining quota.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counted {
    /// The quota of the month, or `None` if the plan no longer exists.
    pub(crate) limit: Option<u64>,
    pub(crate) remaining: Option<u64>,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) read_units: f64,
    pub(crate) write_units: f64,
    pub(crate) lambda_gb_seconds: f64,
}

impl Counted {
    fn of(limit: Option<u64>, row: &Row) -> Self {
        let Row { leased, usage, updates: _, terms: _, closed: _, marks: _ } = row;
        let Usage { requests, errors, bytes_in, bytes_out, units, memory_ms } = *usage;
        Self {
            limit,
            remaining: limit.map(|limit| limit.saturating_sub(*leased)),
            requests,
            errors,
            bytes_in,
            bytes_out,
            read_units: units.read,
            write_units: units.write,
            lambda_gb_seconds: gb_seconds(memory_ms),
        }
    }
}

/// Converts to GB-seconds, rounded to the nearest millionth.
#[expect(clippy::cast_precision_loss, reason = "the figure is for display; the cost is computed from integers")]
fn gb_seconds(memory_ms: u64) -> f64 {
    (memory_ms as f64 / 1.024).round() / 1_000_000.0
}

/// The month of the caller's tenant.
#[derive(Debug, Serialize)]
pub(crate) struct Own<'a> {
    period: Month,
    plan: &'a str,
    #[serde(flatten)]
    counted: Counted,
}

impl<'a> Own<'a> {
    pub(crate) fn of(period: Month, plan: &'a str, limit: Option<u64>, row: &Row) -> Self {
        Self { period, plan, counted: Counted::of(limit, row) }
    }
}

/// The month of a tenant, for operators.
#[derive(Debug, Serialize)]
pub(crate) struct OfTenant<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) name: &'a str,
    pub(crate) status: &'a str,
    pub(crate) plan: String,
    pub(crate) period: Month,
    #[serde(flatten)]
    pub(crate) counted: Counted,
    /// The writes of metering itself, with one write unit each.
    pub(crate) updates: u64,
    pub(crate) cost: Cost,
}

impl<'a> OfTenant<'a> {
    pub(crate) fn of(tenant: &'a Tenant, period: Month, limit: Option<u64>, row: &Row, prices: &Prices) -> Self {
        Self {
            tenant: tenant.id.as_str(),
            name: &tenant.name,
            status: tenant.status.as_ref(),
            plan: row.terms.plan.clone().unwrap_or_else(|| tenant.plan.clone()),
            period,
            counted: Counted::of(limit, row),
            updates: row.updates,
            cost: Cost::of(row, prices),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gb_seconds_have_no_rounding_errors() {
        for (memory_ms, shown) in
            [(0, "0.0"), (256, "0.00025"), (1_024_000, "1.0"), (307_200_000, "300.0"), (1, "1e-6")]
        {
            assert_eq!(serde_json::to_string(&gb_seconds(memory_ms)).unwrap(), shown);
        }
    }

    #[test]
    fn the_remaining_quota_is_never_negative() {
        let row = Row { leased: 11, ..Row::default() };
        let remaining = |limit| Counted::of(limit, &row).remaining;
        assert_eq!([remaining(Some(12)), remaining(Some(10)), remaining(None)], [Some(1), Some(0), None]);
    }
}
