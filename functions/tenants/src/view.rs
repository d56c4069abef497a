//! The representation of tenants in responses.

use std::collections::BTreeMap;

use serde::Serialize;
use service::domain::issuer::Issuer;
use service::domain::tenant::lifecycle::{Failure, ManagedTenant};
use service::domain::tenant_key::TenantKey;
use service::domain::time::Timestamp;

/// An issuer of a tenant, in the form in which it was written.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Bound<'a> {
    OfStack(&'a str),
    OfTenant(&'a Issuer),
}

/// A tenant's own monthly quota.
#[derive(Debug, Serialize)]
struct Quota {
    requests: u64,
}

/// Why the last attempt of a change failed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeFailure {
    code: &'static str,
    detail: &'static str,
    failed_at: Timestamp,
    retry_at: Timestamp,
}

impl From<Failure> for ChangeFailure {
    fn from(failure: Failure) -> Self {
        let retry_at = failure.retry_at();
        let Failure { code, attempts: _, failed_at } = failure;
        Self { code: code.into(), detail: code.detail(), failed_at, retry_at }
    }
}

/// The representation of a tenant.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct View<'a> {
    id: &'a str,
    name: &'a str,
    plan: &'a str,
    status: &'a str,
    issuers: Vec<Bound<'a>>,
    tenant_keys: &'a [TenantKey],
    labels: &'a BTreeMap<String, String>,
    key: &'a str,
    /// The tenant's own quota, or null if the quota of the plan applies.
    quota: Option<Quota>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// The change that is in progress, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<ChangeFailure>,
    purged: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl<'a> From<&'a ManagedTenant> for View<'a> {
    fn from(managed: &'a ManagedTenant) -> Self {
        let ManagedTenant {
            tenant,
            own_issuers,
            tenant_keys,
            labels,
            key,
            key_id: _,
            placed_in: _,
            reason,
            created_at,
            updated_at,
            purged,
            offboarding: _,
            change,
            revision: _,
        } = managed;
        let bound = |name: &'a String| {
            let own = own_issuers.iter().find(|issuer| issuer.issuer == *name);
            own.map_or(Bound::OfStack(name), Bound::OfTenant)
        };
        Self {
            id: tenant.id.as_str(),
            name: &tenant.name,
            plan: &tenant.plan,
            status: tenant.status.as_ref(),
            issuers: tenant.issuers.iter().map(bound).collect(),
            tenant_keys,
            labels,
            key: key.as_ref(),
            quota: tenant.quota.map(|requests| Quota { requests }),
            reason: reason.as_deref(),
            change: change.map(|change| change.kind.into()),
            failure: change.and_then(|change| change.failure).map(ChangeFailure::from),
            purged: *purged,
            created_at: *created_at,
            updated_at: *updated_at,
        }
    }
}

/// A new tenant key, which no later response contains.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Issued<'a> {
    pub(crate) key: &'a str,
    /// All tenant keys, the new one last.
    pub(crate) tenant_keys: &'a [TenantKey],
}
