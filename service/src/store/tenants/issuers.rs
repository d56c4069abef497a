//! The issuers that operators add for single tenants, by their `iss`. An issuer belongs to one tenant at most.

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
    /// Returns the issuer with an `iss` and its tenant, eventually consistent, or `None` if no tenant has it.
    pub async fn issuer_get(&self, iss: &str) -> Result<Option<TenantIssuer>, Fault> {
        self.table.get(keys::issuer(iss), Consistency::Eventual).await?.map(from_item).transpose()
    }
}

/// Returns the write that gives an issuer to a tenant, unless another tenant has it.
pub(super) fn claim(tenant: &TenantId, issuer: &Issuer) -> Result<ItemWrite, Fault> {
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

/// Reads an issuer's configuration, and checks it as before it was written. So an item that was not written by this service
/// cannot make an issuer of operators.
pub(super) fn from_text(text: &str) -> Result<Issuer, Fault> {
    let members = serde_json::from_str(text).map_err(|_| Fault::corrupt(CONFIG))?;
    Issuer::stored(members).map_err(|_| Fault::corrupt(CONFIG))
}

fn from_item(mut item: Item) -> Result<TenantIssuer, Fault> {
    let tenant = TenantId::parse(&take_string(&mut item, TENANT)?).map_err(|_| Fault::corrupt(TENANT))?;
    Ok(TenantIssuer { tenant, issuer: from_text(&take_string(&mut item, CONFIG)?)? })
}
