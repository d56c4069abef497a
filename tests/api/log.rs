//! The lines that the real binaries leave for CloudWatch: one for each event, in the embedded metric format.

mod secrets;

use std::sync::LazyLock;

use jsonschema::Validator;
use local::fixtures::Fixture;
use local::runtime::{Invoke as _, LogFormat};
use serde_json::{Value, json};
use testkit::attached::Attached;
use testkit::dynamodb::{DynamoDb, Fault};

use crate::fixtures::EVENTS;
use crate::support::{Api, read};

const LIST: &str = "/collections/notes/records";
const NOTE: &str = "/collections/notes/records/welcome";

/// The events that are no requests, with the name and the status that their lines give them.
const OTHERS: [(&str, &str, &str, u16); 4] = [
    ("tenants", "tenants-sweep.json", "schedule", 200),
    ("authorizer", "authorizer.json", "authorize", 401),
    ("claims", "claims-user.json", "claims", 200),
    ("claims", "claims-machine.json", "claims", 200),
];

/// Panics if CloudWatch would not take a line, or would take less from it than is meant.
fn check(line: &Value) {
    static FORMAT: LazyLock<Validator> = LazyLock::new(|| {
        jsonschema::validator_for(&serde_json::from_str(&read("tests/api/log.schema.json")).unwrap()).unwrap()
    });
    let errors: Vec<String> = FORMAT.iter_errors(line).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{line}: {errors:?}");
    let mut metrics = Vec::new();
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        assert_eq!(directive["Namespace"], "Tenantry/local");
        for dimension in directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap()) {
            // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Dimension.html
            let value = line[dimension.as_str().unwrap()].as_str().unwrap_or_else(|| panic!("{dimension} of {line}"));
            assert!(value.is_ascii() && (1..=1024).contains(&value.trim().len()), "{dimension} of {line}");
        }
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            assert!(line[name].as_f64().is_some_and(|value| value >= 0.0), "{name} of {line}");
            metrics.push(name);
        }
    }
    assert_eq!(metrics, ["Latency", "ColdStart", "DynamoDbReadUnits", "DynamoDbWriteUnits"]);
}

async fn invoke(api: &Api, function: &str, event: &str) -> Vec<u8> {
    let response = api.local.functions().invoke(function, read(&format!("events/{event}")).into_bytes()).await;
    response.unwrap_or_default()
}

#[tokio::test]
async fn every_event_leaves_one_line_that_cloudwatch_reads() {
    let api = Api::start_with_parameter("UserPool", "true").await;
    let requests = EVENTS.iter().map(|Fixture { function, file, status, text }| {
        let parsed: Value = serde_json::from_str(text).unwrap();
        let route = format!("{} {}", parsed["httpMethod"].as_str().unwrap(), parsed["resource"].as_str().unwrap());
        (&**function, &**file, route, *status)
    });
    let events: Vec<_> = requests
        .chain(OTHERS.map(|(function, event, route, status)| (function, event, route.into(), status)))
        .collect();
    for statistics in api.local.functions().stats() {
        let function = statistics.name;
        let mut attached = Attached::start(&api, &function, LogFormat::Json).await;
        let mut cold = 1;
        for (_, event, route, status) in events.iter().filter(|(of, ..)| *of == function) {
            let response = invoke(&api, &function, event).await;
            let line = attached.metrics().await;
            check(&line);
            assert_eq!((&line["Function"], &line["Route"]), (&json!(function), &json!(route)));
            assert_eq!((&line["status"], &line["ColdStart"]), (&json!(status), &json!(cold)), "{line}");
            assert_eq!(line["StatusClass"], format!("{}xx", status / 100));
            let response: Value = serde_json::from_slice(&response).unwrap_or_default();
            if let Some(body) = response["body"].as_str() {
                assert_eq!(line["bytesOut"], body.len(), "{line}");
                // The body of the request or the response is not in it, least of all a secret.
                let body: Value = serde_json::from_str(body).unwrap_or_default();
                for secret in [&body["token"], &body["key"], &body["data"]].map(Value::to_string) {
                    assert!(secret == "null" || !attached.read.contains(&secret), "{secret} in {}", attached.read);
                }
            }
            cold = 0;
        }
        assert_eq!(cold, 0, "{function} has no event here");
        assert!(!attached.read.contains("eyJ") && !attached.read.contains("tnt_"), "{}", attached.read);
    }
    api.shutdown().await;
}

#[tokio::test]
async fn a_line_has_the_caller_the_route_and_the_cost() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let (mut authorizer, mut records) = (
        Attached::start(&api, "authorizer", LogFormat::Json).await,
        Attached::start(&api, "records", LogFormat::Json).await,
    );
    let globex = api.caller("globex").await;
    let id = local::seed::DEMO[1].id;

    table.take();
    globex.get(NOTE).await.expect(404);
    // The authorizer has read the tenant's row, and the function no record.
    let (judged, read) = (authorizer.metrics().await, records.metrics().await);
    assert_eq!((&judged["tenant"], &judged["plan"]), (&json!(id), &json!("pro")));
    assert_eq!(judged["issuer"], api.local.issuer().url());
    for (line, seen) in [judged, read].iter().zip(table.take()) {
        assert_eq!(line["DynamoDbReadUnits"], seen.units.read, "{line}");
        assert!(seen.units.read > 0.0);
    }

    let data = json!({"data": {"text": "x".repeat(3000)}});
    for (method, path, body, status, code) in [
        ("PUT", NOTE, Some(&data), 201, None),
        ("GET", NOTE, None, 200, None),
        ("POST", LIST, Some(&data), 201, None),
        ("GET", LIST, None, 200, None),
        ("PATCH", NOTE, Some(&data), 200, None),
        ("POST", LIST, Some(&json!({"data": 7})), 400, Some("invalid_data")),
        ("DELETE", NOTE, None, 204, None),
        ("GET", NOTE, None, 404, Some("record_not_found")),
    ] {
        let call = globex.call(method, path);
        let response = match body {
            Some(body) => call.json(body).send().await,
            None => call.send().await,
        };
        let response = response.expect(status);
        let line = records.metrics().await;
        check(&line);
        let seen = table.take();
        let units = seen.iter().map(|one| one.units).reduce(|mut sum, one| {
            sum += one;
            sum
        });
        let units = units.unwrap_or_default();
        assert_eq!(
            (&line["DynamoDbReadUnits"], &line["DynamoDbWriteUnits"]),
            (&json!(units.read), &json!(units.write))
        );
        assert_eq!((&line["tenant"], &line["plan"]), (&json!(id), &json!("pro")));
        assert_eq!((&line["level"], line["code"].as_str()), (&json!("INFO"), code), "{line}");
        assert_eq!(line["requestId"], response.header("x-amzn-requestid"));
        assert_eq!(line["bytesOut"], response.text.len());
        assert_eq!(line["bytesIn"], body.map(|body| body.to_string().len()).unwrap_or_default());
    }

    table.fail_always(Some(Fault::Fail));
    globex.get(NOTE).await.expect_problem(503, "unavailable");
    let line = records.metrics().await;
    check(&line);
    assert_eq!((&line["level"], &line["code"]), (&json!("WARN"), &json!("unavailable")), "{line}");
    assert!(line["cause"].as_str().unwrap().contains("the table is unavailable"), "{line}");
    api.caller("acme").await.get(NOTE).await.expect_problem(503, "unavailable");
    let line = authorizer.metrics().await;
    check(&line);
    assert_eq!((&line["level"], &line["status"]), (&json!("WARN"), &json!(503)), "{line}");
    assert!(line["cause"].as_str().unwrap().contains("the table is unavailable"), "{line}");
    api.shutdown().await;
}

#[tokio::test]
async fn a_fault_of_the_table_is_logged_without_what_was_stored() {
    let table = DynamoDb::start().await;
    let api = Api::start_with(|options| options.dynamodb_endpoint = Some(table.endpoint.clone())).await;
    let mut records = Attached::start(&api, "records", LogFormat::Json).await;
    let globex = api.caller("globex").await;
    globex.put(NOTE, &json!({"data": {"secret": "hush"}})).await.expect(201);
    records.metrics().await;

    table.fail_always(Some(Fault::Garble));
    globex.get(NOTE).await.expect_problem(503, "unavailable");
    let line = records.metrics().await;
    assert!(line["cause"].as_str().unwrap().contains("a response that cannot be read"), "{line}");
    // An update tells what it replaced.
    globex.put(NOTE, &json!({"data": {"other": true}})).await.expect_problem(503, "unavailable");
    let line = records.metrics().await;
    assert!(line["cause"].as_str().unwrap().contains("a response that cannot be read"), "{line}");
    table.fail_always(Some(Fault::Reject));
    let write = globex.call("POST", LIST).json(&json!({"data": {"secret": "hush"}})).header("idempotency-key", "k");
    write.send().await.expect_problem(500, "internal_error");
    let line = records.metrics().await;
    let cause = line["cause"].as_str().unwrap();
    for part in ["TransactionCanceledException", "Transaction cancelled.", "ValidationError", "REQUEST"] {
        assert!(cause.contains(part), "{part} in {line}");
    }
    assert!(!records.read.contains("hush"), "{}", records.read);
    api.shutdown().await;
}

#[tokio::test]
async fn people_get_a_line_for_people() {
    let api = Api::start().await;
    let mut records = Attached::start(&api, "records", LogFormat::Text).await;
    let response = api.caller("globex").await.get(NOTE).await.expect(404);
    let line = records.line().await;
    for part in ["INFO", "GET /collections/{collection}/records/{id}", "404", "record_not_found", "0.5"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(line.contains(response.header("x-amzn-requestid")) && !line.contains("_aws"), "{line}");
    api.shutdown().await;
}
