//! Starts the function.

use claims::Claims;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use service::runtime::{self, Started};
use service::store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let Started { config, dynamodb, .. } = runtime::start(env!("CARGO_PKG_NAME"))?;
    let claims = &Claims::new(Store::new(dynamodb, config.table));
    run(service_fn(move |event: LambdaEvent<_>| claims.respond(event.payload))).await
}
