//! `/health`.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::dynamodb::{DynamoDb, Fault};

use crate::support::Api;

#[tokio::test]
async fn anybody_may_request_it_and_the_table_is_read_once() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    table.take();
    let nobody = api.caller_of(None);
    for _ in 0..10 {
        assert_eq!(nobody.get("/health").await.expect(200).json(), json!({"status": "ok"}));
    }
    assert_eq!(table.take().len(), 1);
    assert_eq!(api.invocations("authorizer").await, 0);
    api.shutdown().await;
}

#[tokio::test]
async fn a_table_that_does_not_respond_is_reported_in_time() {
    for fault in [Fault::Stall, Fault::Fail, Fault::Throttle] {
        let table = DynamoDb::start().await;
        let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
        table.fail_always(Some(fault));
        let started = Instant::now();
        api.caller_of(None).get("/health").await.expect_problem(503, "unavailable");
        // A DNS health check waits for 2 seconds; the rest is the function's start.
        assert!(started.elapsed() < Duration::from_secs(4), "{fault:?}: {:?}", started.elapsed());
        api.shutdown().await;
    }
}
