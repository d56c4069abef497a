//! Tenants' rows, and the items that belong to the operator: a tenant's name, issuers, opaque keys and machine clients.
//!
//! This module reads the part of a row that the authorizer needs. [`lifecycle`] has the whole row.

mod clients;
mod export;
mod issuers;
mod lifecycle;
mod purge;
mod tenant_keys;

use aws_sdk_dynamodb::types::AttributeValue;

use super::item::{Item, number, optional_number, take_string};
use super::table::Consistency;
use super::{Fault, Store, keys};
use crate::domain::tenant::{Tenant, TenantId};
pub use export::{Export, Group, Lost};
pub use lifecycle::{SaveError, TenantFilter};
pub use purge::Purged;

const NAME: &str = "name";
const PLAN: &str = "plan";
const STATUS: &str = "status";
const ISSUERS: &str = "issuers";
const API_KEY: &str = "apiKey";
const QUOTA: &str = "quota";

/// The attribute that puts a row into the index `Tenants`.
const LISTED: &str = "listed";
/// The only value of the partition keys of the indexes.
const IN_INDEX: &str = "TENANT";

impl Store {
    /// Reads a tenant's row, eventually consistent.
    pub async fn tenant_get(&self, id: &TenantId) -> Result<Option<Tenant>, Fault> {
        let found = self.table.get(keys::tenant(id), Consistency::Eventual).await?;
        found.map(|item| from_item(id.clone(), item)).transpose()
    }
}

fn to_item(tenant: &Tenant) -> Item {
    let Tenant { id, name, plan, status, issuers, api_key, quota } = tenant;
    let mut item = keys::tenant(id).into_map();
    let string = |text: &str| AttributeValue::S(text.to_owned());
    item.insert(NAME.into(), string(name));
    item.insert(PLAN.into(), string(plan));
    item.insert(STATUS.into(), string(status.as_ref()));
    // The issuers are a list, because a string set cannot be empty.
    item.insert(ISSUERS.into(), AttributeValue::L(issuers.iter().map(|issuer| string(issuer)).collect()));
    item.insert(API_KEY.into(), string(api_key));
    if let Some(quota) = quota {
        item.insert(QUOTA.into(), number(quota));
    }
    item.insert(LISTED.into(), string(IN_INDEX));
    item
}

fn from_item(id: TenantId, mut item: Item) -> Result<Tenant, Fault> {
    let status = take_string(&mut item, STATUS)?.parse().map_err(|_| Fault::corrupt(STATUS))?;
    let Some(AttributeValue::L(issuers)) = item.remove(ISSUERS) else { return Err(Fault::corrupt(ISSUERS)) };
    let issuers = issuers
        .into_iter()
        .map(|issuer| if let AttributeValue::S(issuer) = issuer { Ok(issuer) } else { Err(Fault::corrupt(ISSUERS)) })
        .collect::<Result<_, _>>()?;
    Ok(Tenant {
        id,
        quota: optional_number(&item, QUOTA)?,
        name: take_string(&mut item, NAME)?,
        plan: take_string(&mut item, PLAN)?,
        status,
        issuers,
        api_key: take_string(&mut item, API_KEY)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tenant::Status;

    fn tenant() -> Tenant {
        Tenant {
            id: TenantId::parse("01K0ACME000000000000000000").unwrap(),
            name: "Acme".into(),
            plan: "free".into(),
            status: Status::Suspended,
            issuers: vec!["https://a.example".into(), "https://b.example/".into()],
            api_key: "01K0ACME000000000000000000".into(),
            quota: Some(1000),
        }
    }

    #[test]
    fn a_row_can_be_stored_and_read() {
        for tenant in [tenant(), Tenant { quota: None, ..tenant() }] {
            assert_eq!(from_item(tenant.id.clone(), to_item(&tenant)).unwrap(), tenant);
        }
    }

    #[test]
    fn a_row_with_a_missing_or_wrong_attribute_is_corrupt() {
        for name in [NAME, PLAN, STATUS, ISSUERS, API_KEY, QUOTA] {
            let mut item = to_item(&tenant());
            item.insert(name.into(), AttributeValue::Bool(true));
            assert!(matches!(from_item(tenant().id, item), Err(Fault::Corrupt(_))), "{name}");
        }
    }
}
