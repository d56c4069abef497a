//! The function `records` without a quota, without metering, and without the report of capacity that DynamoDB can add to each
//! response. All other code is the same, so the difference is the cost of these.

use aws_sdk_dynamodb::Client;
use records::Records;
use service::http;
use service::runtime::{self, Started};
use service::store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let Started { config, dynamodb, .. } = runtime::start("records")?;
    let mut client = dynamodb.config().to_builder();
    // The client has one interceptor, which is the meter.
    client.set_interceptors([]);
    let store = Store::new(Client::from_conf(client.build()), config.table);
    http::serve(Records::new(store), config.cors_allowed_origin.as_deref()).await
}
