//! Requests that are too large, and functions that fail.

use reqwest::Method;
use serde_json::json;

use super::probe::{Probe, header, json};

const TEN_MEGABYTES: usize = 10 * 1024 * 1024;

#[tokio::test]
async fn a_body_over_ten_megabytes_is_413() {
    let probe = Probe::start().await;
    let request = probe.request(Method::POST, "/open?do=process").body(vec![b'x'; TEN_MEGABYTES + 1]);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(json(response).await, json!({ "message": "Request Too Long" }));
    assert_eq!(probe.invocations().await, (0, 0));
    probe.shutdown().await;
}

#[tokio::test]
async fn an_event_over_six_megabytes_is_413_though_its_body_has_fewer() {
    let probe = Probe::start().await;
    let six_megabytes = 6 * 1024 * 1024;
    for (body, status) in [("x".repeat(six_megabytes - 100_000), 200), ("\"".repeat(six_megabytes / 2), 413)] {
        let response = probe.request(Method::POST, "/open?do=process").body(body).send().await.unwrap();
        assert_eq!(response.status(), status);
    }
    assert_eq!(probe.invocations().await.1, 1);
    probe.shutdown().await;
}

#[tokio::test]
async fn a_head_over_ten_kilobytes_is_431() {
    let probe = Probe::start().await;
    let request = probe.request(Method::GET, "/open").header("x-long", "a".repeat(10_240));
    assert_eq!(request.send().await.unwrap().status(), 431);
    assert_eq!(probe.invocations().await, (0, 0));
    probe.shutdown().await;
}

#[tokio::test]
async fn a_function_that_times_out_is_504_and_replaced() {
    let probe = Probe::start().await;
    let first = probe.get("/open?do=process").await.text().await.unwrap();
    let response = probe.get("/open?do=hang").await;
    assert_eq!(response.status(), 504);
    let id = header(&response, "x-amzn-requestid").to_owned();
    assert_eq!(json(response).await, json!({ "type": "INTEGRATION_TIMEOUT", "id": id }));
    let second = probe.get("/open?do=process").await;
    assert_eq!(second.status(), 200);
    assert_ne!(second.text().await.unwrap(), first);
    probe.shutdown().await;
}

#[tokio::test]
async fn a_function_that_dies_is_502_and_replaced() {
    let probe = Probe::start().await;
    let first = probe.get("/open?do=process").await.text().await.unwrap();
    let response = probe.get("/open?do=exit").await;
    assert_eq!(response.status(), 502);
    assert_eq!(json(response).await["type"], "DEFAULT_5XX");
    let second = probe.get("/open?do=process").await;
    assert_eq!(second.status(), 200);
    assert_ne!(second.text().await.unwrap(), first);
    probe.shutdown().await;
}

#[tokio::test]
async fn a_function_that_fails_is_502_without_its_reasons() {
    let probe = Probe::start().await;
    for what in ["error", "panic", "malformed"] {
        let response = probe.get(&format!("/open?do={what}")).await;
        assert_eq!(response.status(), 502, "{what}");
        let body = response.text().await.unwrap();
        assert!(body.contains("DEFAULT_5XX") && !body.contains("inner detail"), "{what}: {body}");
        assert_eq!(probe.get("/open").await.status(), 200, "after {what}");
    }
    probe.shutdown().await;
}
