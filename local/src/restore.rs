//! The restoration of API keys that are lost while their tenants are in the table.
//!
//! The table may have more tenants than the registry has API keys: the table of another DynamoDB outlives a registry in
//! memory, and the file with the API keys may be removed. Without their API keys, these tenants would be denied for good. On
//! AWS the same account has both, so there is nothing to restore.
//!
//! API keys that tenants share are not restored here. The next change that activates a tenant with such an API key creates
//! it again.

use service::domain::caller::Operator;
use service::domain::page::{Limit, Order, PageRequest};
use service::domain::tenant::Status;
use service::domain::tenant::lifecycle::{KeyKind, ManagedTenant};
use service::store::{ListError, Store, TenantFilter};

use crate::gateway::ApiKeys;

/// Creates the lost API keys of tenants again, as the tenants' rows describe them. A failure does not stop the start, because
/// a template with a table other than the service's has no tenants.
pub(crate) async fn api_keys(store: &Store, keys: &ApiKeys) {
    if let Err(error) = restore_all(store, keys).await {
        tracing::warn!(%error, "lost API keys are not restored, because the tenants cannot be listed");
    }
}

async fn restore_all(store: &Store, keys: &ApiKeys) -> Result<(), ListError> {
    let mut page = PageRequest { limit: Limit::MAX, order: Order::Asc, cursor: None, consistent: false };
    loop {
        let found = store.tenant_list(&Operator::schedule(), &page, &TenantFilter::default()).await?;
        for managed in found.items {
            restore(&managed, keys);
        }
        match found.next {
            Some(next) => page.cursor = Some(next),
            None => return Ok(()),
        }
    }
}

fn restore(managed: &ManagedTenant, keys: &ApiKeys) {
    let settled = managed.change.is_none() && matches!(managed.tenant.status, Status::Active | Status::Suspended);
    if let Some(id) = &managed.key_id
        && settled
        && managed.key == KeyKind::Own
        && keys.find(&managed.tenant.api_key).is_none()
    {
        let enabled = managed.tenant.status == Status::Active;
        keys.restore(id, &managed.tenant.api_key, managed.placed_in.as_deref(), enabled);
    }
}
