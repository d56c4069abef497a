//! How `local` ends: in order, at once, and by being killed.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use testkit::dynamodb::{DynamoDb, Fault};

use super::{PATIENCE, Running, is_alive};
use crate::support::Api;

const REQUESTS: u64 = 10;

async fn gone(pids: &[String]) {
    let wait = async {
        while pids.iter().any(|pid| is_alive(pid)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("some of {pids:?} go on"));
}

/// Ctrl-C on a terminal interrupts every process of the group in front of it. Each execution environment of a function holds units
/// of its tenant's quota and figures that it has not reported yet.
#[tokio::test]
async fn an_interrupted_terminal_costs_a_tenant_nothing() {
    // The table of another one, to be read afterwards.
    let table = Api::start().await;
    for signal in ["-INT", "-TERM", "-HUP"] {
        let before = table.caller("acme").await.get("/usage").await.expect(200).json();
        let mut local = Running::start(&["--memory", "--dynamodb-endpoint", table.local.dynamodb_endpoint()]).await;
        // Several at once, so that several execution environments hold units.
        for _ in 0..REQUESTS / 5 {
            for response in join_all((0..5).map(|_| local.get("/collections"))).await {
                assert_eq!(response.status(), 200);
            }
        }
        let children = local.children();
        local.signal(signal, true).await;
        assert!(local.ended().await.success(), "{}", local.log());
        gone(&children).await;

        let after = table.caller("acme").await.get("/usage").await.expect(200).json();
        let grown = |name: &str| after[name].as_i64().unwrap() - before[name].as_i64().unwrap();
        assert_eq!((grown("requests"), grown("remaining")), (10, -10), "{signal} {before} {after}");
    }
    table.shutdown().await;
}

#[tokio::test]
async fn a_second_interrupt_ends_it_at_once() {
    let table = DynamoDb::start().await;
    let mut local = Running::start(&["--memory", "--dynamodb-endpoint", &table.endpoint]).await;
    assert_eq!(local.get("/collections").await.status(), 200);
    let children = local.children();
    // The last reports of the functions get no response.
    table.fail_updates(Some(Fault::Stall));
    local.signal("-INT", true).await;
    local.logged("stopping the functions").await;
    local.signal("-INT", true).await;
    assert_eq!(local.ended().await.code(), Some(1));
    assert!(local.log().contains("stopped immediately"), "{}", local.log());
    gone(&children).await;
}

#[tokio::test]
async fn functions_do_not_outlive_a_local_that_is_killed() {
    let mut local = Running::start(&["--memory"]).await;
    assert_eq!(local.get("/collections").await.status(), 200);
    let children = local.children();
    assert!(children.len() >= 2, "{children:?}");
    local.signal("-KILL", false).await;
    assert!(!local.ended().await.success());
    gone(&children).await;
}

#[tokio::test]
async fn forty_requests_at_once_are_served_by_a_few_execution_environments() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let calls = (0..40).map(|n| {
        let call = globex.call("PUT", &format!("/collections/notes/records/r{n}")).json(&json!({"data": {"n": n}}));
        async move { call.send().await.expect(201) }
    });
    futures_util::future::join_all(calls).await;
    let most = local::runtime::default_environments();
    for function in api.local.functions().stats() {
        assert!(function.processes <= most && function.errors == 0, "{function:?}");
        assert!(function.cold_starts <= u64::try_from(most).unwrap(), "{function:?}");
    }
    api.shutdown().await;
}
