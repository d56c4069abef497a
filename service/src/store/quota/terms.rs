//! The terms of a usage row: the plan and the quota that an operator set, and whether the row is closed.
//!
//! Both are in the tenant's row as well. An execution environment reads them in the usage row with its next lease, whatever
//! the authorizer and its caches return. A row is closed when the tenant is being offboarded: no more units are spent from
//! it.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use super::rows::CLOSED;
use crate::domain::month::Month;
use crate::domain::tenant::{Tenant, TenantId};
use crate::store::expression::Condition;
use crate::store::item::{attribute, number};
use crate::store::keys;
use crate::store::table::ItemWrite;

pub(super) const PLAN: &str = "plan";
pub(super) const QUOTA: &str = "quota";

/// The time for which a usage row is retained after its month.
const RETENTION: Duration = Duration::from_hours(400 * 24);

/// Returns the writes that set the terms of a month, which need not have a row yet, and of the month after. By the end of
/// that month no cache has the old plan and quota any more.
pub(in crate::store) fn set(tenant: &Tenant, month: Month) -> [ItemWrite; 2] {
    [set_month(tenant, month), set_month(tenant, month.next())]
}

/// Returns the write that closes the row of a tenant's month, which need not exist yet.
pub(in crate::store) fn close(tenant: &TenantId, month: Month) -> ItemWrite {
    let update = format!("SET #{CLOSED} = :true, #{0} = :expiresAt", attribute::EXPIRES_AT);
    let values =
        Condition::default().value(":true", AttributeValue::Bool(true)).value(":expiresAt", number(expiry(month)));
    ItemWrite::update(keys::usage(tenant, month), update, values)
}

fn set_month(tenant: &Tenant, month: Month) -> ItemWrite {
    let Tenant { id, plan, quota, name: _, status: _, issuers: _, api_key: _ } = tenant;
    let mut values =
        Condition::default().value(":plan", AttributeValue::S(plan.clone())).value(":expiresAt", number(expiry(month)));
    let update = match quota {
        Some(quota) => {
            values = values.value(":quota", number(quota));
            format!("SET #{PLAN} = :plan, #{QUOTA} = :quota, #{0} = :expiresAt", attribute::EXPIRES_AT)
        }
        // An absent quota beside a plan means that the plan's quota applies.
        None => format!("SET #{PLAN} = :plan, #{0} = :expiresAt REMOVE #{QUOTA}", attribute::EXPIRES_AT),
    };
    ItemWrite::update(keys::usage(id, month), update, values)
}

/// Returns when the row of a month expires, in seconds since 1970.
pub(super) fn expiry(month: Month) -> i64 {
    let retention = i64::try_from(RETENTION.as_secs()).unwrap_or(i64::MAX);
    month.end().as_millis().div_euclid(1000).saturating_add(retention)
}
