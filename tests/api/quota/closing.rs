//! The end of an execution environment that holds units of many tenants.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use local::runtime::{Invoke as _, LogFormat};
use serde_json::{Value, json};
use service::domain::caller::Caller;
use service::domain::quota::Row;
use service::domain::quota::WhenUnavailable;
use service::domain::time::Timestamp;
use service::domain::usage::Usage;
use service::ledger::{Ledger, SpendError};
use service::runtime::config::MeterConfig;
use testkit::attached::Attached;
use testkit::dynamodb::{DynamoDb, Fault};
use tokio::time::Instant;

use super::{row, start, stats, store, tenant_caller};
use crate::support::{Api, read};

const ONE: Usage = Usage {
    requests: 1,
    errors: 0,
    bytes_in: 3,
    bytes_out: 5,
    units: service::domain::units::Units { read: 0.5, write: 1.0 },
    memory_ms: 256,
};

/// Tenants that nobody but the functions under test knows.
fn tenants(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("01K0MANY{n:018}")).collect()
}

/// Has `records` serve so many requests of a tenant, one after the other.
async fn serve(api: &Api, tenant: &str, requests: usize) {
    let mut event: Value = serde_json::from_str(&read("events/records-get.json")).unwrap();
    event["requestContext"]["authorizer"]["tenant"] = tenant.into();
    event["requestContext"]["authorizer"]["plan"] = "pro".into();
    for _ in 0..requests {
        let response = api.local.functions().invoke("records", event.to_string().into_bytes()).await.unwrap();
        let response: Value = serde_json::from_slice(&response).unwrap();
        assert_eq!(response["statusCode"], 404, "{response}");
    }
}

/// The number of updates of usage for each operation.
fn operations(table: &DynamoDb) -> BTreeMap<String, usize> {
    let mut operations = BTreeMap::new();
    for update in table.take_updates() {
        *operations.entry(update.operation).or_default() += 1;
    }
    operations
}

fn counts(row: &Row) -> (u64, u64) {
    (row.leased, row.usage.requests)
}

#[tokio::test]
async fn an_execution_environment_with_forty_tenants_settles_all_of_them_in_time() {
    let (table, api) = start(&[]).await;
    let tenants = tenants(40);
    for (n, tenant) in tenants.iter().enumerate() {
        serve(&api, tenant, 1 + n % 3).await;
    }
    assert_eq!(stats(&api).processes, 1);
    table.take_updates();
    // An update for each would take a second.
    table.fail_updates(Some(Fault::InTurn));
    api.local.functions().retire("records").await;
    let operations = operations(&table);
    let mut left = BTreeMap::new();
    for (n, tenant) in tenants.iter().enumerate() {
        let (leased, requests) = counts(&row(&api, tenant).await);
        let served = u64::try_from(1 + n % 3).unwrap();
        if (leased, requests) != (served, served) {
            left.insert(tenant, (leased, requests, served));
        }
    }
    assert!(left.is_empty(), "{} of 40 were not settled: {left:?}", left.len());
    let expected = [("TransactWriteItems", 2), ("UpdateItem", 3)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(operations, expected.into());
    api.shutdown().await;
}

#[tokio::test]
async fn what_an_execution_environment_cannot_return_is_in_its_log_with_figures() {
    let (table, api) = start(&[]).await;
    let mut records = Attached::start(&api, "records", LogFormat::Json).await;
    // Each has one unit left, and one request to report.
    for tenant in tenants(7) {
        serve(&api, &tenant, 2).await;
        for _ in 0..2 {
            records.metrics().await;
        }
    }
    table.fail_updates(Some(Fault::Stall));
    let read = records.read.len();
    let log = records.terminated().await;
    let lines = log[read..].lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<_> = lines.map(|line| (line["level"].clone(), line["fields"].clone())).collect();
    let [named @ .., (level, last)] = &lines[..] else { panic!("it wrote nothing") };
    let expected = json!({
        "message": "the execution environment ends before all was given back and reported",
        "accounts": 7, "units": 7, "owed": 0, "requests": 7, "in_use": 0, "cause": last["cause"],
    });
    assert_eq!((level, last), (&json!("WARN"), &expected));
    assert!(last["cause"].is_string());
    assert_eq!(named.len(), 5, "no flood of tenants");
    for (_, fields) in named {
        assert_eq!((&fields["units"], &fields["requests"]), (&json!(1), &json!(1)), "{fields}");
        assert!(fields["tenant"].as_str().unwrap().starts_with("01K0MANY"), "{fields}");
    }
    api.shutdown().await;
}

fn ledger(api: &Api) -> Arc<Ledger> {
    let quotas = serde_json::from_str(r#"{"pro": 1000}"#).unwrap();
    let config = MeterConfig { quotas, when_unavailable: WhenUnavailable::Refuse, memory_mb: 256 };
    Arc::new(Ledger::new(store(api), config))
}

async fn request(ledger: &Ledger, caller: &Caller) -> Result<(), SpendError> {
    let admission = ledger.spend(caller, Timestamp::now(), Instant::now() + Duration::from_secs(5)).await?;
    ledger.record(admission, ONE).await;
    Ok(())
}

/// A ledger that has served two requests of each tenant: it holds a unit, and has a request to report.
async fn busy_ledger(api: &Api, tenants: &[String]) -> Arc<Ledger> {
    let ledger = ledger(api);
    for tenant in tenants {
        for _ in 0..2 {
            request(&ledger, &tenant_caller(tenant)).await.unwrap();
        }
        assert_eq!(counts(&row(api, tenant).await), (3, 1));
    }
    ledger
}

#[tokio::test]
async fn what_one_transaction_cannot_settle_is_settled_one_by_one() {
    let (table, api) = start(&[]).await;
    let tenants = tenants(9);
    let ledger = busy_ledger(&api, &tenants).await;
    table.take_updates();
    // Every transaction is cancelled for one of its rows.
    table.fail_updates(Some(Fault::ThrottleItem));
    ledger.close().await;
    assert_eq!(operations(&table)["UpdateItem"], 9);
    for tenant in &tenants {
        assert_eq!(counts(&row(&api, tenant).await), (2, 2), "{tenant}");
    }
    api.shutdown().await;
}

#[tokio::test]
async fn a_report_whose_response_is_lost_at_the_end_counts_once() {
    for fault in [Fault::LoseResponse, Fault::LoseResponseAndToken] {
        let (table, api) = start(&[]).await;
        let tenants = tenants(9);
        let ledger = busy_ledger(&api, &tenants).await;
        table.next_updates([Some(fault); 4]);
        ledger.close().await;
        for tenant in &tenants {
            let Row { leased, usage, .. } = row(&api, tenant).await;
            assert_eq!((leased, usage.requests, usage.bytes_in), (2, 2, 6), "{fault:?} {tenant}");
        }
        api.shutdown().await;
    }
}

/// The condition of a report that comes after an update which was applied without a response does not hold. The row shows
/// whether that update was applied, and the units that it took go back with the next report.
#[tokio::test]
async fn updates_in_doubt_are_resolved_at_the_end() {
    let (table, api) = start(&[]).await;
    let (sure, doubtful) = (tenants(12), tenants(20).split_off(12));
    let ledger = busy_ledger(&api, &sure).await;
    table.fail_updates(Some(Fault::LoseResponse));
    for tenant in &doubtful {
        assert!(request(&ledger, &tenant_caller(tenant)).await.is_err());
        assert_eq!(counts(&row(&api, tenant).await), (1, 0));
    }
    table.fail_updates(None);
    ledger.close().await;
    for (tenants, expected) in [(sure, (2, 2)), (doubtful, (0, 0))] {
        for tenant in tenants {
            assert_eq!(counts(&row(&api, &tenant).await), expected, "{tenant}");
        }
    }
    api.shutdown().await;
}

#[tokio::test]
async fn an_account_that_a_request_uses_holds_up_no_other() {
    let (table, api) = start(&[]).await;
    let (tenants, waiting) = (tenants(6), tenant_caller("01K0WA1T1NG000000000000000"));
    let ledger = busy_ledger(&api, &tenants).await;
    table.next_updates([Some(Fault::Stall)]);
    let asking = Arc::clone(&ledger);
    let asking = tokio::spawn(async move { request(&asking, &waiting).await });
    table.stalled().await;
    ledger.close().await;
    for tenant in &tenants {
        assert_eq!(counts(&row(&api, tenant).await), (2, 2), "{tenant}");
    }
    asking.abort();
    api.shutdown().await;
}

#[tokio::test]
async fn the_accounts_with_most_at_stake_have_an_update_each() {
    let (table, api) = start(&[]).await;
    let (small, large) = (tenants(10), tenants(13).split_off(10));
    let ledger = busy_ledger(&api, &small).await;
    for tenant in &large {
        for _ in 0..4 {
            request(&ledger, &tenant_caller(tenant)).await.unwrap();
        }
    }
    table.take_updates();
    ledger.close().await;
    let alone = table.take_updates().into_iter().filter(|update| update.operation == "UpdateItem");
    let mut alone: Vec<_> = alone.map(|update| update.body["Key"]["pk"]["S"].as_str().unwrap().to_owned()).collect();
    alone.sort();
    assert_eq!(alone, large.iter().map(|tenant| format!("T#{tenant}#USAGE")).collect::<Vec<_>>());
    api.shutdown().await;
}
