//! Starts the function.

use claims::Claims;
use lambda_runtime::{LambdaEvent, run, service_fn};
use service::runtime::aws;
use service::runtime::config::Config;
use service::runtime::log;
use service::store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    log::init(env!("CARGO_PKG_NAME"));
    let config = Config::from_env()?;
    let store = Store::new(aws::dynamodb(&config.aws, aws::connector()), config.table);
    let claims = &Claims::new(store);
    run(service_fn(move |event: LambdaEvent<_>| claims.respond(event.payload))).await
}
