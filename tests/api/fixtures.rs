//! The events in `events/`, each sent to the real function, as `sam local invoke -e` does.

use local::runtime::{Invoke, InvokeError};
use serde_json::{Value, json};

use crate::support::contract::operations;
use crate::support::{Api, read, workspace};

/// The status of the response to each event, in this order.
pub(crate) const EVENTS: &[(&str, &str, u16)] = &[
    ("records", "records-put.json", 201),
    ("records", "records-get.json", 200),
    ("records", "records-patch.json", 200),
    ("records", "records-list.json", 200),
    ("records", "records-list-collections.json", 200),
    ("records", "records-create.json", 201),
    ("records", "records-delete.json", 204),
    ("transactions", "transactions-create.json", 200),
    ("tokens", "tokens-create.json", 201),
    ("tokens", "tokens-list.json", 200),
    // Ids are given at creation, so there is none like the event's.
    ("tokens", "tokens-delete.json", 404),
    ("usage", "usage-get.json", 200),
    ("usage", "usage-list.json", 200),
    ("health", "health.json", 200),
    ("tenants", "tenants-create.json", 201),
    ("tenants", "tenants-list.json", 200),
    ("tenants", "tenants-get.json", 200),
    ("tenants", "tenants-patch.json", 200),
    ("tenants", "tenants-suspend.json", 200),
    ("tenants", "tenants-resume.json", 200),
    ("tenants", "tenants-keys.json", 201),
    ("tenants", "tenants-export.json", 200),
    ("tenants", "tenants-offboard.json", 202),
];

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
    for (function, name, status) in EVENTS {
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
fn every_event_is_listed_here() {
    let mut listed: Vec<_> = EVENTS.iter().map(|(_, event, _)| (*event).to_owned()).collect();
    listed.extend(["authorizer.json", "tenants-sweep.json"].map(ToOwned::to_owned));
    // Not of the API: `claims` has its own tests.
    listed.extend(["claims-machine.json", "claims-user.json"].map(ToOwned::to_owned));
    listed.sort_unstable();
    let files = std::fs::read_dir(workspace().join("events")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort_unstable();
    assert_eq!(files, listed);
}

#[test]
fn every_operation_has_an_event() {
    let events: Vec<Value> = EVENTS.iter().map(|(_, name, _)| event(name)).collect();
    for operation in operations() {
        // A `HEAD` is the event of the `GET`, with another method.
        let method = if operation.method == "HEAD" { "GET" } else { &operation.method };
        let found = events.iter().any(|event| event["httpMethod"] == method && event["resource"] == operation.path);
        assert!(found, "no event for {} {}", operation.method, operation.path);
    }
}
