//! The tenants' rows, by tenant id and by opaque key.

use service::domain::machine_token::Digest;
use service::domain::tenant::{Tenant, TenantId};
use service::domain::time::{Expiry, Timestamp};
use service::store::{Fault, Store};

use crate::cache::Cache;

#[derive(Debug)]
pub(crate) struct Tenants {
    store: Store,
    by_id: Cache<TenantId, Tenant>,
    by_key: Cache<Digest, (TenantId, Option<Expiry>)>,
}

impl Tenants {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, by_id: Cache::default(), by_key: Cache::default() }
    }

    /// Returns the tenant's row, or `None` if the tenant does not exist.
    pub(crate) async fn get(&self, id: &TenantId) -> Result<Option<Tenant>, Fault> {
        self.by_id.get(id, self.store.tenant_get(id)).await
    }

    /// Returns the row of the tenant with this opaque key, or `None` if the opaque key does not exist or is expired.
    pub(crate) async fn get_by_key(&self, digest: &Digest) -> Result<Option<Tenant>, Fault> {
        match self.by_key.get(digest, self.store.tenant_key_get(digest)).await? {
            Some((tenant, expiry)) if expiry.is_none_or(|expiry| !expiry.is_reached(Timestamp::now())) => {
                self.get(&tenant).await
            }
            _ => Ok(None),
        }
    }
}
