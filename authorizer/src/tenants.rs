//! Tenants' rows, kept between events: a minute while the table answers, an hour while it does not.

use std::collections::HashMap;
use std::time::Duration;

use service::store::{Fault, Store};
use service::tenant::{Tenant, TenantId};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::warn;

/// How long a row is taken as it was read.
const FRESH: Duration = Duration::from_mins(1);
/// How long a tenant stays unknown: it may be onboarded any moment.
const UNKNOWN_FRESH: Duration = Duration::from_secs(5);
/// How long a row is good enough while the table cannot be read.
const STALE: Duration = Duration::from_hours(1);
/// How long the table is left alone after a failure, where there is a row to go on with.
const RETRY: Duration = Duration::from_secs(5);
/// Beyond it rows are dropped: a few megabytes at the most.
const MOST_KEPT: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Tenants {
    store: Store,
    rows: Mutex<HashMap<TenantId, Row>>,
}

#[derive(Debug, Clone)]
struct Row {
    tenant: Option<Tenant>,
    read_at: Instant,
    /// Until when the table is not asked again.
    good_until: Instant,
}

impl Tenants {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, rows: Mutex::default() }
    }

    /// The tenant's row, or `None` if there is no such tenant.
    pub(crate) async fn get(&self, id: &TenantId) -> Result<Option<Tenant>, Fault> {
        let mut rows = self.rows.lock().await;
        let now = Instant::now();
        let kept = rows.get(id);
        if let Some(row) = kept.filter(|row| now < row.good_until) {
            return Ok(row.tenant.clone());
        }
        let row = match self.store.tenant(id).await {
            Ok(tenant) => {
                let fresh = if tenant.is_some() { FRESH } else { UNKNOWN_FRESH };
                Row { tenant, read_at: now, good_until: now + fresh }
            }
            Err(fault) => match kept.filter(|row| row.tenant.is_some() && now < row.read_at + STALE) {
                Some(row) => {
                    warn!(%fault, "going on with an old row");
                    Row { good_until: Instant::now() + RETRY, ..row.clone() }
                }
                None => return Err(fault),
            },
        };
        if rows.len() >= MOST_KEPT && !rows.contains_key(id) {
            rows.clear();
        }
        let tenant = row.tenant.clone();
        rows.insert(id.clone(), row);
        Ok(tenant)
    }
}
