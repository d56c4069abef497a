//! A function as tutorials show it: one `GetItem` for each request, every library with its default settings.

use std::env;

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_http::{Body, Error, Request, RequestExt as _, Response, run, service_fn, tracing};
use serde_json::{Map, Value};

async fn handler(client: &Client, table: &str, request: Request) -> Result<Response<Body>, Error> {
    let parameters = request.path_parameters();
    let parameter = |name| AttributeValue::S(parameters.first(name).unwrap_or_default().to_owned());
    let output = client
        .get_item()
        .table_name(table)
        .key("pk", parameter("collection"))
        .key("sk", parameter("id"))
        .send()
        .await?;
    let Some(item) = output.item else { return Ok(Response::builder().status(404).body(Body::Empty)?) };
    let item: Map<String, Value> = item.into_iter().map(|(name, value)| (name, json(value))).collect();
    let body = serde_json::to_string(&item)?;
    Ok(Response::builder().status(200).header("content-type", "application/json").body(body.into())?)
}

/// Converts a value of one of the types that occur in the item.
fn json(value: AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => Value::String(text),
        _ => Value::Null,
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let table = &env::var("TABLE_NAME")?;
    let client = &Client::new(&aws_config::load_defaults(BehaviorVersion::latest()).await);
    run(service_fn(move |request| handler(client, table, request))).await
}
