//! Tenants' rows.

use service::store::{Fault, Store};
use service::tenant::{Tenant, TenantId};

use crate::rows::Rows;

#[derive(Debug)]
pub(crate) struct Tenants {
    store: Store,
    rows: Rows<TenantId, Tenant>,
}

impl Tenants {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, rows: Rows::default() }
    }

    /// The tenant's row, or `None` if there is no such tenant.
    pub(crate) async fn get(&self, id: &TenantId) -> Result<Option<Tenant>, Fault> {
        self.rows.get(id, self.store.tenant(id)).await
    }
}
