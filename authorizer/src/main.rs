//! Starts the function.

use authorizer::Authorizer;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use service::runtime::config::IssuersConfig;
use service::runtime::{self, Started};
use service::store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let Started { config, dynamodb, connector } = runtime::start(env!("CARGO_PKG_NAME"))?;
    let authorizer = &Authorizer::new(IssuersConfig::from_env()?, Store::new(dynamodb, config.table), connector);
    // The init phase has more CPU than an invocation, and delays no request in a warm execution environment.
    authorizer.fetch_keys().await;
    run(service_fn(move |event: LambdaEvent<_>| authorizer.authorize(event.payload))).await
}
