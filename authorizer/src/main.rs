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
    // In the init phase, which has more processor than the first request and is not waited for by a tenant.
    authorizer.fetch_keys().await;
    run(service_fn(move |event: LambdaEvent<_>| authorizer.authorize(event.payload))).await
}
