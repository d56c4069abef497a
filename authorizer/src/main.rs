//! Starts the function.

use authorizer::Authorizer;
use lambda_runtime::{LambdaEvent, run, service_fn};
use service::runtime::aws;
use service::runtime::config::{Config, IssuersConfig};
use service::runtime::log;
use service::store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = Config::from_env()?;
    let issuers = IssuersConfig::from_env()?;
    let connector = aws::connector();
    let store = Store::new(aws::dynamodb(&config.aws, connector.clone()), config.table);
    let authorizer = &Authorizer::new(issuers, store, connector);
    // The init phase has more CPU than an invocation, and delays no request in a warm execution environment.
    authorizer.fetch_keys().await;
    run(service_fn(move |event: LambdaEvent<_>| authorizer.authorize(event.payload))).await
}
