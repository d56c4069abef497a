//! `HEAD`: the response to a `GET` without the content (RFC 9110, section 9.3.2).

use serde_json::json;

use crate::support::contract::operations;
use crate::support::{Api, Caller, Response};

const NOTE: &str = "/collections/notes/records/welcome";

/// The headers that are about the response, and not about this one request or its content.
fn headers(response: &Response) -> Vec<(&str, &str)> {
    let own = ["x-amzn-requestid", "x-amz-apigw-id", "date", "ratelimit", "content-length", "transfer-encoding"];
    let headers = response.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    headers.filter(|(name, _)| !own.contains(name)).collect()
}

async fn compare(caller: &Caller<'_>, path: &str, if_none_match: Option<&str>) {
    let call = |method: &str| {
        let call = caller.call(method, path);
        if let Some(tag) = if_none_match { call.header("if-none-match", tag) } else { call }
    };
    let (get, head) = (call("GET").send().await, call("HEAD").send().await);
    assert_eq!(head.status, get.status, "{path}: {head:?}");
    assert_eq!(headers(&head), headers(&get), "{path}");
    assert_eq!(head.text, "", "{path}");
}

#[tokio::test]
async fn every_route_that_is_read_has_a_head() {
    let api = Api::start().await;
    let (globex, operator) = (api.caller("globex").await, api.caller("operator").await);
    let etag = globex.put(NOTE, &json!({"data": {"n": 1}})).await.expect(201).header("etag").to_owned();
    let tenant = local::seed::DEMO[1].id;
    for operation in operations().into_iter().filter(|operation| operation.method == "GET") {
        let path =
            operation.path.replace("{collection}", "notes").replace("{id}", "welcome").replace("{tenant}", tenant);
        let caller = if path.starts_with("/admin/") { &operator } else { &globex };
        compare(caller, &path, None).await;
        // Without a token, and with one that does not do.
        compare(&api.caller_of(None), &path, None).await;
        compare(if path.starts_with("/admin/") { &globex } else { &operator }, &path, None).await;
    }
    compare(&globex, NOTE, Some(&etag)).await;
    compare(&globex, "/collections/notes/records/nothing", None).await;
    compare(&globex, "/collections?limit=0", None).await;
    compare(&globex, "/nothing", None).await;
    api.shutdown().await;
}

#[tokio::test]
async fn a_head_counts_as_a_request() {
    let api = Api::start().await;
    let globex = api.caller("globex").await;
    let remaining = |response: &Response| -> u64 {
        let field = response.header("ratelimit").split(";r=").nth(1).unwrap().split(';').next().unwrap();
        field.parse().unwrap()
    };
    let first = remaining(&globex.call("HEAD", "/collections").send().await.expect(200));
    let second = remaining(&globex.call("HEAD", "/collections").send().await.expect(200));
    assert_eq!(second, first - 1);
    api.shutdown().await;
}
