//! Starts the function.

use health::Health;
use lambda_http::Error;
use service::http;
use service::runtime::{self, Started};
use service::store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let Started { config, dynamodb, .. } = runtime::start(env!("CARGO_PKG_NAME"))?;
    let health = Health::new(Store::new(dynamodb, config.table));
    http::serve(health, config.cors_allowed_origin.as_deref()).await
}
