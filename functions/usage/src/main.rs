//! Starts the function.

use service::http;
use service::runtime::aws;
use service::runtime::config::{Config, optional, quotas};
use service::runtime::log;
use service::store::Store;
use usage::{Prices, Usage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = Config::from_env()?;
    let prices = Prices::parse(&optional("PRICES").unwrap_or_default())?;
    let store = Store::new(aws::dynamodb(&config.aws, aws::connector()), config.table);
    http::serve(Usage::new(store, quotas()?, prices), config.cors_allowed_origin.as_deref()).await
}
