//! The API keys of tenants whose keys are lost here.
//!
//! The table may know more tenants than the registry has keys: the table is another DynamoDB's and outlives a registry in
//! memory, or somebody removed the file of the keys. Without their keys these tenants would be denied for good. On AWS
//! both are kept by the same account, so there is nothing to restore.
//!
//! Keys that tenants share are not restored here. The next change that lets in a tenant that uses one makes it again.

use service::domain::caller::Operator;
use service::domain::page::{Limit, Order, PageRequest};
use service::domain::tenant::Status;
use service::domain::tenant::lifecycle::{KeyKind, ManagedTenant};
use service::store::{ListError, Store, TenantFilter};

use crate::gateway::ApiKeys;

/// Makes the missing keys of tenants again, as their rows describe them. A template of another table than the service's
/// has no tenants to look at, so a failure stops nothing.
pub(crate) async fn api_keys(store: &Store, keys: &ApiKeys) {
    if let Err(error) = look(store, keys).await {
        tracing::warn!(%error, "lost API keys are not restored, because the tenants cannot be listed");
    }
}

async fn look(store: &Store, keys: &ApiKeys) -> Result<(), ListError> {
    let mut page = PageRequest { limit: Limit::MOST, order: Order::Asc, cursor: None, consistent: false };
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
