//! The opaque keys of tenants: the tenant of each, by the digest of the opaque key.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::domain::machine_token::Digest;
use crate::domain::tenant::TenantId;
use crate::domain::tenant_key::TenantKey;
use crate::domain::time::{Expiry, Timestamp};
use crate::store::expression::Condition;
use crate::store::item::{Item, attribute, number, read_expiry, read_number, take_string};
use crate::store::table::{Consistency, ItemWrite};
use crate::store::{Fault, Store, keys};

const TENANT: &str = "tenant";
const DIGEST: &str = "digest";

impl Store {
    /// Returns the tenant of the opaque key with this digest, and its expiry, eventually consistent. The opaque key may
    /// have expired.
    pub async fn tenant_key_get(&self, digest: &Digest) -> Result<Option<(TenantId, Option<Expiry>)>, Fault> {
        let found = self.table.get(keys::tenant_key(digest), Consistency::Eventual).await?;
        let Some(mut item) = found else { return Ok(None) };
        let tenant = TenantId::parse(&take_string(&mut item, TENANT)?).map_err(|_| Fault::corrupt(TENANT))?;
        Ok(Some((tenant, read_expiry(&item)?)))
    }
}

/// Returns the write that gives an opaque key to a tenant, or sets its expiry.
pub(super) fn put(tenant: &TenantId, key: &TenantKey) -> ItemWrite {
    let mut item = keys::tenant_key(&key.digest).into_map();
    item.insert(TENANT.into(), AttributeValue::S(tenant.to_string()));
    insert_expiry(&mut item, key.expires_at);
    ItemWrite::put(item, Condition::default())
}

/// Returns an opaque key as an element of its tenant's row.
pub(super) fn to_value(key: &TenantKey) -> AttributeValue {
    let TenantKey { digest, created_at, expires_at } = key;
    let mut item = Item::from([
        (DIGEST.to_owned(), AttributeValue::S(digest.to_string())),
        (attribute::CREATED_AT.to_owned(), number(created_at.as_millis())),
    ]);
    insert_expiry(&mut item, *expires_at);
    AttributeValue::M(item)
}

/// Reads what [`to_value`] wrote.
pub(super) fn from_value(value: AttributeValue) -> Result<TenantKey, Fault> {
    let AttributeValue::M(mut item) = value else { return Err(Fault::corrupt(DIGEST)) };
    Ok(TenantKey {
        digest: Digest::parse(&take_string(&mut item, DIGEST)?).ok_or_else(|| Fault::corrupt(DIGEST))?,
        created_at: Timestamp::from_millis(read_number(&item, attribute::CREATED_AT)?),
        expires_at: read_expiry(&item)?,
    })
}

fn insert_expiry(item: &mut Item, expiry: Option<Expiry>) {
    if let Some(expiry) = expiry {
        item.insert(attribute::EXPIRES_AT.into(), number(expiry.as_secs()));
    }
}
