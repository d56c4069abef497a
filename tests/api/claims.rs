//! The user pool's trigger: the real function with a table, and its scopes beside the contract and the template.

use std::collections::BTreeSet;

use claims::scopes;
use local::runtime::InvokeError;
use local::template::yaml;
use serde_json::{Value, json};
use service::config::AwsConfig;

use crate::support::dynamodb::{DynamoDb, Fault};
use crate::support::{Api, read};

const ACME: &str = "01K0ACME000000000000000000";

/// The stack with its user pool. The authorizer is not invoked: nobody here has the pool's keys.
async fn start() -> Api {
    Api::start_with_parameter("UserPool", "true").await
}

async fn invoke(api: &Api, event: &Value) -> Result<Value, InvokeError> {
    let answer = api.local.functions().invoke("claims", event.to_string().into_bytes()).await?;
    Ok(serde_json::from_slice(&answer).unwrap())
}

fn event(name: &str) -> Value {
    serde_json::from_str(&read(&format!("events/{name}"))).unwrap()
}
