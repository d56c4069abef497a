//! The function `records`, but nobody counts: it holds no quota, meters no tenant, and does not have the table say what
//! a request takes. Everything else is the same code, so the difference is what those cost.

use aws_sdk_dynamodb::Client;
use records::Records;
use service::http;
use service::runtime::{self, Started};
use service::store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let Started { config, dynamodb, .. } = runtime::start("records")?;
    let mut client = dynamodb.config().to_builder();
    // The only one that it has is the meter.
    client.set_interceptors([]);
    let store = Store::new(Client::from_conf(client.build()), config.table);
    http::serve(Records::new(store), config.cors_allowed_origin.as_deref()).await
}
