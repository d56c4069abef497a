//! The start of the function.

use lambda_runtime::{LambdaEvent, service_fn};
use service::runtime::{self, Exit, Started};
use service::store::Store;

use crate::Claims;

/// Runs the function, as its whole `main`.
pub fn run() -> Exit {
    runtime::run(async {
        let Started { config, dynamodb, .. } = runtime::start(env!("CARGO_PKG_NAME"))?;
        let claims = &Claims::new(Store::new(dynamodb, config.table));
        lambda_runtime::run(service_fn(move |event: LambdaEvent<_>| claims.respond(event.payload))).await
    })
}
