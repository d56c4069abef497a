//! The ledger of an execution environment over the end of a month, at times that the test chooses.

use std::time::Duration;

use service::domain::caller::Caller;
use service::domain::month::Month;
use service::domain::quota::WhenUnavailable;
use service::domain::time::Timestamp;
use service::domain::usage::Usage;
use service::ledger::{Admission, Ledger, SpendError};
use service::runtime::config::MeterConfig;
use tokio::time::Instant;

use super::{GLOBEX, start, store, tenant_caller};
use crate::support::Api;

const ONE: Usage = Usage { requests: 1, ..NOTHING };
const NOTHING: Usage = Usage {
    requests: 0,
    errors: 0,
    bytes_in: 0,
    bytes_out: 0,
    units: service::domain::units::Units { read: 0.0, write: 0.0 },
    memory_ms: 0,
};

fn ledger(api: &Api) -> Ledger {
    let quotas = serde_json::from_str(r#"{"pro": 5}"#).unwrap();
    Ledger::new(store(api), MeterConfig { quotas, when_unavailable: WhenUnavailable::Refuse, memory_mb: 256 })
}

/// A request at a time of the test's, which may wait for a unit as long as any.
async fn spend(ledger: &Ledger, caller: &Caller, now: Timestamp) -> Result<Admission, SpendError> {
    ledger.spend(caller, now, Instant::now() + Duration::from_secs(5)).await
}

/// Serves requests until one is rejected.
async fn use_up(ledger: &Ledger, now: Timestamp) -> u64 {
    let caller = tenant_caller(GLOBEX);
    for served in 0.. {
        match spend(ledger, &caller, now).await {
            Ok(admission) => ledger.record(admission, ONE).await,
            Err(SpendError::UsedUp(window)) => {
                assert_eq!((window.limit, window.remaining), (5, 0));
                return served;
            }
            Err(error) => panic!("{error}"),
        }
    }
    0
}

#[tokio::test]
async fn a_quota_is_whole_again_when_the_month_ends_and_held_units_go_back_to_their_month() {
    let (_table, api) = start(&[]).await;
    let month = Month::parse("2031-02").unwrap();
    let last = month.end().minus(Duration::from_millis(1));
    let caller = tenant_caller(GLOBEX);
    let access = caller.access().unwrap();
    let rows = || async {
        let store = store(&api);
        let before = store.usage_get(&access, month).await.unwrap();
        let after = store.usage_get(&access, month.next()).await.unwrap();
        ((before.leased, before.usage.requests), (after.leased, after.usage.requests))
    };

    let one = ledger(&api);
    let under_way = spend(&one, &caller, last).await.unwrap();
    assert_eq!(under_way.window.left, Duration::from_millis(1));
    // A millisecond later: a new month, and a request of the old one that still goes on.
    assert_eq!(use_up(&one, month.end()).await, 5);
    one.record(under_way, ONE).await;
    assert_eq!(rows().await, ((1, 0), (5, 5)));
    // The next update also settles the old month: here, that of the month after.
    let later = month.next().end();
    spend(&one, &caller, later).await.unwrap();
    assert_eq!(rows().await, ((1, 1), (5, 5)));

    // The clock of another execution environment is late.
    assert_eq!(use_up(&ledger(&api), last).await, 4);
    assert_eq!(use_up(&ledger(&api), month.end()).await, 0);
    api.shutdown().await;
}

#[tokio::test]
async fn a_lease_that_got_old_is_settled_by_the_requests_of_others() {
    let (table, api) = start(&[]).await;
    let ledger = ledger(&api);
    let now = Month::parse("2031-02").unwrap().start();
    let tenants = [GLOBEX, "01K0VMBRE11A00000000000000"].map(tenant_caller);
    let access = tenants[0].access().unwrap();
    let admission = spend(&ledger, &tenants[0], now).await.unwrap();
    ledger.record(admission, ONE).await;
    table.take_updates();

    let minute = now.plus(Duration::from_mins(1));
    spend(&ledger, &tenants[1], minute.minus(Duration::from_millis(1))).await.unwrap();
    assert_eq!(table.take_updates().len(), 1, "it is not old yet");
    spend(&ledger, &tenants[1], minute.plus(Duration::from_mins(1))).await.unwrap();
    assert_eq!(table.take_updates().len(), 2);
    let row = store(&api).usage_get(&access, Month::of(now)).await.unwrap();
    assert_eq!((row.leased, row.usage.requests), (1, 1));
    api.shutdown().await;
}
