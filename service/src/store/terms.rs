//! The plan and the quota that an operator gives a tenant, beside the tenant's row: on the row of the month's usage, which
//! environments see with their next lease, whatever the authorizer and its caches tell them. There it also says that a
//! tenant is being offboarded, and spends no more units.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};

use super::expression::names;
use super::item::{Item, attribute, number};
use super::usage::CLOSED;
use super::{Fault, Store, keys};
use crate::domain::month::Month;
use crate::domain::tenant::{Tenant, TenantId};

pub(super) const PLAN: &str = "plan";
pub(super) const QUOTA: &str = "quota";

/// How long the row of a month is kept after the month.
const KEPT: Duration = Duration::from_hours(400 * 24);

impl Store {
    /// Writes that make a tenant's plan and quota those of a month, which need not have a row yet, and of the one after:
    /// by its end nobody knows the old ones any more.
    pub(super) fn setting_terms(&self, tenant: &Tenant, month: Month) -> Result<[TransactWriteItem; 2], Fault> {
        Ok([self.setting_terms_of(tenant, month)?, self.setting_terms_of(tenant, month.next())?])
    }

    /// A write by which no more units of a tenant's month are spent. The month need not have a row yet.
    pub(super) fn closing(&self, tenant: &TenantId, month: Month) -> Result<TransactWriteItem, Fault> {
        let update = format!("SET #{CLOSED} = :true, #{0} = :expiresAt", attribute::EXPIRES_AT);
        let values = Item::from([
            (":true".to_owned(), AttributeValue::Bool(true)),
            (":expiresAt".to_owned(), number(expiry(month))),
        ]);
        self.updating_usage(tenant, month, update, values)
    }

    fn setting_terms_of(&self, tenant: &Tenant, month: Month) -> Result<TransactWriteItem, Fault> {
        let Tenant { id, plan, quota, name: _, status: _, issuers: _, api_key: _ } = tenant;
        let mut values = Item::from([
            (":plan".to_owned(), AttributeValue::S(plan.clone())),
            (":expiresAt".to_owned(), number(expiry(month))),
        ]);
        let update = match quota {
            Some(quota) => {
                values.insert(":quota".to_owned(), number(quota));
                format!("SET #{PLAN} = :plan, #{QUOTA} = :quota, #{0} = :expiresAt", attribute::EXPIRES_AT)
            }
            // A quota that is absent beside a plan is the plan's.
            None => format!("SET #{PLAN} = :plan, #{0} = :expiresAt REMOVE #{QUOTA}", attribute::EXPIRES_AT),
        };
        self.updating_usage(id, month, update, values)
    }

    fn updating_usage(
        &self,
        tenant: &TenantId,
        month: Month,
        update: String,
        values: Item,
    ) -> Result<TransactWriteItem, Fault> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(keys::usage(tenant, month).into_map()))
            .set_expression_attribute_names(Some(names(&[&update])))
            .set_expression_attribute_values(Some(values))
            .update_expression(update)
            .build()
            .map_err(Fault::unbuilt)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

/// When the row of a month goes, in seconds since 1970.
pub(super) fn expiry(month: Month) -> i64 {
    let kept = i64::try_from(KEPT.as_secs()).unwrap_or(i64::MAX);
    month.end().as_millis().div_euclid(1000).saturating_add(kept)
}
