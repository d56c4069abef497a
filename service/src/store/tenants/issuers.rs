//! Issuers that operators add for one tenant, by their `iss`: each is one tenant's at most.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::domain::issuer::{Issuer, TenantIssuer};
use crate::domain::tenant::TenantId;
use crate::store::expression::{ABSENT, Condition};
use crate::store::item::{Item, take_string};
use crate::store::table::{Consistency, ItemWrite};
use crate::store::{Fault, Store, keys};

const TENANT: &str = "tenant";
const CONFIG: &str = "config";

impl Store {
    /// The issuer of that `iss`, if it is a tenant's, eventually consistent.
    pub async fn issuer_get(&self, iss: &str) -> Result<Option<TenantIssuer>, Fault> {
        self.table.get(keys::issuer(iss), Consistency::Eventual).await?.map(from_item).transpose()
    }
}

/// A write that makes an issuer a tenant's, unless it is another's.
pub(super) fn taking_issuer(tenant: &TenantId, issuer: &Issuer) -> Result<ItemWrite, Fault> {
    let tenant = AttributeValue::S(tenant.to_string());
    let mut item = keys::issuer(&issuer.issuer).into_map();
    item.insert(TENANT.into(), tenant.clone());
    item.insert(CONFIG.into(), AttributeValue::S(to_text(issuer)?));
    let free = Condition::default().and(&format!("({ABSENT} OR #{TENANT} = :tenant)")).value(":tenant", tenant);
    Ok(ItemWrite::put(item, free))
}

pub(super) fn to_text(issuer: &Issuer) -> Result<String, Fault> {
    issuer.to_json().map_err(|_| Fault::corrupt(CONFIG))
}

/// Checked as it was when it was written: an item that somebody else wrote makes no operators.
pub(super) fn from_text(text: &str) -> Result<Issuer, Fault> {
    let members = serde_json::from_str(text).map_err(|_| Fault::corrupt(CONFIG))?;
    Issuer::stored(members).map_err(|_| Fault::corrupt(CONFIG))
}

fn from_item(mut item: Item) -> Result<TenantIssuer, Fault> {
    let tenant = TenantId::parse(&take_string(&mut item, TENANT)?).map_err(|_| Fault::corrupt(TENANT))?;
    Ok(TenantIssuer { tenant, issuer: from_text(&take_string(&mut item, CONFIG)?)? })
}
