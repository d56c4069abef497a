//! The plan and the quota that an operator gives a tenant, beside the tenant's row: on the row of the month's usage, which
//! environments see with their next lease, whatever the authorizer and its caches tell them. There it also says that a
//! tenant is being offboarded, and spends no more units.

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

/// How long the row of a month is kept after the month.
const KEPT: Duration = Duration::from_hours(400 * 24);

/// Writes that make a tenant's plan and quota those of a month, which need not have a row yet, and of the one after: by its
/// end nobody knows the old ones any more.
pub(in crate::store) fn setting_terms(tenant: &Tenant, month: Month) -> [ItemWrite; 2] {
    [setting_terms_of(tenant, month), setting_terms_of(tenant, month.next())]
}

/// A write by which no more units of a tenant's month are spent. The month need not have a row yet.
pub(in crate::store) fn closing(tenant: &TenantId, month: Month) -> ItemWrite {
    let update = format!("SET #{CLOSED} = :true, #{0} = :expiresAt", attribute::EXPIRES_AT);
    let values =
        Condition::default().value(":true", AttributeValue::Bool(true)).value(":expiresAt", number(expiry(month)));
    ItemWrite::update(keys::usage(tenant, month), update, values)
}

fn setting_terms_of(tenant: &Tenant, month: Month) -> ItemWrite {
    let Tenant { id, plan, quota, name: _, status: _, issuers: _, api_key: _ } = tenant;
    let mut values =
        Condition::default().value(":plan", AttributeValue::S(plan.clone())).value(":expiresAt", number(expiry(month)));
    let update = match quota {
        Some(quota) => {
            values = values.value(":quota", number(quota));
            format!("SET #{PLAN} = :plan, #{QUOTA} = :quota, #{0} = :expiresAt", attribute::EXPIRES_AT)
        }
        // A quota that is absent beside a plan is the plan's.
        None => format!("SET #{PLAN} = :plan, #{0} = :expiresAt REMOVE #{QUOTA}", attribute::EXPIRES_AT),
    };
    ItemWrite::update(keys::usage(id, month), update, values)
}

/// When the row of a month goes, in seconds since 1970.
pub(super) fn expiry(month: Month) -> i64 {
    let kept = i64::try_from(KEPT.as_secs()).unwrap_or(i64::MAX);
    month.end().as_millis().div_euclid(1000).saturating_add(kept)
}
