//! Issuers that operators added for one tenant, looked up by the `iss` of tokens that are not of the stack's issuers.

use std::sync::Arc;
use std::time::Duration;

use service::issuer::{TenantIssuer, is_plausible};
use service::store::{Fault, Store};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::rows::Rows;

/// How many times the table is asked in each [`INTERVAL`]: whoever makes up issuers cannot make it read in a loop.
const MOST_READS: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct TenantIssuers {
    store: Store,
    rows: Rows<String, Arc<TenantIssuer>>,
    reads: Mutex<Reads>,
}

/// The reads since a time.
#[derive(Debug)]
struct Reads {
    since: Instant,
    count: u32,
}

impl TenantIssuers {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, rows: Rows::default(), reads: Mutex::new(Reads { since: Instant::now(), count: 0 }) }
    }

    /// The issuer with that `iss`, which nobody has verified yet.
    pub(crate) async fn get(&self, iss: &str) -> Result<Option<Arc<TenantIssuer>>, Fault> {
        if !is_plausible(iss) {
            return Ok(None);
        }
        self.rows.get(&iss.to_owned(), self.read(iss)).await
    }

    async fn read(&self, iss: &str) -> Result<Option<Arc<TenantIssuer>>, Fault> {
        if !self.may_read().await {
            return Err(Fault::Unavailable("too many issuers are looked up".to_owned()));
        }
        Ok(self.store.tenant_issuer(iss).await?.map(Arc::new))
    }

    async fn may_read(&self) -> bool {
        let mut reads = self.reads.lock().await;
        let now = Instant::now();
        if now >= reads.since + INTERVAL {
            *reads = Reads { since: now, count: 0 };
        }
        reads.count += 1;
        reads.count <= MOST_READS
    }
}
