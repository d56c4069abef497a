//! Starts the function.

use lambda_http::Error;
use service::http;
use service::runtime::config::{optional, quotas};
use service::runtime::{self, Started};
use service::store::Store;
use usage::{Prices, Usage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let Started { config, dynamodb, .. } = runtime::start(env!("CARGO_PKG_NAME"))?;
    let prices = Prices::parse(&optional("PRICES").unwrap_or_default())?;
    let usage = Usage::new(Store::new(dynamodb, config.table), quotas()?, prices);
    http::serve(usage, config.cors_allowed_origin.as_deref()).await
}
