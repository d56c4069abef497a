//! The parts of a request that a function gets, and the parts of a response that a client gets.

use reqwest::Method;
use serde_json::{Value, json};

use super::probe::{Probe, header, json};

#[tokio::test]
async fn headers_and_query_strings_may_have_several_values() {
    let probe = Probe::start().await;
    let request = probe.request(Method::GET, "/open?a=1&a=%20&b=%C3%A9").header("x-two", "1").header("x-two", "2");
    let event = json(request.send().await.unwrap()).await;
    assert_eq!(event["multiValueHeaders"]["x-two"], json!(["1", "2"]));
    assert_eq!(event["headers"]["x-two"], "2");
    assert_eq!(event["multiValueQueryStringParameters"], json!({ "a": ["1", " "], "b": ["é"] }));
    assert_eq!(event["queryStringParameters"], json!({ "a": " ", "b": "é" }));
    assert_eq!(event["pathParameters"], Value::Null);

    let response = probe.get("/open?do=headers").await;
    assert_eq!(response.status(), 201);
    let all = |name: &str| response.headers().get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(all("x-both"), ["one", "two"]);
    assert_eq!(all("x-single"), ["one"]);
    assert_eq!(all("content-type"), ["text/plain"]);
    assert!(all("connection").is_empty());
    assert_eq!(response.text().await.unwrap(), "created");
    probe.shutdown().await;
}

#[tokio::test]
async fn path_parameters_are_as_they_were_sent() {
    let probe = Probe::start().await;
    let event = json(probe.get_as("allow.ample", "/guarded/a%20b%2Fc").await).await;
    assert_eq!(event["resource"], "/guarded/{id}");
    assert_eq!(event["path"], "/guarded/a%20b%2Fc");
    assert_eq!(event["pathParameters"], json!({ "id": "a%20b%2Fc" }));
    assert_eq!(event["requestContext"]["path"], "/probe/guarded/a%20b%2Fc");
    assert_eq!(event["requestContext"]["stage"], "probe");
    assert_eq!(event["requestContext"]["identity"]["sourceIp"], "127.0.0.1");
    probe.shutdown().await;
}

#[tokio::test]
async fn bytes_travel_as_base64_both_ways() {
    let probe = Probe::start().await;
    let post = |media_type: &str, body: Vec<u8>| {
        probe.request(Method::POST, "/open").header("content-type", media_type).body(body).send()
    };
    let event = json(post("application/octet-stream", vec![0, 1, 254, 255]).await.unwrap()).await;
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("AAH+/w=="), &json!(true)));
    let event = json(post("application/json", b"{\"a\":\"\xC3\xA9\"}".to_vec()).await.unwrap()).await;
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("{\"a\":\"é\"}"), &json!(false)));
    let event = json(probe.get("/open").await).await;
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&Value::Null, &json!(false)));

    let request = probe.request(Method::GET, "/open?do=binary").header("accept", "application/octet-stream");
    assert_eq!(request.send().await.unwrap().bytes().await.unwrap().as_ref(), [0, 1, 254, 255]);
    // As on AWS, a client that does not accept the type gets the base64.
    assert_eq!(probe.get("/open?do=binary").await.text().await.unwrap(), "AAH+/w==");
    probe.shutdown().await;
}

#[tokio::test]
async fn every_response_names_its_request() {
    let probe = Probe::start().await;
    let mut ids = Vec::new();

    let response = probe.get("/open").await;
    let id = header(&response, "x-amzn-requestid").to_owned();
    assert_eq!(json(response).await["requestContext"]["requestId"], json!(id));
    ids.push(id);

    let response = probe.get("/nothing").await;
    let id = header(&response, "x-amzn-requestid").to_owned();
    assert_eq!(json(response).await["id"], json!(id));
    ids.push(id);

    for response in [probe.get("/guarded/a").await, probe.get("/open?do=malformed").await] {
        assert!(!header(&response, "x-amz-apigw-id").is_empty());
        ids.push(header(&response, "x-amzn-requestid").to_owned());
    }
    let options = probe.request(Method::OPTIONS, "/open").send().await.unwrap();
    ids.push(header(&options, "x-amzn-requestid").to_owned());

    assert!(ids.iter().all(|id| id.len() == 36), "{ids:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
    probe.shutdown().await;
}

#[tokio::test]
async fn a_request_without_a_route_gets_the_gateway_response_of_the_template() {
    let probe = Probe::start().await;
    for (method, path) in
        [(Method::GET, "/nothing"), (Method::PUT, "/open"), (Method::GET, "/guarded"), (Method::GET, "/guarded/a/b")]
    {
        let response = probe.send_as("allow.ample", method.clone(), path).await;
        assert_eq!(response.status(), 404, "{method} {path}");
        // API Gateway takes any Authorization header for an AWS signature where it finds no route.
        let expected = json!({ "message": "no such route", "type": "INVALID_SIGNATURE" });
        assert_eq!(json(response).await, expected);
        let response = probe.request(method.clone(), path).send().await.unwrap();
        assert_eq!(response.status(), 404, "{method} {path}");
        assert_eq!(json(response).await["message"], "no such route");
    }
    let root = format!("{}/other/open", probe.local().base_url());
    assert_eq!(reqwest::get(root).await.unwrap().status(), 404);
    assert_eq!(probe.invocations().await, (0, 0));
    probe.shutdown().await;
}
