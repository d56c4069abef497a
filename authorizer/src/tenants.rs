//! Tenants' rows, by their ids and by the opaque keys that stand for them.

use service::domain::machine_token::Digest;
use service::domain::tenant::{Tenant, TenantId};
use service::domain::time::{Expiry, Timestamp};
use service::store::{Fault, Store};

use crate::rows::Rows;

#[derive(Debug)]
pub(crate) struct Tenants {
    store: Store,
    rows: Rows<TenantId, Tenant>,
    keys: Rows<Digest, (TenantId, Option<Expiry>)>,
}

impl Tenants {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, rows: Rows::default(), keys: Rows::default() }
    }

    /// The tenant's row, or `None` if there is no such tenant.
    pub(crate) async fn get(&self, id: &TenantId) -> Result<Option<Tenant>, Fault> {
        self.rows.get(id, self.store.tenant_get(id)).await
    }

    /// The row of the tenant that has this opaque key, or `None` if it is nobody's, or has ended.
    pub(crate) async fn of_key(&self, digest: &Digest) -> Result<Option<Tenant>, Fault> {
        match self.keys.get(digest, self.store.tenant_key_get(digest)).await? {
            Some((tenant, expiry)) if expiry.is_none_or(|expiry| !expiry.is_past(Timestamp::now())) => {
                self.get(&tenant).await
            }
            _ => Ok(None),
        }
    }
}
