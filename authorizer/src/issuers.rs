//! The issuers of single tenants, which are looked up by the `iss` of tokens from outside of the stack's issuers.

use std::sync::Arc;
use std::time::Duration;

use service::domain::issuer::{PlainHttp, TenantIssuer, is_plausible};
use service::store::{Fault, Store};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cache::Cache;

/// The most reads of unknown issuers in each [`INTERVAL`], so that made-up issuers cannot make the authorizer read in a
/// loop. A known issuer is read once a minute, however many unknown ones there are.
const MAX_READS: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct TenantIssuers {
    store: Store,
    cache: Cache<String, Arc<TenantIssuer>>,
    reads: Mutex<Reads>,
    plain_http: PlainHttp,
}

/// The number of reads of unknown issuers since a time.
#[derive(Debug)]
struct Reads {
    since: Instant,
    count: u32,
}

impl TenantIssuers {
    pub(crate) fn new(store: Store, plain_http: PlainHttp) -> Self {
        let reads = Mutex::new(Reads { since: Instant::now(), count: 0 });
        Self { store, cache: Cache::default(), reads, plain_http }
    }

    /// Returns the issuer with this `iss`, which comes from a token that is not verified yet.
    pub(crate) async fn get(&self, iss: &str) -> Result<Option<Arc<TenantIssuer>>, Fault> {
        if !is_plausible(iss, self.plain_http) {
            return Ok(None);
        }
        let iss = iss.to_owned();
        let is_known = self.cache.has(&iss).await;
        self.cache.get(&iss, self.read(&iss, is_known)).await
    }

    async fn read(&self, iss: &str, is_known: bool) -> Result<Option<Arc<TenantIssuer>>, Fault> {
        if !is_known && !self.may_read_unknown().await {
            return Err(Fault::Unavailable("too many unknown issuers are looked up".to_owned()));
        }
        Ok(self.store.issuer_get(iss).await?.map(Arc::new))
    }

    async fn may_read_unknown(&self) -> bool {
        let mut reads = self.reads.lock().await;
        let now = Instant::now();
        if now >= reads.since + INTERVAL {
            *reads = Reads { since: now, count: 0 };
        }
        reads.count += 1;
        reads.count <= MAX_READS
    }
}
