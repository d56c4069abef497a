//! The start of the function.

use lambda_runtime::{LambdaEvent, service_fn};
use service::runtime::config::IssuersConfig;
use service::runtime::{self, Exit, Started};
use service::store::Store;

use crate::Authorizer;

/// Runs the function, as its whole `main`.
pub fn run() -> Exit {
    runtime::run(async {
        let Started { config, dynamodb, connector } = runtime::start(env!("CARGO_PKG_NAME"))?;
        let authorizer = &Authorizer::new(IssuersConfig::from_env()?, Store::new(dynamodb, config.table), connector);
        // The init phase has more CPU than an invocation, and delays no request in a warm execution environment.
        authorizer.fetch_keys().await;
        lambda_runtime::run(service_fn(move |event: LambdaEvent<_>| authorizer.authorize(event.payload))).await
    })
}
