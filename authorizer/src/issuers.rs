//! Issuers that operators added for one tenant, looked up by the `iss` of tokens that are not of the stack's issuers.

use std::sync::Arc;
use std::time::Duration;

use service::domain::issuer::{PlainHttp, TenantIssuer, is_plausible};
use service::store::{Fault, Store};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::rows::Rows;

/// How many times the table is asked in each [`INTERVAL`] for issuers that are not known: made-up issuers cannot make the
/// authorizer read in a loop. An issuer that is known is read once a minute, whatever strangers do.
const MOST_READS: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct TenantIssuers {
    store: Store,
    rows: Rows<String, Arc<TenantIssuer>>,
    reads: Mutex<Reads>,
    plain_http: PlainHttp,
}

/// The reads of unknown issuers since a time.
#[derive(Debug)]
struct Reads {
    since: Instant,
    count: u32,
}

impl TenantIssuers {
    pub(crate) fn new(store: Store, plain_http: PlainHttp) -> Self {
        let reads = Mutex::new(Reads { since: Instant::now(), count: 0 });
        Self { store, rows: Rows::default(), reads, plain_http }
    }

    /// The issuer with that `iss`, which nobody has verified yet.
    pub(crate) async fn get(&self, iss: &str) -> Result<Option<Arc<TenantIssuer>>, Fault> {
        if !is_plausible(iss, self.plain_http) {
            return Ok(None);
        }
        let iss = iss.to_owned();
        let is_known = self.rows.has(&iss).await;
        self.rows.get(&iss, self.read(&iss, is_known)).await
    }

    async fn read(&self, iss: &str, is_known: bool) -> Result<Option<Arc<TenantIssuer>>, Fault> {
        if !is_known && !self.may_read_stranger().await {
            return Err(Fault::Unavailable("too many issuers are looked up".to_owned()));
        }
        Ok(self.store.issuer_get(iss).await?.map(Arc::new))
    }

    async fn may_read_stranger(&self) -> bool {
        let mut reads = self.reads.lock().await;
        let now = Instant::now();
        if now >= reads.since + INTERVAL {
            *reads = Reads { since: now, count: 0 };
        }
        reads.count += 1;
        reads.count <= MOST_READS
    }
}
