//! The events in `events/`, each sent to the real function, as `sam local invoke -e` does.

use std::sync::LazyLock;

use local::fixtures::{self, Fixture};
use local::runtime::{Invoke, InvokeError};
use serde_json::{Value, json};

use crate::support::contract::operations;
use crate::support::{Api, read, workspace};

/// The events of API Gateway, in the order in which they get their statuses.
pub(crate) static EVENTS: LazyLock<Vec<Fixture>> =
    LazyLock::new(|| fixtures::make(&workspace(), &read(contract::FILE)).unwrap());

fn event(name: &str) -> Value {
    serde_json::from_str(&read(&format!("events/{name}"))).unwrap()
}

async fn invoke(api: &Api, function: &str, event: &Value) -> Result<Value, InvokeError> {
    let response = api.local.functions().invoke(function, event.to_string().into_bytes()).await?;
    Ok(serde_json::from_slice(&response).unwrap())
}

#[tokio::test]
async fn every_event_gets_a_response_from_its_function() {
    let api = Api::start().await;
    for Fixture { function, file: name, status, .. } in &*EVENTS {
        let mut event = event(name);
        let response = invoke(&api, function, &event).await.unwrap();
        assert_eq!(response["statusCode"], json!(status), "{name}: {response}");
        if event["httpMethod"] == "GET" {
            event["httpMethod"] = "HEAD".into();
            event["requestContext"]["httpMethod"] = "HEAD".into();
            let head = invoke(&api, function, &event).await.unwrap();
            assert_eq!((&head["statusCode"], head.get("body")), (&response["statusCode"], None), "{name}: {head}");
        }
    }
    assert_eq!(invoke(&api, "tenants", &event("tenants-sweep.json")).await.unwrap(), Value::Null);
    // Its token is signed by a key that nobody here trusts; `authorizer` has a unit test with the key.
    let rejected = invoke(&api, "authorizer", &event("authorizer.json")).await;
    assert!(
        matches!(&rejected, Err(InvokeError::Function { message, .. }) if message == "Unauthorized"),
        "{rejected:?}"
    );
    api.shutdown().await;
}

#[test]
fn the_events_are_up_to_date() {
    for Fixture { file, text, .. } in &*EVENTS {
        let current = std::fs::read_to_string(workspace().join(fixtures::FOLDER).join(file)).unwrap_or_default();
        assert!(current == *text, "events/{file} is not what its table makes: run `cargo run -- contract`");
    }
    let stale = fixtures::stale(&workspace(), &EVENTS).unwrap();
    assert_eq!(stale, [""; 0], "these events are in no functions/<noun>/events.yaml");
}

#[test]
fn every_operation_has_an_event() {
    let events: Vec<Value> = EVENTS.iter().map(|fixture| event(&fixture.file)).collect();
    for operation in operations() {
        // A `HEAD` is the event of the `GET`, with another method.
        let method = if operation.method == "HEAD" { "GET" } else { &operation.method };
        let found = events.iter().any(|event| event["httpMethod"] == method && event["resource"] == operation.path);
        assert!(found, "no events.yaml of a function has {} {}", operation.method, operation.path);
    }
}
